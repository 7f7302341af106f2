"""OpenAI's completion objects, as far as we must understand them: what was used, whether the answer is whole, and
how a stream and a completion turn into each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard, cast

from tollway_dataplane.core.facts import JsonObject, JsonValue, Usage
from tollway_dataplane.core.refusals import is_refusal

# The reasons with which a model ends by itself; "length" and "content_filter" are cut short.
_WHOLE: Final = frozenset({"stop"})
# No answer is larger; a count that is would be a mistake, and more than the ledger can add up.
_MOST_TOKENS: Final = 100_000_000
_PLAIN: Final = frozenset({"role", "content"})
_NOT_PLAIN: Final = frozenset({"tool_calls", "function_call", "refusal", "audio"})
_USUAL_TIERS: Final = frozenset({"default", "standard", "auto"})


def usage_of(completion: JsonObject) -> Usage | None:
    """The provider's own count, of which a half is 0 where it sent none or nonsense; None where it counted nothing."""
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, answer = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt + answer == 0:
        return None
    of_prompt, of_answer = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    tier = _tier(completion.get("service_tier") or usage.get("service_tier"))
    if _is_void(of_prompt) and _is_void(of_answer):
        return Usage(prompt, answer, tier=tier)
    reasoning = _count(of_answer, "reasoning_tokens")
    if reasoning and usage.get("total_tokens") == prompt + answer + reasoning:
        answer += reasoning  # some count them beside the answer
    cached = min(_count(of_prompt, "cached_tokens"), prompt)
    # By the name that LiteLLM has for Anthropic's and Bedrock's, and by the one of OpenAI and OpenRouter.
    written = min(_count(of_prompt, "cache_creation_tokens", "cache_write_tokens"), prompt - cached)
    kept = of_prompt.get("cache_creation_token_details") if isinstance(of_prompt, dict) else None
    hour = min(_count(kept, "ephemeral_1h_input_tokens"), written)
    return Usage(prompt, answer, False, cached, written, hour, min(reasoning, answer), tier)


def is_error(reply: JsonObject) -> bool:
    """Whether what came as a success says itself that it is none; OpenRouter has it in the choice that failed."""
    return bool(reply.get("error")) or any(choice.get("error") for choice in choices_of(reply))


def error_in(reply: JsonValue) -> tuple[str, str]:
    """Code and sentence of an error reply; empty where it has none. Most providers have OpenAI's `error` around them,
    Mistral and older vLLMs nothing, and for Ollama the error is the sentence.
    """
    error = reply.get("error", reply) if isinstance(reply, Mapping) else None
    if isinstance(error, str):
        return "", error
    if not isinstance(error, Mapping):
        return "", ""
    sentence = error.get("message") or error.get("detail")
    return str(error.get("code") or ""), sentence if isinstance(sentence, str) else ""


def _count(details: JsonValue, *names: str) -> int:
    """Under the first of the names that has one."""
    if isinstance(details, dict):
        for name in names:
            if _is_count(value := details.get(name)) and value:
                return value
    return 0


def _is_void(details: JsonValue) -> bool:
    """Whether nothing is told apart, as of most answers: there are no details, or they are all zero."""
    return not isinstance(details, dict) or not any(details.values())


def _tier(value: JsonValue) -> str:
    """What a provider calls its usual one has no name here."""
    return value if isinstance(value, str) and value not in _USUAL_TIERS else ""


def _is_count(value: JsonValue) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS


def is_whole(completion: JsonObject) -> bool:
    """Whether every choice ended by itself with text alone that is an answer, so that it can be given again."""
    choices = choices_of(completion)
    return is_answer(text_of(completion)) and all(
        str(choice.get("finish_reason")) in _WHOLE
        and _is_plain(choice.get("message"))
        and not choice.get("logprobs")  # a stream made of it could not give them back
        for choice in choices
    )


def is_answer(text: str) -> bool:
    """Whether a text says something, and does not decline to."""
    return text != "" and not text.isspace() and not is_refusal(text)


def finished_choices(chunk: JsonObject) -> set[str]:
    """Indexes, whatever a provider has there, of the choices of which a stream's chunk is the last."""
    finished: set[str] = set()  # said so it takes a third of the time
    for choice in choices_of(chunk):
        if choice.get("finish_reason"):
            finished.add(str(choice.get("index", 0)))
    return finished


def finish_reasons_in(chunk: JsonObject) -> set[str]:
    return {str(reason) for choice in choices_of(chunk) if (reason := choice.get("finish_reason"))}


def written_in(completion: JsonObject) -> str:
    """All that a model has written, in every choice, calls of tools included: for who must count it."""
    messages = [choice.get("message") for choice in choices_of(completion)]
    return "".join(_written(message) for message in messages if isinstance(message, dict))


def _written(message: JsonObject) -> str:
    """All that a message says, or a piece of one. A stream has hundreds of pieces, and most are plain."""
    if message.keys() <= _PLAIN:
        return _words(message.get("content"))
    values = [message.get(name) for name in ("content", "refusal", "reasoning_content", "function_call")]
    calls = message.get("tool_calls")
    return "".join(map(_words, [*values, *(calls if isinstance(calls, list) else [])]))


def _words(value: JsonValue) -> str:
    """What a model wrote of a value: of a call, the function's name and arguments."""
    if isinstance(value, dict):
        return "".join(
            map(_words, (value.get(name) for name in ("function", "custom", "name", "arguments", "input")))
        )
    return value if isinstance(value, str) else ""


def written_in_chunk(chunk: JsonObject) -> str:
    """All that a chunk of a stream brings, in every choice."""
    written = ""
    for choice in choices_of(chunk):
        if isinstance(delta := choice.get("delta"), dict):
            written += _written(delta)
    return written


def head_of(completion: JsonObject) -> dict[str, JsonValue]:
    """What a completion and all chunks of a stream have in common."""
    names = ("id", "created", "model", "system_fingerprint", "service_tier")
    return {name: completion[name] for name in names if name in completion}


def ending(chunk: JsonObject, unfinished: Sequence[int], usage: Usage) -> Iterator[JsonObject]:
    """What a stream ends with that is ended for its caller, after this chunk: the choices that were not finished, and
    the usage.
    """
    base: dict[str, JsonValue] = {**head_of(chunk), "object": "chat.completion.chunk"}
    choices: list[JsonValue] = [
        {"index": index, "delta": {}, "finish_reason": "length"} for index in unfinished
    ]
    if choices:
        yield {**base, "choices": choices}
    counted = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
    }
    yield {**base, "choices": [], "usage": counted}


def text_of(completion: JsonObject) -> str:
    """The first choice's text."""
    for choice in choices_of(completion):
        message = choice.get("message")
        if isinstance(message, dict) and isinstance(content := message.get("content"), str):
            return content
    return ""


def _is_plain(message: JsonValue) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("content"), str)
        and not message.get("tool_calls")
        and not message.get("refusal")
    )


def choices_of(completion: JsonObject) -> list[JsonObject]:
    """The choices of a completion, or of a stream's chunk. Asked several times of each chunk, so it is a loop, as are
    those who ask it then: what is written as an expression is a function of its own, which takes as long as the rest.
    """
    choices = completion.get("choices")
    if not isinstance(choices, list):
        return []
    for choice in choices:
        if not isinstance(choice, dict):
            return [each for each in choices if isinstance(each, dict)]
    return cast("list[JsonObject]", choices)


@dataclass(slots=True)
class Assembly:
    """Puts a stream's chunks together into the completion they stand for. One choice of plain text is all that is
    ever remembered, so anything else only makes the assembly not whole.
    """

    text: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # in every choice, calls of tools included
    usage: Usage | None = None
    finish_reason: str | None = None
    plain: bool = True
    first: JsonObject | None = None
    raw_usage: JsonValue = None

    def add(self, chunk: JsonObject) -> None:
        if self.first is None:
            self.first = chunk
        # The tier of service may have been said before.
        if chunk.get("usage") and (usage := usage_of({**head_of(self.first), **chunk})) is not None:
            self.usage, self.raw_usage = usage, chunk["usage"]
        for choice in choices_of(chunk):
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self.written.append(_written(delta))
            if not isinstance(delta, dict) or choice.get("index", 0) != 0:
                self.plain = False
                continue
            if isinstance(content := delta.get("content"), str):
                self.text.append(content)
            if not _NOT_PLAIN.isdisjoint(delta) and any(delta[name] for name in _NOT_PLAIN & delta.keys()):
                self.plain = False
            if choice.get("logprobs"):
                self.plain = False  # a replay could not give them back
            if isinstance(reason := choice.get("finish_reason"), str):
                self.finish_reason = reason

    @property
    def whole(self) -> bool:
        return self.plain and self.finish_reason in _WHOLE and is_answer("".join(self.text))

    def completion(self) -> JsonObject:
        """The `chat.completion` object that a request without streaming would have got."""
        first = self.first or {}
        message = {"role": "assistant", "content": "".join(self.text)}
        choice: JsonObject = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        usage = {} if self.raw_usage is None else {"usage": self.raw_usage}
        return {**head_of(first), "object": "chat.completion", "choices": [choice], **usage}


def chunks_of(
    completion: JsonObject, *, include_usage: bool, words_per_chunk: int = 8
) -> Iterator[JsonObject]:
    """A remembered completion as the stream it would have been."""
    base: dict[str, JsonValue] = {**head_of(completion), "object": "chat.completion.chunk"}
    if include_usage:
        base["usage"] = None  # as providers do: null on every chunk but the last

    def chunk(delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(text_of(completion), words_per_chunk):
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if include_usage and (usage := completion.get("usage")) is not None:
        yield {**base, "choices": [], "usage": usage}


def _pieces(text: str, words: int) -> Iterator[str]:
    """The text in runs of words, blanks included, so that joining gives it back."""
    parts = text.split(" ")
    for start in range(0, len(parts), words):
        piece = " ".join(parts[start : start + words])
        yield piece if start + words >= len(parts) else piece + " "
