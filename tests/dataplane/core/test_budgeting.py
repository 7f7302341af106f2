"""Windows and worst cases."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.meta import ModelName
from tollway_api.snapshot import Calendar, Limit, Model, Price, Protocol, Rolling
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.budgeting import amounts, room_for, tokens_that_fit_after, worst_case
from tollway_dataplane.core.facts import ChatRequest, JsonValue, Usage
from tollway_dataplane.core.pricing import as_usd, cost
from tollway_dataplane.core.tokens import most_tokens

BERLIN = "Europe/Berlin"


def limit(window: Rolling | Calendar, unit: Unit = Unit.USD) -> Limit:
    return Limit("x", unit, 1, window)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_usage_counts_against_each_limit_in_its_own_unit() -> None:
    limits = [limit(Rolling(1_000), unit) for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS)]
    assert amounts(limits, Usage(1_000, 100), Price(150_000, 600_000)) == [210_000, 1_100, 1]


def test_money_and_tokens_are_plenty_when_much_more_is_left_and_requests_when_there_is_one() -> None:
    limits = [limit(Rolling(1_000), unit) for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS)]
    assert room_for(limits, [10, 20, 1]) == [80, 160, 1]


@pytest.mark.parametrize(
    ("unit", "left", "price", "fits"),
    [
        (Unit.TOKENS, 130, Price(1_000, 2_000), 30),
        (Unit.USD, 161, Price(1_000, 2_000), 30),
        (Unit.USD, 99, Price(1_000, 2_000), -1),
        (Unit.USD, 99, Price(1_000, 0), -1),
        (Unit.TOKENS, 99, Price(0, 0), -1),
    ],
)
def test_so_much_of_an_answer_fits_beside_a_prompt_of_a_hundred_tokens(
    unit: Unit, left: int, price: Price, fits: int
) -> None:
    assert tokens_that_fit_after(limit(Rolling(1_000), unit), left, 100, price) == fits


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**9), st.integers(0, 10**9))
def test_what_fits_costs_no_more_than_is_left(prompt: int, left: int, output: int, input_: int) -> None:
    price, money = Price(input_, output), limit(Rolling(1_000))
    fits = tokens_that_fit_after(money, left, prompt, price)
    assert fits < 0 or cost(Usage(prompt, fits), price) <= left


@pytest.mark.parametrize("unit", [Unit.USD, Unit.REQUESTS])
def test_what_costs_nothing_always_fits(unit: Unit) -> None:
    assert tokens_that_fit_after(limit(Rolling(1_000), unit), 1, 100, Price(0, 0)) > 10**9


def test_a_fraction_of_a_nano_dollar_is_rounded_up() -> None:
    assert cost(Usage(1, 0), Price(1, 0)) == 1
    assert cost(Usage(0, 0), Price(1, 1)) == 0


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (12_500, "0.0000125")]
)
def test_money_is_shown_as_decimal_dollars(nano: int, text: str) -> None:
    assert as_usd(nano) == text


@given(
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text()}), min_size=1, max_size=5)
)
def test_a_prompt_never_has_more_tokens_than_the_bound(messages: list[dict[str, str]]) -> None:
    """A byte-level tokenizer's worst case is a token a byte."""
    most = most_tokens(messages, None)
    assert most >= sum(len(message["content"].encode("utf-8", "surrogatepass")) + 4 for message in messages)


MODEL = Model(
    name=ModelName("m"),
    upstream_id="m",
    protocol=Protocol.OPENAI,
    endpoint=None,
    api_key=None,
    price=Price(1, 1),
    context_window=8_192,
    max_output_tokens=8_192,
    timeout_ms=1_000,
)


def chat(content: str, **parameters: JsonValue) -> ChatRequest:
    return ChatRequest("r", "m", [{"role": "user", "content": content}], parameters)


def test_every_field_that_is_sent_may_be_part_of_the_prompt() -> None:
    request = chat("Hi", documents=[{"text": "word " * 10_000}])
    assert worst_case(request, request.messages, MODEL).prompt_tokens > 50_000


@pytest.mark.parametrize(
    ("request_", "least", "most"),
    [
        (chat("Hi"), 8_000, 8_191),
        (chat("word " * 4_000), 1_000, 8_192 - 4_000),
        (chat("word " * 4_085), 1_000, 8_192 - 4_000),
        (chat("word " * 9_000), 8_192, 8_192),  # it does not fit at all, which the provider shall say
        (chat("Hi", max_tokens=50), 50, 50),
        (chat("Hi", max_tokens=5, max_completion_tokens=3_000), 5, 5),
        (chat("Hi", max_tokens=50_000), 8_192, 8_192),
    ],
)
def test_an_answer_is_bounded_by_its_caller_or_by_what_fits_beside_the_prompt(
    request_: ChatRequest, least: int, most: int
) -> None:
    assert least <= worst_case(request_, request_.messages, MODEL).completion_tokens <= most


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("plain", False),
        ([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}], False),
        ([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}], True),
    ],
)
def test_a_prompt_that_is_to_be_kept_for_an_hour_is_held_as_one(content: JsonValue, found: bool) -> None:
    request = ChatRequest("r", "auto", [{"role": "user", "content": content}], {"service_tier": "priority"})
    worst = worst_case(request, request.messages, MODEL)
    assert (worst.hour_tokens > 0, worst.tier) == (found, "priority")
