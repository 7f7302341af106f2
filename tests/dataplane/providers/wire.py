"""Providers' wire formats: what each answers over HTTP, written down from its public documentation, and a server that
speaks one of them on loopback and keeps what it was sent. The formats are in the files beside this one.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any, Final, Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.servers import served
from tollway_api import snapshot
from tollway_api.meta import ModelName
from tollway_api.snapshot import Model, Price
from tollway_dataplane.core.facts import Operation, Usage
from tollway_dataplane.ports import UpstreamCall

Json = dict[str, Any]  # what is in it is tested where it arrives
TEXT: Final = ("A light", "house guides ", "ships.")
ARGUMENTS: Final[Json] = {"word": "delta"}
KEY: Final = "key-of-a-test"
MIB: Final = 1024 * 1024
_COUNTS: Final = re.compile(rb'"(usage|usageMetadata|eval_count|prompt_eval_count)"')
# LiteLLM loads what it needs for a provider when that is asked first.
WITHIN_S: Final = 60.0


@dataclass(frozen=True)
class ScriptedReply:
    """What a provider answers, in OpenAI's words."""

    text: Sequence[str] = TEXT
    tool: str = ""  # called with ARGUMENTS
    finish: str = "stop"
    prompt: int = 120  # tokens, with those below
    cached: int = 80
    written: int = 16  # to the provider's cache
    answer: int = 50  # with what was thought
    thought: int = 30

    @property
    def usage(self) -> Usage:
        return Usage(
            self.prompt, self.answer, False, self.cached, self.written, reasoning_tokens=self.thought
        )


CALL: Final = ScriptedReply(text=(), tool="look_up", finish="tool_calls")


@dataclass(frozen=True)
class Failure:
    """A provider's error reply."""

    status: int
    body: object  # as JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire(Protocol):
    """One provider's format."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def model(self) -> Model:
        """As a policy names one, with neither endpoint nor key."""

    def path(self, *, stream: bool) -> str:
        """With its query."""

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        """Where the key is sent."""

    def telling(self, said: ScriptedReply) -> ScriptedReply:
        """Of what is said, what this format can tell."""

    def whole(self, said: ScriptedReply) -> Json: ...

    def stream(self, said: ScriptedReply) -> Sequence[bytes]:
        """Pieces as they are written, one event each."""

    @property
    def stream_type(self) -> str:
        """Content type of a stream."""

    @property
    def failures(self) -> Mapping[str, Failure]:
        """By what they mean."""

    @property
    def broken_off(self) -> bytes:
        """A stream's event by which it says that something broke."""

    @property
    def request(self) -> Json:
        """What of REQUEST must reach it, and how."""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Json


@dataclass
class Server:
    """Answers every request with `said`, unless it is to fail."""

    wire: Wire
    url: str = ""
    said: ScriptedReply = field(default_factory=ScriptedReply)
    failure: Failure | None = None
    cut_after: int | None = None  # events of a stream; of a whole answer half is sent
    breaks_off: bool = False  # in the middle of a stream
    stops_short: bool = False  # of the end of a stream, without a word
    garbles: str | None = None  # an event in the middle of a stream, which goes on: its data instead
    counts: bool = True  # how many tokens it has used
    is_endless: bool = False  # goes on and on: a body with spaces, a stream with comments
    sent_bytes: int = 0  # of that
    left: threading.Event = field(default_factory=threading.Event)  # by whoever heard that
    seen: list[Seen] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        body = orjson.loads(await request.body())
        self.seen.append(Seen(f"{path}?{query}" if query else path, dict(request.headers), body))
        if self.failure is not None:
            return JSONResponse(self.failure.body, self.failure.status, self.failure.headers)
        if self._is_to_stream(self.seen[-1]):
            return StreamingResponse(self._events(), media_type=self.wire.stream_type)
        whole = self._counted(orjson.dumps(self.wire.whole(self.wire.telling(self.said))))
        if self.is_endless:
            return StreamingResponse(self._on_and_on([whole, b" " * MIB]), media_type="application/json")
        if self.cut_after is not None:
            return _Cut(whole, media_type="application/json")
        return Response(whole, media_type="application/json")

    def _is_to_stream(self, seen: Seen) -> bool:
        """Where the path does not say it, the body does."""
        path = self.wire.path(stream=True)
        return seen.path == path if path != self.wire.path(stream=False) else seen.body.get("stream") is True

    async def _events(self) -> AsyncIterator[bytes]:
        events = [self._counted(each) for each in self.wire.stream(self.wire.telling(self.said))]
        if self.is_endless:
            async for comment in self._on_and_on([b":" + b" " * MIB + b"\n\n"]):
                yield comment
        if self.breaks_off:
            events = [*events[: len(events) // 2], self.wire.broken_off]
        if self.stops_short:
            events = events[: len(events) // 2]
        if self.garbles is not None:
            (place,) = (i for i, each in enumerate(events) if self.said.text[1].encode() in each)
            is_lines = self.wire.stream_type == "application/x-ndjson"
            garbled = f"{self.garbles}\n" if is_lines else f"data: {self.garbles}\n\n"
            events = [*events[:place], garbled.encode(), *events[place + 1 :]]
        for event in events[: self.cut_after]:
            yield event
        if self.cut_after is not None:
            raise ConnectionAbortedError("as the test wants it")

    def _counted(self, said: bytes) -> bytes:
        return said if self.counts else _COUNTS.sub(b'"ignored"', said)

    async def _on_and_on(self, pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
        try:
            for piece in cycle(pieces):
                yield piece
                self.sent_bytes += len(piece)
                await asyncio.sleep(0)  # in which it may see that its caller is gone
        finally:
            self.left.set()

    def reset(self) -> None:
        self.said, self.failure, self.cut_after, self.breaks_off = ScriptedReply(), None, None, False
        self.counts = True
        self.stops_short, self.garbles, self.is_endless, self.sent_bytes = False, None, False, 0
        self.left.clear()
        self.seen.clear()

    def call(self, fields: Json | None = None, **of_model: object) -> UpstreamCall:
        facts: dict[str, object] = {"endpoint": self.url, "api_key": KEY, **of_model}
        model = replace(self.wire.model, **facts)  # type: ignore[arg-type]  # a test may give anything
        body = {
            "messages": [{"role": "user", "content": "What is a lighthouse?"}],
            "max_tokens": 90,
            **(fields or {}),
        }
        return UpstreamCall(model, Operation.CHAT, json.loads(json.dumps(body)), WITHIN_S, WITHIN_S)


class _Cut(Response):
    """Promises more than it sends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        start: Message = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionAbortedError("as the test wants it")


@contextmanager
def serving(wire: Wire) -> Iterator[Server]:
    server = Server(wire)
    with served(Starlette(routes=[Route("/{path:path}", server.answer, methods=["POST"])])) as url:
        server.url = url
        yield server


def model(upstream_id: str, protocol: snapshot.Protocol = snapshot.Protocol.LITELLM, **more: object) -> Model:
    facts: dict[str, object] = {
        "name": ModelName("m"),
        "upstream_id": upstream_id,
        "protocol": protocol,
        "endpoint": None,
        "api_key": None,
        "price": Price(1_000_000, 5_000_000, cached_input=100_000, cache_write=1_250_000),
        "context_window": 10_000,
        "max_output_tokens": 1_000,
        "timeout_ms": 5_000,
    }
    return Model(**{**facts, **more})  # type: ignore[arg-type]  # a test may give anything


def sse(*events: Json, end: str = "\n\n") -> list[bytes]:
    """Server-sent events that have nothing but data."""
    return [b"data: " + orjson.dumps(event) + end.encode() for event in events]


PICTURE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
}
TOOL: Final[Json] = {
    "type": "function",
    "function": {"name": "look_up", "description": "Looks a word up.", "parameters": SCHEMA},
}
PICTURE_PART: Final[Json] = {
    "type": "image_url",
    "image_url": {"url": f"data:image/png;base64,{PICTURE}"},
}
# A request with everything that providers have their own words for.
REQUEST: Final[Json] = {
    "messages": [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE_PART]},
    ],
    "max_tokens": 90,
    "temperature": 0.5,
    "stop": ["END"],
    "tools": [TOOL],
}
