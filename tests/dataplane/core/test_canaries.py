"""Which conversations a model is tried out on."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName, TenantName
from tollway_api.snapshot import Canary, Policy
from tollway_dataplane.core.canaries import canaries_drawn, drawn
from tollway_dataplane.core.facts import ChatRequest, JsonObject

ACME, BETA = TenantName("acme"), TenantName("beta")
CHEAP, RICH, NEXT, OTHER = map(ModelName, ("cheap", "rich", "next", "other"))
POLICY = compiled(Setup("http://a/v1", "http://b/v1").objects()).policies[0]
CONVERSATIONS = 4_000


def policy(**shares: float) -> Policy:
    """With these canaries of the cheap model."""
    canaries = tuple(Canary(ModelName(name), CHEAP, share) for name, share in shares.items())
    return replace(POLICY, route=replace(POLICY.route, canaries=canaries))


def chat(*turns: str, **more: object) -> ChatRequest:
    roles = ("user", "assistant")
    messages: list[JsonObject] = [
        {"role": roles[place % 2], "content": text} for place, text in enumerate(turns)
    ]
    return replace(ChatRequest("r", "auto", messages), **more)  # type: ignore[arg-type]  # a test may give anything


def draws(tried: Policy) -> list[ModelName]:
    return [drawn(CHEAP, chat(f"What is {number}?"), ACME, tried) for number in range(CONVERSATIONS)]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.9])
def test_a_canary_has_its_share_of_conversations(share: float) -> None:
    found = draws(policy(next=share)).count(NEXT) / CONVERSATIONS
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / CONVERSATIONS) ** 0.5)


def test_nothing_is_drawn_of_no_share_and_everything_of_the_whole() -> None:
    assert set(draws(policy(next=0.0))) == {CHEAP}
    assert set(draws(policy(next=1.0))) == {NEXT}
    assert set(draws(policy(next=0.5, other=0.5))) == {NEXT, OTHER}


def test_a_share_that_grows_takes_conversations_and_gives_none_away() -> None:
    found = [draws(policy(next=share)) for share in (0.0, 0.05, 0.2, 0.5, 1.0)]
    for before, after in pairwise(found):
        moved = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        assert moved
        assert set(moved) == {(CHEAP, NEXT)}


def test_a_canary_loses_few_of_its_conversations_when_another_grows() -> None:
    before, after = draws(policy(next=0.1, other=0.1)), draws(policy(next=0.3, other=0.1))
    lost = sum(one == OTHER != other for one, other in zip(before, after, strict=True))
    assert lost < 0.3 * before.count(OTHER)
    assert all(one != NEXT or other == NEXT for one, other in zip(before, after, strict=True))


def test_a_chat_stays_with_what_it_began_with() -> None:
    tried = policy(next=0.5)
    for number in range(50):
        first = f"What is {number}?"
        begun = drawn(CHEAP, chat(first), ACME, tried)
        assert drawn(CHEAP, chat(first, "A number.", "And then?", "More.", "Why?"), ACME, tried) == begun
        dated = chat(first)
        messages = [{"role": "system", "content": f"It is {number} o'clock."}, *dated.messages]
        assert drawn(CHEAP, replace(dated, messages=messages), ACME, tried) == begun


def test_a_caller_may_say_what_belongs_together() -> None:
    tried = policy(next=0.5)
    for number in range(20):
        headers = {"x-tollway-session": f"s{number}"}
        asked = {drawn(CHEAP, chat(f"What is {turn}?", headers=headers), ACME, tried) for turn in range(20)}
        assert len(asked) == 1


def test_conversations_of_two_tenants_or_policies_are_two_conversations() -> None:
    tried = policy(next=0.5)
    asked = [chat(f"What is {number}?") for number in range(200)]
    ours = [drawn(CHEAP, each, ACME, tried) for each in asked]
    assert ours != [drawn(CHEAP, each, BETA, tried) for each in asked]
    assert ours != [drawn(CHEAP, each, ACME, replace(tried, name="other")) for each in asked]


def test_only_what_would_go_to_its_model_goes_to_a_canary() -> None:
    tried = policy(next=1.0)
    assert drawn(RICH, chat("hi"), ACME, tried) == RICH
    assert canaries_drawn(chat("hi"), ACME, tried) == [NEXT]
    assert canaries_drawn(chat("hi"), ACME, policy(next=0.0)) == []
    assert canaries_drawn(chat("hi"), ACME, POLICY) == []


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": "\ud800"}], [{"role": "tool"}]])
def test_whatever_is_asked_is_a_conversation(messages: list[JsonObject]) -> None:
    assert drawn(CHEAP, ChatRequest("r", "auto", messages), ACME, policy(next=0.5)) in {CHEAP, NEXT}
