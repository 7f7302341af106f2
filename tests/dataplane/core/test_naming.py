"""Which model is meant, and who is served the same answers."""

from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName, TenantName
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.naming import stood_in
from tollway_dataplane.judgement.identity import partition_of

SETUP = Setup("http://a/v1", "http://b/v1")
ALIASES = {"route": {"aliases": [{"name": "gpt-4o"}, {"name": "house", "model": "rich"}]}}
PREFERS_RICH = {"preferredModel": "rich"}
NEXT = {"name": "next", "model": "openai/gpt-4.1-nano", "endpoint": "http://c/v1"}


def with_canary(share: str, of: str = "cheap") -> Setup:
    models: list[Any] = [*SETUP.models(), {**NEXT, "canary": {"of": of, "share": share}}]
    return SETUP.but(policy={"models": models, **ALIASES})


def request(prompt: str, model: str = "auto") -> ChatRequest:
    return ChatRequest("r", model, [{"role": "user", "content": prompt}], prompt=prompt)


def partition(asked: ChatRequest, setup: Setup) -> str:
    snapshot = compiled(setup.objects())
    (index,) = snapshot.indexes.values()
    return partition_of(asked, snapshot.tenants[TenantName("acme")], snapshot.policies[0], index, ())


def test_answers_are_shared_by_those_who_mean_the_same_model() -> None:
    setup = SETUP.but(policy=ALIASES)
    asked = {model: partition(request("easy", model), setup) for model in ("auto", "gpt-4o", "house", "rich")}
    assert asked["auto"] == asked["gpt-4o"] == partition(request("easy"), SETUP)
    assert asked["house"] == asked["rich"] != asked["auto"]
    elsewhere = SETUP.but(policy={"route": {"aliases": [{"name": "house", "model": "cheap"}]}})
    assert partition(request("easy", "house"), elsewhere) != asked["house"]
    prefers = setup.but(acme=PREFERS_RICH)
    assert (
        partition(request("easy"), prefers) == partition(request("easy", "gpt-4o"), prefers) == asked["rich"]
    )


def test_a_canarys_answers_are_its_own_conversations_and_nobody_elses_are() -> None:
    stable = partition(request("easy"), SETUP)
    assert partition(request("easy"), with_canary("0%")) == stable
    assert partition(request("easy"), with_canary("100%")) != stable
    alias = {
        model: partition(request("easy", model), with_canary("100%", "rich")) for model in ("house", "next")
    }
    assert alias["house"] == alias["next"]
    drawn = {partition(request(f"easy {number}"), with_canary("50%")) for number in range(30)}
    assert drawn == {stable, partition(request("easy"), with_canary("100%"))}


@pytest.mark.parametrize(
    ("model", "wanted", "answered", "other"),
    [
        ("auto", "cheap", "cheap", False),
        ("auto", "cheap", "rich", False),  # whoever wants any of them may have either
        ("gpt-4o", "cheap", "rich", False),
        ("auto", "next", "next", False),
        ("auto", "next", "cheap", True),
        ("auto", "cheap", "next", True),
        ("house", "rich", "cheap", True),
        ("rich", "rich", "cheap", True),
        ("house", "rich", "rich", False),
    ],
)
def test_what_another_model_answered_is_not_remembered_as_this_ones(
    model: str, wanted: str, answered: str, other: bool
) -> None:
    policy = compiled(with_canary("50%").objects()).policies[0]
    assert stood_in(request("easy", model), policy, ModelName(wanted), answered) is other
