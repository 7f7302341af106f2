"""What an answer costs, to the pico-dollar, where a provider bills parts of it at other prices."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.catalog import bundled
from tollway_api.snapshot import Price, Variant
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.pricing import cost, dearest, is_free

# Anthropic's of Claude Sonnet 4.5, in pico-USD a token.
SONNET = Price(3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)
LONG = Price(2_000, 4_000)
TIERED = Price(
    1_000,
    2_000,
    variants=(
        Variant("", 100, LONG),
        Variant("flex", 0, Price(500, 1_000)),
        Variant("priority", 0, Price(9_000, 9_000)),
    ),
)


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(1_000, 100), 3_000_000 + 1_500_000),
        (Usage(1_000, 0, cached_tokens=900), 900 * 300 + 100 * 3_000),
        (Usage(1_000, 0, cached_tokens=500, written_tokens=400), 500 * 300 + 400 * 3_750 + 100 * 3_000),
        (Usage(1_000, 0, written_tokens=400, hour_tokens=300), 100 * 3_750 + 300 * 6_000 + 600 * 3_000),
        (Usage(0, 100, reasoning_tokens=90), 1_500_000),
    ],
)
def test_what_is_read_from_a_cache_or_written_to_it_has_its_own_price(usage: Usage, nano: int) -> None:
    assert cost(usage, SONNET) == nano


def test_what_nobody_prices_apart_costs_as_much_as_the_rest() -> None:
    usage = Usage(100, 50, False, 60, 30, 10, 20)
    assert cost(usage, Price(7_000, 11_000)) == cost(Usage(100, 50), Price(7_000, 11_000))


def test_thinking_may_have_a_price_of_its_own() -> None:
    assert cost(Usage(0, 10, reasoning_tokens=4), Price(0, 5_000, reasoning=1_000)) == 6 * 5 + 4


@pytest.mark.parametrize(
    ("tier", "prompt", "nano"),
    [
        ("", 100, 100),
        ("", 101, 202),
        ("flex", 100, 50),
        ("flex", 200, 100),
        ("priority", 100, 900),
        ("scale", 100, 100),
    ],
)
def test_a_tier_of_service_and_a_long_prompt_have_their_prices(tier: str, prompt: int, nano: int) -> None:
    assert cost(Usage(prompt, 0, tier=tier), TIERED) == nano


def test_free_is_what_costs_nothing_at_any_tier() -> None:
    assert is_free(Price(0, 0))
    assert is_free(Price(0, 0, 0, 0, 0, 0))
    assert not is_free(Price(0, 0, reasoning=1))
    assert not is_free(Price(0, 0, variants=(Variant("priority", 0, Price(1, 0)),)))


def test_what_is_held_is_priced_at_the_tier_that_was_asked_for_and_never_below_the_usual_one() -> None:
    assert dearest(TIERED, Usage(100, 0, tier="priority")) == Price(9_000, 9_000)
    assert dearest(TIERED, Usage(100, 0, tier="flex")) == Price(1_000, 2_000)
    assert dearest(TIERED, Usage(101, 0)) == Price(2_000, 4_000)
    assert dearest(SONNET, Usage(100, 0)) == Price(3_750_000, 15_000_000)
    assert dearest(SONNET, Usage(100, 0, hour_tokens=100)) == Price(6_000_000, 15_000_000)


_PRICES = st.integers(0, 10**9)


@given(
    price=st.builds(Price, _PRICES, _PRICES, *[st.none() | _PRICES] * 4),
    prompt=st.integers(0, 10**6),
    answer=st.integers(0, 10**5),
    shares=st.lists(st.fractions(0, 1), min_size=4, max_size=4),
)
def test_nothing_costs_more_than_what_is_held_for_it(
    price: Price, prompt: int, answer: int, shares: list[Fraction]
) -> None:
    cached = int(prompt * shares[0])
    written = int((prompt - cached) * shares[1])
    usage = Usage(prompt, answer, False, cached, written, int(written * shares[2]), int(answer * shares[3]))
    worst = Usage(prompt, answer, hour_tokens=prompt)
    assert cost(usage, price) <= cost(worst, dearest(price, worst))


def test_the_catalogue_knows_what_providers_bill_apart() -> None:
    sonnet, gpt, gemini = (
        bundled().find(name) for name in ("claude-sonnet-4-5", "gpt-5", "gemini/gemini-2.5-pro")
    )
    assert sonnet is not None and gpt is not None and gemini is not None  # noqa: PT018 - one line for the types
    assert sonnet.price is not None and gpt.price is not None and gemini.price is not None  # noqa: PT018 - the same
    assert cost(Usage(10**6, 0, cached_tokens=10**6), sonnet.price) == usd("0.30")
    assert cost(Usage(10**5, 0, written_tokens=10**5), sonnet.price) == usd("0.375")
    assert cost(Usage(10**5, 0, written_tokens=10**5, hour_tokens=10**5), sonnet.price) == usd("0.60")
    assert cost(Usage(10**5, 10**5, tier="flex"), gpt.price) == usd("0.5625")
    assert cost(Usage(10**5, 10**5, tier="priority"), gpt.price) == usd("2.25")
    assert cost(Usage(200_000, 0), gemini.price) == usd("0.25")
    assert cost(Usage(200_001, 0), gemini.price) == 200_001 * 2_500


def usd(amount: str) -> int:
    return int(Decimal(amount) * 10**9)
