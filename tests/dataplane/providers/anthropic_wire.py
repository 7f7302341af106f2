"""Anthropic's Messages. https://docs.claude.com/en/api/messages, …/messages-streaming, …/errors"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from tests.dataplane.providers.wire import ARGUMENTS, PICTURE, SCHEMA, Failure, Json, ScriptedReply, model
from tollway_api.snapshot import Model

STOPS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@dataclass(frozen=True)
class Anthropic:
    name: str = "Anthropic"
    stream_type: str = "text/event-stream; charset=utf-8"

    @property
    def model(self) -> Model:
        return model("anthropic/claude-haiku-4-5")

    def path(self, *, stream: bool) -> str:
        del stream  # the body says it
        return "/v1/messages"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers["x-api-key"] if headers["anthropic-version"] == "2023-06-01" else None

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        return replace(said, thought=0)

    def whole(self, said: ScriptedReply) -> Json:
        text = [{"type": "text", "text": "".join(said.text)}] if said.text else []
        tool = [{"type": "tool_use", "id": "toolu_1", "name": said.tool, "input": ARGUMENTS}]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [*text, *(tool if said.tool else [])],
            "stop_reason": STOPS[said.finish],
            "stop_sequence": None,
            "usage": _usage(said, said.answer),
        }

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        return [
            f"event: {each['type']}\n".encode() + b"data: " + orjson.dumps(each) + b"\n\n"
            for each in _events(said)
        ]

    @property
    def failures(self) -> Mapping[str, Failure]:
        return {
            "key": _error(401, "authentication_error", "invalid x-api-key"),
            "rate": _error(429, "rate_limit_error", "This request would exceed your rate limit.", after="7"),
            "broken": _error(500, "api_error", "Internal server error"),
            "busy": _error(529, "overloaded_error", "Overloaded"),
            "overflow": _error(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
            "filter": _error(400, "invalid_request_error", "Output blocked by content filtering policy"),
            "wrong": _error(400, "invalid_request_error", "top_p: Input should be less than or equal to 1"),
        }  # fmt: skip

    @property
    def broken_off(self) -> bytes:
        return b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'

    @property
    def request(self) -> Json:
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
        tool = {
            "name": "look_up",
            "description": "Looks a word up.",
            "input_schema": SCHEMA,
            "type": "custom",
        }
        return {
            "model": "claude-haiku-4-5",
            "system": [{"type": "text", "text": "Be terse."}],
            "messages": [{"role": "user", "content": parts}],
            "max_tokens": 90,
            "temperature": 0.5,
            "stop_sequences": ["END"],
            "tools": [tool],
        }


def _usage(said: ScriptedReply, answer: int) -> Json:
    """Of which `input_tokens` are only those that the cache had no part in."""
    return {
        "input_tokens": said.prompt - said.cached - said.written,
        "cache_creation_input_tokens": said.written,
        "cache_read_input_tokens": said.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": said.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answer,
        "service_tier": "standard",
    }


def _events(said: ScriptedReply) -> Iterator[Json]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    message = {**head, "stop_reason": None, "stop_sequence": None, "usage": _usage(said, 1)}
    yield {"type": "message_start", "message": message}
    text = [{"type": "text_delta", "text": each} for each in said.text]
    arguments = orjson.dumps(ARGUMENTS).decode()
    tool = [{"type": "input_json_delta", "partial_json": each} for each in ("", arguments[:4], arguments[4:])]
    begun: Json = {"type": "tool_use", "id": "toolu_1", "name": said.tool, "input": {}}
    yield {
        "type": "content_block_start",
        "index": 0,
        "content_block": begun if said.tool else {"type": "text", "text": ""},
    }
    yield {"type": "ping"}
    for delta in tool if said.tool else text:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": STOPS[said.finish], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": said.answer}}
    yield {"type": "message_stop"}


def _error(status: int, kind: str, message: str, after: str = "") -> Failure:
    body = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    }
    return Failure(status, body, {"retry-after": after} if after else {})
