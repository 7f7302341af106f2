"""Which model answers, as the official client sees it, on the real Redis."""

from typing import Any

import openai
import pytest

from tests.conftest import Start
from tests.dataplanes import Running, Setup, until
from tests.servers import Provider
from tollway_cli.simulator.answers import answer_for

FJORD = "What is a fjord?"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def with_canary(setup: Setup, share: str, **more: object) -> Setup:
    canary: dict[str, object] = {
        "name": "next",
        "model": "openai/gpt-4.1-nano",
        "endpoint": setup.cheap,
        "canary": {"of": "cheap", "share": share},
        **more,
    }
    cache = {"indexRef": {"name": "answers"}}
    return setup.but(policy={"cache": cache, "models": [*setup.models(), canary]})


async def said(
    gateway: Running, messages: list[Any], model: str = "auto", **more: Any
) -> tuple[str, str, str]:
    """Which model answered, why, and where the answer is from."""
    raw = await gateway.acme.chat.completions.with_raw_response.create(model=model, messages=messages, **more)
    names = ("x-tollway-model", "x-tollway-route-reason", "x-tollway-source")
    found = [raw.headers.get(name, "") for name in names]
    return found[0], found[1], found[2]


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def test_an_alias_is_listed_and_answered_by_what_the_policy_says(start: Start, setup: Setup) -> None:
    aliases = [{"name": "gpt-4o"}, {"name": "house", "model": "rich"}]
    gateway = await start(setup.but(policy={"route": {"aliases": aliases, "explicitModel": "Deny"}}))
    assert [each.id for each in (await gateway.acme.models.list()).data] == ["auto", "gpt-4o", "house"]
    assert await said(gateway, user(FJORD), "gpt-4o") == ("cheap", "Simple", "live")
    assert await said(gateway, user(FJORD), "house") == ("rich", "Alias", "live")
    with pytest.raises(openai.PermissionDeniedError, match="ask for 'auto' or 'gpt-4o' or 'house'"):
        await said(gateway, user(FJORD), "rich")


async def test_embeddings_have_aliases_as_well(start: Start, setup: Setup) -> None:
    vectors = {"name": "vectors", "model": "openai/text-embedding-3-small", "endpoint": setup.cheap}
    aliases = [{"name": "text-embedding-ada-002", "model": "vectors"}]
    gateway = await start(
        setup.but(policy={"models": [*setup.models(), vectors], "route": {"aliases": aliases}})
    )
    raw = await gateway.acme.embeddings.with_raw_response.create(
        model="text-embedding-ada-002", input=["one"]
    )
    assert (raw.headers["x-tollway-model"], raw.headers["x-tollway-route-reason"]) == ("vectors", "Alias")
    assert len(raw.parse().data) == 1


async def test_who_means_the_same_shares_its_answers(start: Start, setup: Setup) -> None:
    gateway = await start(with_canary(setup, "0%"))
    await said(gateway, user(FJORD), "cheap")
    assert (await said(gateway, user(FJORD), "auto"))[2] == "live"
    await gateway.stored(2)
    aliased = setup.but(
        policy={"cache": {"indexRef": {"name": "answers"}}, "route": {"aliases": [{"name": "gpt-4o"}]}}
    )
    await gateway.swap(aliased)
    assert (await said(gateway, user(FJORD), "gpt-4o"))[2] == "exact"


async def test_a_canary_answers_its_conversations_from_first_to_last_and_no_others(
    start: Start, setup: Setup
) -> None:
    gateway = await start(with_canary(setup, "50%"))
    met: dict[str, list[Any]] = {"cheap": [], "next": []}
    live = 0
    for number in range(12):
        messages = user(f"What is {number} plus one?")
        model, reason, source = await said(gateway, messages)
        assert (model, reason) in {("cheap", "Simple"), ("next", "Canary")}
        met[model].append(messages)
        longer = [*messages, {"role": "assistant", "content": "A number."}, *user("And twice that?")]
        again = await said(gateway, longer)
        assert again[:2] == (model, reason)
        live += (source, again[2]).count("live")
    assert all(met.values())
    await gateway.stored(live)
    await gateway.swap(with_canary(setup, "0%"))
    assert (await said(gateway, met["cheap"][0]))[2] == "exact"
    # What was tried out has answered it, which is nothing for those who are not to try it out.
    assert await said(gateway, met["next"][0]) == ("cheap", "Simple", "live")
    await gateway.swap(with_canary(setup, "100%"))
    assert (await said(gateway, met["next"][0]))[2] == "exact"
    assert await said(gateway, met["cheap"][0]) == ("next", "Canary", "live")


async def test_a_session_is_one_conversation_whatever_it_asks(start: Start, setup: Setup) -> None:
    gateway = await start(with_canary(setup, "50%"))
    asked: dict[str, set[str]] = {}
    for session in map(str, range(8)):
        for number in range(3):
            headers = {"x-tollway-session": session}
            reply = await said(gateway, user(f"What is {number} plus {session}?"), extra_headers=headers)
            asked.setdefault(session, set()).add(reply[0])
    assert {len(each) for each in asked.values()} == {1}
    assert set.union(*asked.values()) == {"cheap", "next"}


async def test_a_canary_that_fails_is_stood_in_for_and_that_is_not_remembered_as_its_answer(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(with_canary(setup, "100%", endpoint="http://127.0.0.1:9/v1"))
    for _ in range(2):
        assert await said(gateway, user(FJORD)) == ("cheap", "Canary", "live")
    assert cheap.total == 2


async def test_a_prompt_that_is_too_long_for_the_simple_model_is_for_the_complex_one(
    start: Start, setup: Setup
) -> None:
    policy = {"route": {"complexity": {"wordThreshold": 100_000}}}
    gateway = await start(setup.but(cheap_model={"contextWindow": 2_000}, policy=policy))
    assert await said(gateway, user("word " * 500)) == ("cheap", "Simple", "live")
    assert await said(gateway, user("word " * 1_500)) == ("rich", "ContextWindow", "live")
    assert await said(gateway, user("word " * 500), max_tokens=1_500) == ("rich", "ContextWindow", "live")


async def test_a_picture_goes_to_a_model_that_sees_and_a_named_one_that_does_not_is_refused(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    gateway = await start(setup.but(cheap_model={"capabilities": ["Tools"]}))
    seen = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}]
    assert await said(gateway, seen) == ("rich", "Capability", "live")
    with pytest.raises(openai.BadRequestError, match=r"\(Vision\); ask for one of: rich") as refused:
        await said(gateway, seen, "cheap")
    assert refused.value.param == "messages"
    assert cheap.total == 0
    blind = setup.but(cheap_model={"capabilities": []}, rich_model={"capabilities": []})
    await gateway.swap(blind)
    with pytest.raises(openai.BadRequestError, match=r"\(Vision\); .* add one that can"):
        await said(gateway, seen)


async def test_a_budgets_cheaper_model_does_not_stand_in_for_what_it_surely_cannot_do(
    start: Start, setup: Setup, cheap: Provider
) -> None:
    acme = {
        "limits": [{"name": "daily", "amount": "0.000001"}],
        "onExceeded": {"action": "Degrade", "model": "cheap"},
    }
    free = {"capabilities": [], "pricing": {"input": "0", "output": "0"}}
    gateway = await start(setup.but(acme=acme, cheap_model=free))
    assert await said(gateway, user("Explain a fjord.")) == ("cheap", "Degraded", "degraded")
    seen = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}]
    with pytest.raises(openai.RateLimitError):
        await said(gateway, seen)
    assert cheap.total == 1


async def test_a_growing_chat_moves_on_once_and_why_is_counted_and_logged(start: Start, setup: Setup) -> None:
    gateway = await start(setup.but(policy={}))
    messages: list[Any] = []
    found = []
    for text in ("Hi", FJORD, "Compare it with a bay.", "Which is deeper?", "Thanks!"):
        messages += user(text)
        found.append(await said(gateway, messages))
        messages.append({"role": "assistant", "content": answer_for("cheap", "gpt-4o-mini", text)})
    assert [each[:2] for each in found] == [
        ("cheap", "Simple"),
        ("cheap", "Simple"),
        ("rich", "Keyword"),
        ("rich", "Session"),
        ("rich", "Session"),
    ]
    counted = (await gateway.metrics())["ai_routed_requests_total"]
    assert counted[(("model", "cheap"), ("reason", "Simple"))] == 2
    assert counted[(("model", "rich"), ("reason", "Session"))] == 2

    def logged() -> list[object]:
        return [line["route"] for line in gateway.log_lines() if line.get("event") == "request"]

    await until(lambda: len(logged()) == len(found))
    assert logged() == [each[1] for each in found]
