"""What a request needs of a model besides text."""

from typing import Any

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.catalog import bundled
from tollway_api.routing_policy import Capability
from tollway_dataplane.core.attempts import plan
from tollway_dataplane.core.capabilities import able, is_proven, lacking, needs
from tollway_dataplane.core.facts import ChatRequest

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
SPEECH = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
TEXT = {"type": "text", "text": "What is this?"}
FUNCTION = {"name": "f", "parameters": {}}


def request(content: Any = "hi", **parameters: Any) -> ChatRequest:
    return ChatRequest("r", "auto", [{"role": "user", "content": content}], parameters)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (request(), set()),
        (request([TEXT]), set()),
        (request([TEXT, PICTURE]), {"Vision"}),
        (request([SPEECH]), {"Audio"}),
        (request(modalities=["text", "audio"], audio={"voice": "alloy"}), {"Audio"}),
        (request(modalities=["text"]), set()),
        (request(tools=[{"type": "function", "function": FUNCTION}]), {"Tools"}),
        (request(functions=[FUNCTION]), {"Tools"}),
        (request(tools=[], tool_choice="none"), set()),
        (request(response_format={"type": "json_object"}), {"JSONMode"}),
        (request(response_format={"type": "json_schema", "json_schema": {}}), {"JSONSchema"}),
        (request(response_format={"type": "text"}), set()),
        (request(response_format=None, tools=None, logprobs=None, audio=None), set()),
        (request(logprobs=True, top_logprobs=2), {"Logprobs"}),
        (request(logprobs=False), set()),
        (request([PICTURE], logprobs=True), {"Vision", "Logprobs"}),
    ],
)
def test_what_is_asked_for_is_what_a_model_must_have(asked: ChatRequest, wanted: set[str]) -> None:
    assert needs(asked) == wanted


def test_a_picture_of_an_earlier_turn_is_still_to_be_seen() -> None:
    messages = [*request([PICTURE]).messages, {"role": "user", "content": "And now?"}]
    assert needs(ChatRequest("r", "auto", messages)) == {"Vision"}


@pytest.mark.parametrize(
    ("model", "capability", "lacks", "proven"),
    [
        ("gpt-4o", Capability.VISION, False, True),
        ("o3-mini", Capability.VISION, True, False),  # the catalogue says no
        ("gpt-3.5-turbo", Capability.VISION, False, False),  # it says nothing of it
        ("gpt-5", Capability.LOGPROBS, True, False),  # the parameter does not reach it
        ("claude-haiku-4-5", Capability.LOGPROBS, True, False),
        ("claude-haiku-4-5", Capability.TOOLS, False, True),
        ("gpt-4", Capability.JSON_SCHEMA, True, False),
    ],
)
def test_the_catalogue_says_what_a_model_cannot(
    model: str, capability: Capability, lacks: bool, proven: bool
) -> None:
    entry = bundled().find(model)
    assert entry is not None
    assert (capability in entry.lacks) == lacks
    assert (capability in entry.lacks or capability in entry.unproven) != proven


def test_of_a_model_that_nobody_knows_everything_is_assumed_and_its_owner_knows_best() -> None:
    own = {"model": "openai/my-model", "pricing": {"input": "1", "output": "1"}, "contextWindow": 128_000}
    setup = Setup("http://a/v1", "http://b/v1", cheap_model=own)
    everything = frozenset(Capability)

    def cheap(changed: Setup) -> Any:
        return next(m for m in compiled(changed.objects()).policies[0].models.values() if m.name == "cheap")

    assert is_proven(cheap(setup), everything)
    described = setup.but(cheap_model={**own, "capabilities": ["Tools", "JSONMode"]})
    assert lacking(cheap(described), everything) == everything - {"Tools", "JSONMode"}
    assert is_proven(cheap(described), frozenset({Capability.TOOLS}))
    known = Setup("http://a/v1", "http://b/v1", cheap_model={"model": "o3-mini", "capabilities": ["Vision"]})
    assert is_proven(cheap(known), frozenset({Capability.VISION}))
    assert lacking(cheap(known), everything) == everything - {"Vision"}


def test_what_surely_cannot_do_it_does_not_stand_in() -> None:
    setup = Setup("http://a/v1", "http://b/v1", rich_model={"capabilities": []})
    policy = compiled(setup.objects()).policies[0]

    def tried(asked: ChatRequest, first: str) -> list[str]:
        chosen = next(name for name in policy.models if name == first)
        return [each.model.name for each in able(plan(policy, chosen, asked.messages), needs(asked))]

    assert tried(request(), "cheap") == ["cheap", "rich"]
    assert tried(request([PICTURE]), "cheap") == ["cheap"]
    assert tried(request([PICTURE]), "rich") == ["rich", "cheap"]  # it was chosen, for whatever reason
