"""Which model answers, and which requests may be answered from memory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Route, Step
from tollway_dataplane.core.decision import CacheReason, RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.naming import named_model
from tollway_dataplane.errors import Refusal
from tollway_dataplane.judgement.cacheability import bypass_reason
from tollway_dataplane.routing.complexity import Assessment, heuristic, texts_of
from tollway_dataplane.routing.fitting import Choice
from tollway_dataplane.routing.routing import placed, routed, settled

SETUP = Setup("http://a/v1", "http://b/v1")


def request(prompt: str, model: str = "auto", **more: Any) -> ChatRequest:
    return ChatRequest("r", model, [{"role": "user", "content": prompt}], prompt=prompt, **more)


@pytest.mark.parametrize(
    ("model", "preferred", "prompt", "expected"),
    [
        ("auto", "auto", "easy", ("cheap", RouteReason.SIMPLE)),
        ("auto", "auto", "explain it", ("rich", RouteReason.KEYWORD)),
        ("auto", "rich", "easy", ("rich", RouteReason.PREFERRED)),
        ("cheap", "rich", "explain it", ("cheap", RouteReason.EXPLICIT)),
    ],
)
def test_a_named_model_wins_then_the_tenants_then_the_routers(
    model: str, preferred: str, prompt: str, expected: tuple[str, RouteReason]
) -> None:
    setup = SETUP.but(acme={"preferredModel": preferred})
    assert chosen(request(prompt, model), setup) == expected


@pytest.mark.parametrize(
    ("policy", "model", "status"),
    [
        ({}, "gpt-9", 404),
        ({"route": {"explicitModel": "Deny"}}, "cheap", 403),
        ({"match": {"models": ["auto", "house-model"]}}, "house-model", None),
        ({"route": {"explicitModel": "Deny"}}, "auto", None),
    ],
)
def test_a_caller_may_name_only_what_the_policy_lets_it(
    policy: dict[str, object], model: str, status: int | None
) -> None:
    found = compiled(SETUP.but(policy=policy).objects()).policies[0]
    if status is None:
        assert named_model(model, found) is None
        return
    with pytest.raises(Refusal) as refused:
        named_model(model, found)
    assert refused.value.status == status
    assert "auto" in refused.value.message


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"parameters": {"temperature": 0.2, "n": 1}}, None),
        ({"headers": {"cache-control": "max-age=0, No-Cache"}}, CacheReason.OPTED_OUT),
        ({"headers": {"cache-control": "no-store"}}, CacheReason.OPTED_OUT),
        ({"parameters": {"tools": [{"type": "function"}]}}, CacheReason.HAS_TOOLS),
        ({"parameters": {"tools": []}}, None),
        ({"parameters": {"n": 2}}, CacheReason.SEVERAL_CHOICES),
        ({"parameters": {"temperature": 1.9}}, CacheReason.HIGH_TEMPERATURE),
    ],
)
def test_some_requests_are_not_to_be_answered_from_memory(
    more: dict[str, Any], reason: CacheReason | None
) -> None:
    assert bypass_reason(request("hi", **more), compiled(SETUP.objects()).policies[0]) is reason


ALIASES = {"route": {"aliases": [{"name": "gpt-4o"}, {"name": "house", "model": "rich"}]}}
PREFERS_RICH = {"preferredModel": "rich"}
EXPLAIN = "explain it"


def by_words(asked: ChatRequest, route: Route) -> Choice:
    told = heuristic(route)
    *earlier, last = texts_of(asked)
    return routed(told.of(last), map(told.of, earlier), route)


def chosen(asked: ChatRequest, setup: Setup) -> tuple[str, RouteReason]:
    snapshot = compiled(setup.objects())
    policy, tenant = snapshot.policies[0], snapshot.tenants[TenantName("acme")]
    choice = settled(asked, named_model(asked.model, policy), tenant, policy) or by_words(asked, policy.route)
    found = placed(choice, asked, tenant, policy)
    return found.model, found.reason


@pytest.mark.parametrize(
    ("model", "acme", "prompt", "expected"),
    [
        ("gpt-4o", {}, "easy", ("cheap", RouteReason.SIMPLE)),
        ("gpt-4o", {}, EXPLAIN, ("rich", RouteReason.KEYWORD)),
        ("gpt-4o", PREFERS_RICH, "easy", ("rich", RouteReason.PREFERRED)),
        ("house", {}, "easy", ("rich", RouteReason.ALIAS)),
        ("house", {"preferredModel": "cheap"}, "easy", ("rich", RouteReason.ALIAS)),
        ("rich", {}, "easy", ("rich", RouteReason.EXPLICIT)),
    ],
)
def test_an_alias_is_what_the_policy_says(
    model: str, acme: dict[str, object], prompt: str, expected: tuple[str, RouteReason]
) -> None:
    assert chosen(request(prompt, model), SETUP.but(policy=ALIASES, acme=acme)) == expected


def test_an_alias_may_be_written_where_models_may_not_be_named_and_a_refusal_names_it() -> None:
    setup = SETUP.but(policy={"route": {**ALIASES["route"], "explicitModel": "Deny"}})
    assert chosen(request("easy", "house"), setup) == ("rich", RouteReason.ALIAS)
    with pytest.raises(Refusal, match=r"403 forbidden: .*ask for 'auto' or 'gpt-4o' or 'house'"):
        chosen(request("easy", "rich"), setup)
    with pytest.raises(Refusal, match=r"404 model_not_found: .*'auto' or one of: cheap, gpt-4o, house, rich"):
        chosen(request("easy", "gpt-9"), setup)


def chat(*user_turns: str, tail: tuple[Any, ...] = ()) -> ChatRequest:
    messages: list[Any] = [{"role": "system", "content": "Explain and compare. " + "Be brief. " * 50}]
    for text in user_turns:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "word " * 90}]
    return ChatRequest("r", "auto", [*messages[:-1], *tail])


@pytest.mark.parametrize(
    ("turns", "sticky", "per_turn"),
    [
        (("hi", "easy"), RouteReason.SIMPLE, RouteReason.SIMPLE),
        ((EXPLAIN, "easy"), RouteReason.SESSION, RouteReason.SIMPLE),
        (("hi", "word " * 60, "easy", "easy"), RouteReason.SESSION, RouteReason.SIMPLE),
        (("hi", EXPLAIN), RouteReason.KEYWORD, RouteReason.KEYWORD),
        (("word " * 60, EXPLAIN), RouteReason.KEYWORD, RouteReason.KEYWORD),
    ],
)
def test_a_chat_that_became_complex_stays_so_unless_each_turn_decides(
    turns: tuple[str, ...], sticky: RouteReason, per_turn: RouteReason
) -> None:
    assert chosen(chat(*turns), SETUP)[1] is sticky
    assert chosen(chat(*turns), SETUP.but(policy={"route": {"sessions": "PerTurn"}}))[1] is per_turn


@pytest.mark.parametrize("complex_at", range(6))
def test_a_growing_chat_changes_its_model_once_at_most(complex_at: int) -> None:
    turns = ["What is a fjord?", "And a bay?", "Which is deeper?", "Thanks!", "One in Norway?"]
    turns[complex_at:complex_at] = [EXPLAIN] if complex_at < 5 else []
    models = [chosen(chat(*turns[:count]), SETUP)[0] for count in range(1, len(turns) + 1)]
    assert models == ["cheap"] * complex_at + ["rich"] * (len(turns) - complex_at)


def test_no_more_turns_are_assessed_than_it_takes() -> None:
    route = compiled(SETUP.objects()).policies[0].route
    easy, hard = Assessment(RouteReason.SIMPLE, 0.9, 0.5), Assessment(RouteReason.COMPLEX, 0.1, 0.5)
    asked: list[Assessment] = []

    def earlier(*turns: Assessment) -> Iterator[Assessment]:
        asked.clear()
        for each in turns:
            asked.append(each)
            yield each

    assert routed(hard, earlier(easy), route) == Choice(route.complex, RouteReason.COMPLEX, hard)
    assert asked == []
    assert routed(easy, earlier(easy, hard, easy), route) == Choice(route.complex, RouteReason.SESSION, easy)
    assert asked == [easy, hard]
    assert routed(easy, earlier(easy), route) == Choice(route.simple, RouteReason.SIMPLE, easy)
    assert routed(easy, earlier(hard), replace(route, sticky=False)).reason is RouteReason.SIMPLE


def test_what_tools_say_changes_no_model() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "compare and explain " * 90}
    assert chosen(chat("hi", tail=(called, result)), SETUP) == ("cheap", RouteReason.SIMPLE)
    assert chosen(chat(EXPLAIN, tail=(called, result)), SETUP) == ("rich", RouteReason.KEYWORD)


def test_a_request_without_a_user_is_told_by_its_last_message() -> None:
    assert chosen(chat(tail=({"role": "system", "content": EXPLAIN},)), SETUP)[0] == "rich"
    assert chosen(ChatRequest("r", "auto", []), SETUP) == ("cheap", RouteReason.SIMPLE)


NEXT = {"name": "next", "model": "openai/gpt-4.1-nano", "endpoint": "http://c/v1"}


def with_canary(share: str, of: str = "cheap", **more: Any) -> Setup:
    models = [*SETUP.models(), {**NEXT, "canary": {"of": of, "share": share}}]
    return SETUP.but(policy={"models": models, **ALIASES, **more})


@pytest.mark.parametrize(
    ("of", "model", "acme", "prompt", "expected"),
    [
        ("cheap", "auto", {}, "easy", ("next", RouteReason.CANARY)),
        ("cheap", "auto", {}, EXPLAIN, ("rich", RouteReason.KEYWORD)),
        ("cheap", "gpt-4o", {}, "easy", ("next", RouteReason.CANARY)),
        ("cheap", "cheap", {}, "easy", ("cheap", RouteReason.EXPLICIT)),
        ("cheap", "next", {}, "easy", ("next", RouteReason.EXPLICIT)),
        ("rich", "house", {}, "easy", ("next", RouteReason.CANARY)),
        ("rich", "auto", PREFERS_RICH, "easy", ("next", RouteReason.CANARY)),
        ("rich", "rich", {}, "easy", ("rich", RouteReason.EXPLICIT)),
    ],
)
def test_a_canary_takes_of_what_is_sent_to_its_model_but_for_who_names_that(
    of: str, model: str, acme: dict[str, object], prompt: str, expected: tuple[str, RouteReason]
) -> None:
    assert chosen(request(prompt, model), with_canary("100%", of).but(acme=acme)) == expected


@pytest.mark.parametrize(
    ("words", "more", "expected"),
    [
        (40, {}, ("cheap", RouteReason.SIMPLE)),
        (30_000, {}, ("rich", RouteReason.MANY_WORDS)),
        (40, {"logprobs": True}, ("rich", RouteReason.CAPABILITY)),
    ],
)
def test_what_the_simple_model_cannot_do_or_hold_is_for_the_complex_one(
    words: int, more: dict[str, Any], expected: tuple[str, RouteReason]
) -> None:
    setup = SETUP.but(cheap_model={"contextWindow": 8_000, "capabilities": []})
    assert chosen(request("word " * words, parameters=more), setup) == expected


def test_a_chat_that_outgrows_the_simple_model_moves_on_and_a_named_one_is_asked_whatever_its_length() -> (
    None
):
    setup = SETUP.but(cheap_model={"contextWindow": 8_000}, policy=ALIASES)
    grown = chat(*["What is a fjord?"] * 100)
    assert chosen(grown, setup) == ("rich", RouteReason.CONTEXT_WINDOW)
    named = ChatRequest("r", "cheap", grown.messages)
    assert chosen(named, setup) == ("cheap", RouteReason.EXPLICIT)


SEVERAL = replace(
    compiled(SETUP.objects()).policies[0].route,
    steps=(Step(ModelName("cheap"), 1.0, 0.1), Step(ModelName("middle"), 0.5, 1.0)),
)
LEVELS = {
    "cheap": Assessment(RouteReason.SIMPLE, 0.9, 0.8),
    "middle": Assessment(RouteReason.MIDDLE, 0.6, 0.5, step=1),
    "rich": Assessment(RouteReason.COMPLEX, 0.1, 0.5, step=2),
}


@pytest.mark.parametrize(
    ("turns", "sticky", "per_turn"),
    [
        ("cheap", ("cheap", RouteReason.SIMPLE), ("cheap", RouteReason.SIMPLE)),
        ("middle", ("middle", RouteReason.MIDDLE), ("middle", RouteReason.MIDDLE)),
        ("cheap middle", ("middle", RouteReason.MIDDLE), ("middle", RouteReason.MIDDLE)),
        ("middle cheap", ("middle", RouteReason.SESSION), ("cheap", RouteReason.SIMPLE)),
        ("cheap rich middle cheap", ("rich", RouteReason.SESSION), ("cheap", RouteReason.SIMPLE)),
        ("rich middle", ("rich", RouteReason.SESSION), ("middle", RouteReason.MIDDLE)),
        ("middle rich", ("rich", RouteReason.COMPLEX), ("rich", RouteReason.COMPLEX)),
    ],
)
def test_of_several_models_a_chat_only_goes_up(
    turns: str, sticky: tuple[str, RouteReason], per_turn: tuple[str, RouteReason]
) -> None:
    *earlier, last = (LEVELS[each] for each in turns.split())
    for route, expected in ((SEVERAL, sticky), (replace(SEVERAL, sticky=False), per_turn)):
        found = routed(last, earlier, route)
        assert (found.model, found.reason) == expected


def test_words_tell_the_simple_model_and_the_complex_one_alone() -> None:
    hard, easy = Assessment(RouteReason.KEYWORD), Assessment(RouteReason.SIMPLE)
    assert routed(hard, [], SEVERAL).model == "rich"
    assert routed(easy, [], SEVERAL).model == "cheap"
    assert routed(easy, [hard], SEVERAL).model == "rich"
