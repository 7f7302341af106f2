"""What a caller with the official client sees of its budget: how much is left, and a refusal that it understands."""

import time

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.conftest import Start
from tests.dataplanes import Running, Setup
from tests.servers import Provider
from tollway_dataplane.core.allowances import duration

MESSAGE: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is a fjord?"}]


def limit(name: str, amount: str, unit: str = "USD", **window: str) -> dict[str, object]:
    return {"name": name, "unit": unit, "amount": amount, "window": window or {"calendar": "Month"}}


async def refused(
    gateway: Running, question: str = "What is a delta?", **more: object
) -> openai.RateLimitError:
    with pytest.raises(openai.RateLimitError) as caught:
        await gateway.acme.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": question}],
            **more,  # type: ignore[call-overload]  # a test may give anything
        )
    return caught.value


async def test_a_refusal_is_the_clients_rate_limit_error_and_says_all_there_is_to_say(
    start: Start, setup: Setup
) -> None:
    acme = {
        "limits": [limit("few", "1", "Requests", rolling="1h"), limit("money", "5.00")],
        "onExceeded": {"message": "Ask finance for more."},
    }
    gateway = await start(setup.but(acme=acme))
    await gateway.ask("What is a fjord?")
    error = await refused(gateway)
    assert (error.status_code, error.code, error.type) == (429, "budget_exceeded", "rate_limit_error")
    assert "Ask finance for more. (limit 'few': 0 of 1 requests left)" in error.message
    headers = error.response.headers
    assert headers["x-tollway-limit"] == "few"
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"] == duration(int(headers["retry-after"]))
    assert 3_000 < int(headers["retry-after"]) <= 3_660
    assert headers["x-should-retry"] == "false", "the client would wait a second and ask again in vain"


async def test_a_client_that_may_try_again_does_so_only_where_it_helps(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "1", "Requests", rolling="2s")]}))
    await gateway.ask("What is a fjord?")
    patient = gateway.acme.with_options(max_retries=2)
    answer = await patient.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "What is a delta?"}]
    )
    assert answer.choices
    assert cheap.total == 2


async def test_of_money_what_is_left_is_said_in_dollars(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("money", "0.00001")]}))
    error = await refused(gateway, "word " * 10, max_tokens=20)
    assert "0.00001 of 0.00001 USD left" in error.message or "than limit 'money' ever allows" in error.message
    assert error.response.headers["x-ratelimit-limit-usd"] == "0.00001"
    assert float(error.response.headers["x-ratelimit-remaining-usd"]) <= 0.00001


async def test_an_answer_says_what_is_left_after_it(start: Start, setup: Setup) -> None:
    limits = [
        limit("few", "10", "Requests", calendar="Day"),
        limit("tokens", "1000000", "Tokens", rolling="1m"),
    ]
    gateway = await start(setup.but(acme={"limits": [*limits, limit("money", "5.00")]}))
    reply = await gateway.acme.chat.completions.with_raw_response.create(model="auto", messages=MESSAGE)
    usage = reply.parse().usage
    assert usage is not None
    headers = reply.headers
    assert headers["x-ratelimit-limit-requests"] == "10"
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-ratelimit-remaining-tokens"] == str(1_000_000 - usage.total_tokens)
    assert headers["x-ratelimit-reset-tokens"] == "1m0s"
    spent = usage.prompt_tokens * 150 + usage.completion_tokens * 600
    assert round(float(headers["x-ratelimit-remaining-usd"]) * 1e9) == 5_000_000_000 - spent


async def test_a_stream_says_what_is_left_beside_what_it_holds(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "10", "Requests")]}))
    stream = await gateway.acme.chat.completions.create(model="auto", messages=MESSAGE, stream=True)
    assert stream.response.headers["x-ratelimit-remaining-requests"] == "9"
    assert [chunk async for chunk in stream]


async def test_embeddings_say_what_is_left_and_are_refused_alike(start: Start, setup: Setup) -> None:
    model = {"model": "openai/text-embedding-3-small"}
    acme = {"limits": [limit("few", "1", "Requests", rolling="1h")]}
    gateway = await start(setup.but(cheap_model=model, acme=acme))
    reply = await gateway.acme.embeddings.with_raw_response.create(model="cheap", input="a fjord")
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        await gateway.acme.embeddings.create(model="cheap", input="a delta")
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert "(limit 'few': 0 of 1 requests left)" in caught.value.message


async def test_who_has_no_limits_is_told_of_none_and_a_hit_neither(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "2", "Requests")]}))
    first, hit = await gateway.ask("What is a fjord?"), await gateway.ask("What is a fjord?")
    unlimited = await gateway.ask("What is a fjord?", "beta-test-key")
    assert "x-ratelimit-limit-requests" in first.headers
    assert (hit.source, [name for name in hit.headers if "ratelimit" in name]) == ("exact", [])
    assert [name for name in unlimited.headers if "ratelimit" in name] == []


async def test_a_cheaper_model_that_stands_in_is_said_with_the_limit_that_made_it(
    start: Start, setup: Setup
) -> None:
    limits = [limit("few", "1", "Requests"), limit("money", "5.00")]
    acme = {"limits": limits, "onExceeded": {"action": "Degrade", "model": "cheap"}}
    gateway = await start(setup.but(acme=acme))
    await gateway.ask("What is a fjord?", model="rich")
    reply = await gateway.ask("What is a delta?", model="rich")
    assert (reply.status, reply.source, reply.headers["x-tollway-model"]) == (200, "degraded", "cheap")
    assert reply.headers["x-tollway-limit"] == "few"
    assert reply.headers["x-tollway-route-reason"] == "Degraded"
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_calendar_window_resets_when_it_ends(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(acme={"limits": [limit("few", "10", "Requests", calendar="Hour")]}))
    left_s = 3_600 - time.time() % 3_600
    reply = await gateway.ask("What is a fjord?")
    hours, _, rest = reply.headers["x-ratelimit-reset-requests"].rpartition("h")
    minutes, _, seconds = rest.removesuffix("s").rpartition("m")
    said_s = int(hours or 0) * 3_600 + int(minutes or 0) * 60 + int(seconds)
    assert left_s - 30 <= said_s <= left_s + 1 or left_s < 30
