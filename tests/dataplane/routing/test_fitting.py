"""Who answers where the chosen model cannot."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName
from tollway_api.routing_policy import Capability
from tollway_api.snapshot import Model, Policy
from tollway_dataplane.core.capabilities import is_proven, lacking, needs
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.tokens import estimate_prompt
from tollway_dataplane.errors import Refusal
from tollway_dataplane.routing.fitting import Choice, able_model, check_named

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
SPEECH = {"type": "input_audio", "input_audio": {"data": "A" * 1_000_000, "format": "wav"}}
LONG, CAPABLE, SIMPLE = RouteReason.CONTEXT_WINDOW, RouteReason.CAPABILITY, RouteReason.SIMPLE
ALL = ["Tools", "Vision", "Audio", "JSONMode", "JSONSchema", "Logprobs"]


def model(name: str, window: int, price: str, can: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "model": f"openai/my-{name}",
        "endpoint": "http://a/v1",
        "pricing": {"input": price, "output": price},
        "contextWindow": window,
        "maxOutputTokens": 1_000,
        **({} if can is None else {"capabilities": can}),
        **more,
    }


def policy(*models: dict[str, Any], simple: str = "cheap", complex_: str = "rich") -> Policy:
    route = {"simpleModel": simple, "complexModel": complex_}
    setup = Setup("http://a/v1", "http://b/v1", policy={"models": list(models), "route": route})
    return compiled(setup.objects()).policies[0]


def request(words: int = 1, *parts: object, **parameters: Any) -> ChatRequest:
    """Four letters are about a token."""
    content: Any = [{"type": "text", "text": "word" * words}, *parts] if parts else "word" * words
    return ChatRequest("r", "auto", [{"role": "user", "content": content}], parameters)


def chosen(asked: ChatRequest, found: Policy, first: str = "cheap") -> tuple[str, RouteReason]:
    choice = able_model(Choice(ModelName(first), SIMPLE), asked, needs(asked), found)
    return choice.model, choice.reason


WINDOWS = policy(
    model("cheap", 4_000, "1"),
    model("middling", 16_000, "3"),
    model("small", 14_000, "2"),
    model("rich", 8_000, "9"),
    model("vast", 100_000, "5"),
)


@pytest.mark.parametrize(
    ("words", "more", "expected"),
    [
        (2_900, {}, ("cheap", SIMPLE)),
        (3_100, {}, ("rich", LONG)),  # no room for an answer of a thousand
        (3_100, {"max_tokens": 100}, ("cheap", SIMPLE)),
        (3_960, {"max_tokens": 100}, ("rich", LONG)),
        (2_900, {"max_tokens": 900_000}, ("cheap", SIMPLE)),  # it writes a thousand at most
        (6_900, {}, ("rich", LONG)),
        (8_000, {}, ("small", LONG)),  # of those with room the cheapest
        (14_000, {}, ("middling", LONG)),
        (50_000, {}, ("vast", LONG)),
        (150_000, {}, ("vast", LONG)),  # none has room; this one has most
        (10, {"tools": [{"type": "function", "description": "word" * 5_000}]}, ("rich", LONG)),
    ],
)
def test_a_prompt_that_is_too_long_goes_where_it_has_room(
    words: int, more: dict[str, Any], expected: tuple[str, RouteReason]
) -> None:
    assert chosen(request(words, **more), WINDOWS) == expected


def test_where_none_has_room_the_chosen_model_stays_when_none_has_more() -> None:
    found = policy(model("cheap", 4_000, "1"), model("rich", 4_000, "9"))
    assert chosen(request(9_000), found) == ("cheap", SIMPLE)


def test_pictures_and_speech_are_not_as_long_as_their_encoding() -> None:
    found = policy(model("cheap", 4_000, "1", ALL), model("rich", 100_000, "9", ALL))
    assert chosen(request(10, PICTURE, SPEECH), found) == ("cheap", SIMPLE)


CAPABLE_ONES = policy(
    model("cheap", 8_000, "1", ["Tools"]),
    model("rich", 8_000, "9", ["Tools", "JSONSchema"]),
    model("seeing", 8_000, "5", ["Vision", "Tools"]),
    model("seeing-far", 90_000, "7", ["Vision"]),
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(tools=[{"type": "function"}]), ("cheap", SIMPLE)),
        (request(response_format={"type": "json_schema"}), ("rich", CAPABLE)),
        (request(1, PICTURE), ("seeing", CAPABLE)),
        (request(20_000, PICTURE), ("seeing-far", CAPABLE)),
        (request(20_000, PICTURE, tools=[{"type": "function"}]), ("seeing", CAPABLE)),
    ],
)
def test_what_a_model_cannot_another_one_does(asked: ChatRequest, expected: tuple[str, RouteReason]) -> None:
    assert chosen(asked, CAPABLE_ONES) == expected


@pytest.mark.parametrize(
    ("asked", "lacks", "param"),
    [
        (request(logprobs=True), "Logprobs", "logprobs"),
        (request(1, SPEECH), "Audio", "messages"),
        (
            request(1, PICTURE, response_format={"type": "json_schema"}),
            "JSONSchema, Vision",
            "response_format",
        ),
    ],
)
def test_what_no_model_can_is_refused_and_said(asked: ChatRequest, lacks: str, param: str) -> None:
    with pytest.raises(Refusal) as refused:
        chosen(asked, CAPABLE_ONES)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert f"no one model of policy default/chat can do what this request needs ({lacks}); " in (
        refused.value.message
    )
    assert "may add one that can" in refused.value.message


def test_a_model_of_which_it_is_doubtful_is_asked_where_there_is_no_other() -> None:
    doubtful = model("cheap", 8_000, "1", model="gpt-3.5-turbo")
    assert chosen(request(1, PICTURE), policy(doubtful, model("rich", 8_000, "9", []))) == ("cheap", SIMPLE)
    sure = policy(doubtful, model("rich", 8_000, "9", ["Vision"]))
    assert chosen(request(1, PICTURE), sure) == ("rich", CAPABLE)
    assert chosen(request(1), sure) == ("cheap", SIMPLE)


def test_a_canary_that_cannot_gives_back_what_it_took_and_takes_nothing_else() -> None:
    canary = {"canary": {"of": "cheap", "share": "5%"}}
    found = policy(
        model("cheap", 8_000, "2", ["Vision"]),
        model("next", 90_000, "1", [], **canary),
        model("rich", 8_000, "9", ["Vision"]),
    )
    assert chosen(request(1, PICTURE), found, "next") == ("cheap", CAPABLE)
    assert chosen(request(20_000), found, "cheap") == ("cheap", SIMPLE)
    assert found.route.simple == "cheap"  # though the canary is cheaper


def test_a_model_that_was_named_is_refused_where_it_surely_cannot() -> None:
    asked = request(1, PICTURE)
    with pytest.raises(
        Refusal, match=r"model 'cheap' cannot do .*\(Vision\); ask for one of: seeing, seeing-far"
    ):
        check_named(CAPABLE_ONES.models[ModelName("cheap")], needs(asked), CAPABLE_ONES)
    check_named(CAPABLE_ONES.models[ModelName("seeing")], needs(asked), CAPABLE_ONES)
    asked = request(logprobs=True)
    with pytest.raises(Refusal, match=r"\(Logprobs\); nor can any other"):
        check_named(CAPABLE_ONES.models[ModelName("cheap")], needs(asked), CAPABLE_ONES)


BASE = policy(model("cheap", 4_000, "1"), model("rich", 4_000, "9"), model("other", 4_000, "3"))
capabilities = st.lists(st.sampled_from(Capability), unique=True, max_size=3).map(tuple)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    def changed(each: Model) -> Model:
        window = draw(st.integers(1, 9_000))
        return replace(each, context_window=window, lacks=draw(capabilities), unproven=draw(capabilities))

    return replace(BASE, models={name: changed(each) for name, each in BASE.models.items()})


@given(found=policies(), wanted=capabilities.map(frozenset), words=st.integers(1, 9_000))
def test_the_model_can_where_any_can_and_another_one_is_better_than_the_chosen(
    found: Policy, wanted: frozenset[Capability], words: int
) -> None:
    asked, first = request(words, max_tokens=1), Choice(ModelName("cheap"), SIMPLE)
    can = {name for name, each in found.models.items() if not lacking(each, wanted)}
    sure = {name for name in can if is_proven(found.models[name], wanted)}
    least = estimate_prompt(asked.messages, asked.parameters) + 1
    roomy = {name for name in can if found.models[name].context_window >= least}
    try:
        choice = able_model(first, asked, wanted, found)
    except Refusal:
        assert not can
        return
    assert choice.model in can
    assert choice.model in roomy or not roomy
    assert choice.model in sure & roomy or not sure & roomy
    if first.model in sure & roomy:
        assert choice == first
    assert (choice.model == first.model) == (choice.reason is SIMPLE)
