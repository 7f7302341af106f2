"""What a decision may look at: the request as it was understood, read once at the edge. Nothing after the edge
sees a raw body or an HTTP type.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from tollway_dataplane.core.values import value

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

# OpenAI's two names for a bound on an answer's tokens, the older first.
OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens")

NO_HEADERS: Final[Mapping[str, str]] = {}


class Operation(StrEnum):
    """The path of a call below a provider's base URL."""

    CHAT = "chat/completions"
    EMBEDDINGS = "embeddings"


def choices_in(fields: JsonObject) -> int:
    """How many answers a request asks for."""
    count = fields.get("n")
    return count if isinstance(count, int) else 1


def has_tools(fields: JsonObject) -> bool:
    """Whether a request offers something to call, under OpenAI's name or its older one."""
    return bool(fields.get("tools") or fields.get("functions"))


def answer_format(fields: JsonObject) -> str:
    """The form that a request wants its answer in, such as "json_schema"; "" where it does not say."""
    form = fields.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    return "" if kind is None else str(kind)


@value
class ChatRequest:
    """One chat completion. `parameters` is everything the caller sent but model, messages and streaming."""

    request_id: str
    model: str
    messages: Sequence[JsonObject]
    parameters: JsonObject = field(default_factory=dict)
    prompt: str | None = None  # text of the last message, when that is a user's and only text
    stream: bool = False
    include_usage: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)  # looked up by lower-case names

    @property
    def choices(self) -> int:
        return choices_in(self.parameters)

    @property
    def output_limit(self) -> int | None:
        """The caller's own bound on an answer's tokens; the smaller one of who sent it under both of its names."""
        least = None
        for name in OUTPUT_LIMITS:
            given = self.parameters.get(name)
            if isinstance(given, int) and (least is None or given < least):
                least = given
        return least


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said earlier in a chat, by its user or by the assistant."""

    role: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """Texts, or token ids, to be turned into vectors by a provider."""

    request_id: str
    model: str
    inputs: JsonValue
    parameters: JsonObject = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@value
class Usage:
    """Tokens of one answer. `estimated` when the provider did not say."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False
    cached_tokens: int = 0  # of the prompt, read from the provider's cache
    written_tokens: int = 0  # of the prompt, written to it
    hour_tokens: int = 0  # of those, to be kept for an hour
    reasoning_tokens: int = 0  # of the answer, thought
    tier: str = ""  # of service, as the provider calls it; "" is the usual one

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def is_complete(self) -> bool:
        """No prompt has no token, and hardly an answer: a half without one is mostly one that nobody counted."""
        return self.prompt_tokens > 0 and self.completion_tokens > 0

    def completed(self, estimate: "Usage") -> "Usage":
        """This usage, with the estimate in place of a half that nobody counted."""
        prompt = self.prompt_tokens or estimate.prompt_tokens
        answer = self.completion_tokens or estimate.completion_tokens
        guessed = (prompt, answer) != (self.prompt_tokens, self.completion_tokens)
        return (
            replace(self, prompt_tokens=prompt, completion_tokens=answer, estimated=True) if guessed else self
        )


def text_of_content(content: JsonValue) -> str:
    """Every text of a message."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def user_texts(messages: Sequence[JsonObject]) -> Iterator[str]:
    """What the user has said, turn by turn."""
    return (text_of_content(each.get("content")) for each in messages if each.get("role") == "user")


NO_USAGE: Final = Usage(0, 0)
