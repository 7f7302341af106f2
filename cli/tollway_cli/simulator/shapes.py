"""The two wire formats: how each provider words a completion, a stream and an error. Pure; bytes out."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from tollway_cli.simulator.faults import MESSAGE, FaultKind

CREATED = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, as tokens. `choices` copies of it are given and billed; a whole one at so many times its tokens."""

    id: str
    model: str
    prompt_tokens: int
    pieces: Sequence[str]
    truncated: bool
    choices: int = 1
    include_usage: bool = False
    times: int = 1
    says_usage: bool = True
    withheld: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def completion_tokens(self) -> int:
        return len(self.pieces) * self.choices * self.times


class Shape(Protocol):
    def completion(self, answer: Answer) -> bytes: ...

    def events(self, answer: Answer) -> Iterator[tuple[bytes, bool]]:
        """Each event of a stream, and whether it is a token, which takes time."""

    def error(self, kind: FaultKind, context: str) -> bytes: ...

    def invalid(self, message: str) -> bytes: ...

    def unauthorized(self) -> bytes: ...


class OpenAIShape:
    def completion(self, answer: Answer) -> bytes:
        choice = {
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": self._reason(answer),
            "logprobs": None,
        }
        choices = [{"index": place, **choice} for place in range(answer.choices)]
        head = {"id": answer.id, "object": "chat.completion", "created": CREATED, "model": answer.model}
        usage = {"usage": self._usage(answer)} if answer.says_usage else {}
        return orjson.dumps({**head, "choices": choices, **usage})

    def events(self, answer: Answer) -> Iterator[tuple[bytes, bool]]:
        head: dict[str, object] = {
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": answer.model,
        }
        if answer.include_usage:
            head["usage"] = None

        def event(delta: dict[str, str], reason: str | None = None) -> bytes:
            choices = [
                {"index": place, "delta": delta, "finish_reason": reason} for place in range(answer.choices)
            ]
            return _data({**head, "choices": choices})

        yield event({"role": "assistant", "content": ""}), False
        for piece in answer.pieces:
            yield event({"content": piece}), True
        yield event({}, self._reason(answer)), False
        if answer.include_usage and answer.says_usage:
            yield _data({**head, "choices": [], "usage": self._usage(answer)}), False
        yield b"data: [DONE]\n\n", False

    def error(self, kind: FaultKind, context: str) -> bytes:
        match kind:
            case FaultKind.RATE_LIMIT:
                return _openai_error(MESSAGE[kind], "requests", "rate_limit_exceeded")
            case FaultKind.CONTEXT_LENGTH:
                message = f"This model's maximum context length was exceeded: {context}."
                return _openai_error(message, "invalid_request_error", "context_length_exceeded", "messages")
            case FaultKind.FILTERED:
                return _openai_error(MESSAGE[kind], "invalid_request_error", "content_filter", "messages")
            case _:
                return _openai_error(MESSAGE.get(kind, kind), "server_error", None)

    def invalid(self, message: str) -> bytes:
        return _openai_error(message, "invalid_request_error", None)

    def unauthorized(self) -> bytes:
        return _openai_error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")

    @staticmethod
    def _reason(answer: Answer) -> str:
        if answer.withheld:
            return "content_filter"
        return "length" if answer.truncated else "stop"

    @staticmethod
    def _usage(answer: Answer) -> dict[str, int]:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class AnthropicShape:
    def completion(self, answer: Answer) -> bytes:
        content = [{"type": "text", "text": answer.text}]
        usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
        return orjson.dumps(
            {**self._message(answer), "content": content, "stop_reason": self._reason(answer), "usage": usage}
        )

    def events(self, answer: Answer) -> Iterator[tuple[bytes, bool]]:
        usage = {"input_tokens": answer.prompt_tokens, "output_tokens": 1}
        start = {**self._message(answer), "content": [], "stop_reason": None, "usage": usage}
        block = {"type": "text", "text": ""}
        yield _event("message_start", {"message": start}), False
        yield _event("content_block_start", {"index": 0, "content_block": block}), False
        yield _event("ping", {}), False
        for piece in answer.pieces:
            delta = {"type": "text_delta", "text": piece}
            yield _event("content_block_delta", {"index": 0, "delta": delta}), True
        yield _event("content_block_stop", {"index": 0}), False
        end = {"stop_reason": self._reason(answer), "stop_sequence": None}
        output = {"output_tokens": answer.completion_tokens}
        yield _event("message_delta", {"delta": end, "usage": output}), False
        yield _event("message_stop", {}), False

    def error(self, kind: FaultKind, context: str) -> bytes:
        match kind:
            case FaultKind.RATE_LIMIT:
                return _anthropic_error("rate_limit_error", MESSAGE[kind])
            case FaultKind.CONTEXT_LENGTH:
                return _anthropic_error("invalid_request_error", f"prompt is too long: {context} maximum")
            case FaultKind.UNAVAILABLE:
                return _anthropic_error("overloaded_error", "Overloaded")
            case _:
                return _anthropic_error("api_error", MESSAGE.get(kind, kind))

    def invalid(self, message: str) -> bytes:
        return _anthropic_error("invalid_request_error", message)

    def unauthorized(self) -> bytes:
        return _anthropic_error("authentication_error", "invalid x-api-key")

    @staticmethod
    def _message(answer: Answer) -> dict[str, object]:
        return {
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "stop_sequence": None,
        }

    @staticmethod
    def _reason(answer: Answer) -> str:
        return "max_tokens" if answer.truncated else "end_turn"


def _data(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _event(name: str, fields: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def _openai_error(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _anthropic_error(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})
