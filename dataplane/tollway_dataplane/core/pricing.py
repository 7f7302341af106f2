"""Tokens to money, in integers: prices are pico-USD per token, amounts nano-USD, rounded up. What a provider bills at
another price than the rest of a prompt or an answer, and says so in its usage, is billed so here.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tollway_api.snapshot import NANO_PER_USD, PICO_PER_NANO, Price
from tollway_dataplane.core.facts import Usage

_DIGITS: Final = 9


def cost(usage: Usage, price: Price) -> int:
    """What an answer costs, in nano-USD, rounded up so that many small answers are never free."""
    applies = _applying(price, usage.tier, usage.prompt_tokens) if price.variants else price
    pico = usage.prompt_tokens * applies.input + usage.completion_tokens * applies.output
    if usage.cached_tokens or usage.written_tokens or usage.hour_tokens or usage.reasoning_tokens:
        pico += _more(usage, applies)
    return -(-pico // PICO_PER_NANO)


def _more(usage: Usage, price: Price) -> int:
    """What is to be added where not all tokens cost the same; below zero where some cost less."""
    write = _or(price.cache_write, price.input)
    return (
        usage.cached_tokens * (_or(price.cached_input, price.input) - price.input)
        + usage.written_tokens * (write - price.input)
        + usage.hour_tokens * (_or(price.cache_write_hour, write) - write)
        + usage.reasoning_tokens * (_or(price.reasoning, price.output) - price.output)
    )


def dearest(price: Price, worst: Usage) -> Price:
    """What no token of a call can cost more than, whatever the provider makes of it: what is held is priced so. `worst`
    has the tier of service that was asked for, and tokens for an hour where any may be.
    """
    is_kept = worst.hour_tokens > 0
    plain = _dearest(_applying(price, "", worst.prompt_tokens), is_kept)
    if not worst.tier:
        return plain
    tier = _dearest(_applying(price, worst.tier, worst.prompt_tokens), is_kept)
    return Price(max(plain.input, tier.input), max(plain.output, tier.output))


# Prices are few, and each request asks for one.
@lru_cache(1_024)
def _dearest(price: Price, is_kept: bool) -> Price:
    """`is_kept`: whether some of the prompt may be, for an hour."""
    hour = price.cache_write_hour if is_kept else None
    inputs = (price.input, price.cached_input, price.cache_write, hour)
    return Price(_highest(inputs), _highest((price.output, price.reasoning)))


def _highest(prices: Iterable[int | None]) -> int:
    return max(filter(None, prices), default=0)


def is_free(price: Price) -> bool:
    """Whether no token costs anything."""
    others = (price.cached_input, price.cache_write, price.cache_write_hour, price.reasoning)
    return not any((price.input, price.output, *others)) and all(
        is_free(each.price) for each in price.variants
    )


def _applying(price: Price, tier: str, prompt_tokens: int) -> Price:
    """The tier's own before any tier's, and of those the one of the longest prompts."""
    if not price.variants:
        return price
    tiers = ("", tier)
    fitting = [each for each in price.variants if each.tier in tiers and prompt_tokens > each.above]
    return max(fitting, key=lambda each: (each.tier == tier, each.above)).price if fitting else price


def _or(price: int | None, otherwise: int) -> int:
    return otherwise if price is None else price


@lru_cache(4_096)  # of what a request says of money most is nothing, and much the same as before
def as_usd(nano: int) -> str:
    """Nano-USD as a decimal number of dollars, without trailing zeros: `0.0000125`."""
    whole, fraction = divmod(nano, NANO_PER_USD)
    digits = f"{fraction:0{_DIGITS}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
