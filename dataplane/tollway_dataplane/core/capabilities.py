"""What a request needs of a model besides reading and writing text, and whether the model has it."""

from collections.abc import Sequence
from typing import Final

from tollway_api.routing_policy import Capability
from tollway_api.snapshot import Model
from tollway_dataplane.core.attempts import Attempt
from tollway_dataplane.core.facts import ChatRequest, JsonValue, answer_format, has_tools

_OF_PARTS: Final = {"image_url": Capability.VISION, "input_audio": Capability.AUDIO}
_OF_FORMATS: Final = {"json_object": Capability.JSON_MODE, "json_schema": Capability.JSON_SCHEMA}


def needs(request: ChatRequest) -> frozenset[Capability]:
    asked = request.parameters
    found = {
        capability
        for message in request.messages
        for part in _parts(message.get("content"))
        if isinstance(part, dict) and (capability := _OF_PARTS.get(str(part.get("type"))))
    }
    if has_tools(asked):
        found.add(Capability.TOOLS)
    spoken = asked.get("modalities")
    if asked.get("audio") or (isinstance(spoken, list) and "audio" in spoken):
        found.add(Capability.AUDIO)
    if asked.get("logprobs"):
        found.add(Capability.LOGPROBS)
    if capability := _OF_FORMATS.get(answer_format(asked)):
        found.add(capability)
    return frozenset(found)


def lacking(model: Model, wanted: frozenset[Capability]) -> frozenset[Capability]:
    """What the model surely cannot."""
    return wanted.intersection(model.lacks)


def is_proven(model: Model, wanted: frozenset[Capability]) -> bool:
    """Whether there is no doubt that it can: of a model of which nothing is said at all there is none."""
    return wanted.isdisjoint(model.lacks) and wanted.isdisjoint(model.unproven)


def able(attempts: Sequence[Attempt], wanted: frozenset[Capability]) -> list[Attempt]:
    """The first, which was chosen for the request, and what can stand in for it."""
    if not wanted:
        return list(attempts)
    return [*attempts[:1], *(each for each in attempts[1:] if not lacking(each.model, wanted))]


def _parts(content: JsonValue) -> list[JsonValue]:
    return content if isinstance(content, list) else []
