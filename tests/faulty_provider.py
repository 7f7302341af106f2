"""A provider that fails in whatever way it is asked to, down to the bytes on the wire. The prompt is the script: of
"429/ok" the first model fails with a 429 and the second answers, so that any number of requests may be under way.
"""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.proxies import reset

# As the models of a policy are called, in the order in which they are asked, and what its provider calls them.
MODELS: Final = {"first": "gpt-4o-mini", "second": "gpt-4.1-mini", "third": "gpt-4.1-nano"}
ANSWER: Final = '{"day": "Tuesday"}'
_USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}
_HANG_S: Final = 60.0
_HANDSHAKE: Final = b"\x16"  # of TLS, which is not spoken here
# Ends a reply.
_RESET: Final = "reset"
_HANG: Final = "hang"


@dataclass(frozen=True)
class Act:
    """What is sent, in pieces, and how it ends: "" is an orderly close."""

    pieces: Sequence[bytes]
    ending: str = ""


def head(status: int, content_type: str = "application/json", more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\nconnection: close\r\n{more}\r\n".encode()


def error(status: int, code: str | None = None, message: str = "No.") -> Act:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Act([head(status), body])


def completion(content: str, reason: str = "stop", usage: object = _USAGE) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    given = {} if usage is None else {"usage": usage}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], **given}).encode()


def events(content: str, reason: str = "stop", usage: object = _USAGE) -> list[bytes]:
    """Of a stream: the role, three pieces of text, the end, the usage, and the word for it."""
    third = len(content) // 3 + 1
    texts = [content[place : place + third] for place in range(0, len(content), third)]
    deltas: list[tuple[Mapping[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text}, None) for text in texts]
    chunks: list[Mapping[str, object]] = [
        {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for delta, end in [*deltas, ({}, reason)]
    ]
    if usage is not None:
        chunks.append({"id": "x", "choices": [], "usage": usage})
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def answering(content: str = ANSWER, reason: str = "stop", usage: object = _USAGE) -> Callable[[bool], Act]:
    def act(stream: bool) -> Act:
        if stream:
            return Act([head(200, "text/event-stream"), *events(content, reason, usage)])
        return Act([head(200), completion(content, reason, usage)])

    return act


def recorded() -> bytes:
    """All bytes of a stream as a provider sends it, in chunks of HTTP."""
    parts = [b"%x\r\n%s\r\n" % (len(each), each) for each in events(ANSWER)]
    return head(200, "text/event-stream", "transfer-encoding: chunked\r\n") + b"".join(parts) + b"0\r\n\r\n"


def one_by_one(stream: bool) -> Act:
    """Of each piece the beginning, in which a parser has most to go wrong."""
    pieces = answering()(stream).pieces
    return Act([part for piece in pieces for part in (*(bytes([byte]) for byte in piece[:12]), piece[12:])])


def begun(stream: bool, ending: str, pieces: int) -> Act:
    """So many pieces of an answer, the head and a stream's role among them; of a whole answer a part."""
    act = answering()(stream)
    if stream:
        return Act(act.pieces[:pieces], ending)
    length = f"content-length: {len(act.pieces[1])}\r\n"
    return Act([head(200, more=length), act.pieces[1][:10] if pieces > 1 else b""], ending)


_SSE: Final = head(200, "text/event-stream")
ACTS: Final[Mapping[str, Callable[[bool], Act]]] = {
    "ok": answering(),
    "429": lambda _: error(429, "rate_limit_exceeded"),
    "408": lambda _: error(408),
    "slow": lambda _: Act([], _HANG),
    "headers and then nothing": lambda stream: begun(stream, _HANG, 1),
    "a beginning and then nothing": lambda stream: begun(stream, _HANG, 2),
    "half an answer and then nothing": lambda stream: begun(stream, _HANG, 4),
    "500": lambda _: error(500),
    "503": lambda _: error(503),
    "409": lambda _: error(409),
    "401": lambda _: error(401),
    "402": lambda _: error(402),
    "403": lambda _: error(403),
    "404": lambda _: error(404),
    "200 with an error inside": lambda _: error(200),
    "an event with an error": lambda stream: (
        Act([_SSE, b'data: {"error": {"message": "No."}}\n\n']) if stream else error(200)
    ),
    "a page in HTML": lambda _: Act([head(200, "text/html"), b"<html>Welcome</html>"]),
    "malformed JSON": lambda stream: (
        Act([_SSE, b'data: {"choices": [\n\n']) if stream else Act([head(200), b'{"choices": ['])
    ),
    "an empty reply": lambda stream: Act([_SSE] if stream else [head(200)]),
    "no HTTP": lambda _: Act([b"220 mail.example.com ESMTP\r\n"]),
    "reset": lambda _: Act([], _RESET),
    "closed": lambda _: Act([]),
    "cut before it says something": lambda stream: begun(stream, "", 2),
    "cut after it said something": lambda stream: begun(stream, "", 4),
    "malformed after it said something": lambda stream: (
        Act([*answering()(True).pieces[:4], b'data: {"choices": [\n\n'])
        if stream
        else Act([head(200), b"{,}"])
    ),
    "400 context_length_exceeded": lambda _: error(400, "context_length_exceeded", "Too long."),
    "413": lambda _: error(413),
    "400 content_filter": lambda _: error(400, "content_filter", "Filtered."),
    "withheld": answering("", "content_filter"),
    "blank": answering(""),
    "no JSON": answering("Tuesday"),
    "400": lambda _: error(400, None, "The seed is not supported."),
    "a byte at a time": one_by_one,
    "usage missing": answering(usage=None),
    "usage negative": answering(usage={"prompt_tokens": -5, "completion_tokens": 6}),
    "usage absurd": answering(usage={"prompt_tokens": 10**18, "completion_tokens": 10**18}),
    "usage in words": answering(usage={"prompt_tokens": "12", "completion_tokens": "six"}),
}


@dataclass
class FaultyProvider:
    """`asked` counts what each prompt has asked of each model."""

    port: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            try:
                await self._answer(reader, writer)
            finally:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (first := await reader.readexactly(1)) == _HANDSHAKE:
            writer.write(head(400))
            return
        request = first + await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line[15:]) for line in request.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        body = json.loads(await reader.readexactly(length))
        prompt, name = body["messages"][-1]["content"], self._name(body["model"])
        self.asked[prompt, name] += 1
        script = prompt.partition(" #")[0].split("/")
        act = self._act(script[list(MODELS).index(name)], bool(body.get("stream")))
        for piece in act.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if act.ending == _HANG:
            await asyncio.wait_for(reader.read(1), _HANG_S)  # until its caller is gone
        elif act.ending == _RESET:
            reset(writer)

    @staticmethod
    def _name(upstream_id: str) -> str:
        return next(name for name, known in MODELS.items() if known == upstream_id)

    @staticmethod
    def _act(name: str, stream: bool) -> Act:
        if name.startswith("bytes "):
            return Act([recorded()[: int(name[6:])]])
        return ACTS[name](stream)


@contextlib.contextmanager
def faulty_provider() -> Iterator[FaultyProvider]:
    """In a thread of its own."""
    made, ready, loop = FaultyProvider(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: (loop.run_until_complete(run()), loop.close()))
    thread.start()
    ready.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
