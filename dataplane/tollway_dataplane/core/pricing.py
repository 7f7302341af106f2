"""Tokens to money, in integers: prices are pico-USD per token, amounts nano-USD, rounded up."""

from typing import Final

from tollway_api.snapshot import NANO_PER_USD, PICO_PER_NANO, Price
from tollway_dataplane.core.facts import Usage

FREE: Final = Price(0, 0)
_DIGITS: Final = 9


def cost(usage: Usage, price: Price) -> int:
    """What an answer costs, in nano-USD, rounded up so that many small answers are never free."""
    pico = usage.prompt_tokens * price.input + usage.completion_tokens * price.output
    return -(-pico // PICO_PER_NANO)


def as_usd(nano: int) -> str:
    """Nano-USD as a decimal number of dollars, without trailing zeros: `0.0000125`."""
    if nano == 0:
        return "0"
    whole, fraction = divmod(nano, NANO_PER_USD)
    digits = f"{fraction:0{_DIGITS}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
