"""Calls OpenAI-compatible endpoints directly, over one pooled client. The answer's bytes are passed on as they
came; only what we must know is read from them.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import Final, Self

import aiohttp
import orjson
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from tollway_api.reach import PUBLIC, Reach
from tollway_api.routing_policy import FallbackTrigger, UnknownParameters
from tollway_dataplane.adapters.answer_bounds import CONNECT_TIMEOUT_S, MOST_BYTES, too_large
from tollway_dataplane.adapters.event_streams import DONE, Events
from tollway_dataplane.adapters.http_exchange import Connections, Exchange, Reply, Target
from tollway_dataplane.core.attempts import trigger_of
from tollway_dataplane.core.completions import (
    error_in,
    finished_choices,
    is_answer,
    is_error,
    is_whole,
    usage_of,
)
from tollway_dataplane.core.facts import NO_HEADERS, JsonObject, Operation
from tollway_dataplane.core.parameters import unknown_to_thinkers, with_bound_named
from tollway_dataplane.core.reply_shapes import (
    are_embeddings,
    is_chunk,
    is_completion,
    is_plain_chunk,
    plain_text_of,
)
from tollway_dataplane.core.retry_after import wait_of
from tollway_dataplane.deadline import Within
from tollway_dataplane.errors import EndpointForbidden, UpstreamFault
from tollway_dataplane.ports import Chunk, Completion, UpstreamCall
from tollway_http.confined import ConfinedResolver

# Of an error page, this much is read.
_MOST_ERROR_BYTES: Final = 64 * 1024
_ERROR_WITHIN_S: Final = 1.0
_MOST_TARGETS: Final = 1_024
# In which what has come is read, where this process stood still when a stream had been silent for too long.
_READ_WITHIN_S: Final = 0.02
# What a call may raise; aiohttp's own timeout is a TimeoutError, and so an OSError. The last is for what is no HTTP,
# and for a line of a stream that never ends.
_HTTP_ERRORS: Final = (aiohttp.ClientError, OSError, ValueError, HttpProcessingError)


@asynccontextmanager
async def open_upstream(
    most_bytes: int = MOST_BYTES,
    reach: Reach = PUBLIC,
    connect_s: float = CONNECT_TIMEOUT_S,
) -> AsyncIterator["OpenAIUpstream"]:
    """The upstream with its connection pool, which lives as long as the process. An answer of more bytes is none."""
    resolver = ConfinedResolver(reach, EndpointForbidden)
    # No limit but the system's: who waits for a connection of another's stream would be taken for a slow provider's.
    connections = Connections(connect_s, limit=0, ttl_dns_cache=30, resolver=resolver)
    async with connections:
        yield OpenAIUpstream(connections, most_bytes, reach)


class OpenAIUpstream:
    def __init__(self, connections: Connections, most_bytes: int, reach: Reach) -> None:
        self._connections = connections
        self._most_bytes = most_bytes
        # Found once for each endpoint: whether an address may be asked takes longer than to prepare the rest.
        self._target = lru_cache(_MOST_TARGETS)(partial(_target, reach))

    async def complete(self, call: UpstreamCall) -> Completion:
        try:
            with Within(call.timeout_s):
                async with self._exchange(call, _fields(call)) as response:
                    await _check(response)
                    body = await _read(response, self._most_bytes)
        except _HTTP_ERRORS as exc:
            raise _translated(exc) from exc
        completion = _parsed(body)
        is_embedding = call.operation is Operation.EMBEDDINGS
        if not is_embedding and (text := plain_text_of(completion, body)):
            return Completion(body, usage_of(completion), is_answer(text), completion)
        fits = (
            are_embeddings(completion, call.fields["input"])
            if is_embedding
            else is_completion(completion, body)
        )
        if is_error(completion) or not fits:
            raise _fault(200, body)
        return Completion(body, usage_of(completion), is_whole(completion), completion)

    @asynccontextmanager
    async def stream(self, call: UpstreamCall) -> AsyncIterator[AsyncIterator[Chunk]]:
        fields = {**_fields(call), "stream": True, "stream_options": call.stream_options}
        try:
            async with self._exchange(call, fields) as response:
                await _check(response)
                if "text/event-stream" not in response.headers.get("content-type", "").lower():
                    raise _fault(response.status, await _beginning(response))
                call.hang_up.heard_by(partial(_half_closed, response))
                async with aclosing(_chunks(response, call, self._most_bytes)) as chunks:
                    yield chunks
        except _HTTP_ERRORS as exc:
            raise _translated(exc) from exc

    def _exchange(self, call: UpstreamCall, fields: JsonObject) -> Exchange:
        target = self._target(call.model.endpoint or "", call.operation)
        body = orjson.dumps({**fields, "model": call.model.upstream_id})
        headers = {"content-type": "application/json", **call.span.headers}
        if call.model.api_key is not None:
            headers["authorization"] = f"Bearer {call.model.api_key}"
        headers |= {each.name: each.value for each in call.model.extra_headers}
        return Exchange(self._connections, target, target.message(headers, body))


def _target(reach: Reach, endpoint: str, operation: Operation) -> Target:
    """Raises EndpointForbidden."""
    url = URL(f"{endpoint.rstrip('/')}/{operation}")
    if reach.forbids(url.host or ""):
        raise EndpointForbidden
    return Target(url)


def _fields(call: UpstreamCall) -> JsonObject:
    """What is sent of the call's, under names that the model knows. Raises UpstreamFault where the policy wants no
    others.
    """
    fields, model = call.body, call.model
    if call.operation is not Operation.CHAT:
        return fields
    is_passed = model.unknown_parameters is UnknownParameters.PASS
    if not is_passed and (unknown := unknown_to_thinkers(model.upstream_id, fields)):
        call.leave_out(unknown)
        fields = {name: value for name, value in fields.items() if name not in unknown}
    return with_bound_named(model.upstream_id, fields)


def _half_closed(response: Reply) -> bool:
    """Closes our half of the connection: the provider's server sees that its caller is gone, and what it has written
    until then still comes. TLS has no such half (RFC 8446, section 6.1, allows one that hardly any server does).
    """
    connection = response.connection
    if connection.transport is None or not connection.transport.can_write_eof():
        return False
    if connection.protocol is not None:
        connection.protocol.force_close()  # it is of no use to the next call
    connection.transport.write_eof()
    return True


async def _check(response: Reply) -> None:
    """Raises UpstreamFault for every status but 200."""
    if response.status != 200:
        raise _fault(response.status, await _beginning(response), response.headers)


async def _beginning(response: Reply) -> bytes:
    """Of an error reply, as much as there is soon. It comes in pieces, and one of them would not say what is wrong; but
    the status is known, so that nobody waits long for the rest of it, nor minds if that does not come.
    """
    error = b""
    with suppress(*_HTTP_ERRORS):
        async with asyncio.timeout(_ERROR_WITHIN_S):
            while len(error) < _MOST_ERROR_BYTES and (part := await response.content.read(_MOST_ERROR_BYTES)):
                error += part
    return error


async def _read(response: Reply, most_bytes: int) -> bytes:
    """The whole body."""
    if int(response.headers.get("content-length", "0")) > most_bytes:
        raise too_large()
    stream, parts, length = response.content, list[bytes](), 0
    while part := await stream.readany():
        parts.append(part)
        length += len(part)
        if length > most_bytes:
            raise too_large()
        if stream.at_eof():
            break
        await asyncio.sleep(0)  # little that was sent may be very much, which would keep everybody waiting
    return b"".join(parts)


class _Silence:
    """Ends a stream that is waited for in vain for too long. One timer is for all chunks, and looks when it is due
    whether that was so: to set one for each takes as long as to read it.
    """

    __slots__ = ("_doubted", "_loop", "_most_s", "_since", "_stream", "_timer")

    def __init__(self, stream: aiohttp.StreamReader, most_s: float) -> None:
        self._stream = stream
        self._most_s = most_s
        self._loop = asyncio.get_running_loop()
        self._doubted: float | None = None  # the beginning of a silence that has been too long once
        self.begins()

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._most_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def begins(self) -> None:
        self._since: float | None = self._loop.time()

    def ends(self) -> None:
        self._since = None

    def _look(self) -> None:
        now = self._loop.time()
        left_s = (now if self._since is None else self._since) + self._most_s - now
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        elif self._doubted != self._since:
            # A timer is due before what came meanwhile is read, where this process stood still.
            self._doubted = self._since
            self._timer = self._loop.call_later(_READ_WITHIN_S, self._look)
        else:
            self._stream.set_exception(TimeoutError())


async def _chunks(response: Reply, call: UpstreamCall, most_bytes: int) -> AsyncGenerator[Chunk, None]:
    """Raises UpstreamFault itself: what goes wrong in here is met by whoever asks for the next chunk. Signs of life
    that are no chunk keep nobody waiting for longer than silence would.
    """
    stream, events, finished, length = response.content, Events(), set[str](), 0
    try:
        with _Silence(stream, call.idle_s) as silence:
            while True:
                try:
                    part = await stream.readany()
                except aiohttp.ClientError as exc:
                    part = _unread(stream, exc)
                if not part:
                    break
                for data, value in events.read(part):
                    if data == DONE:
                        return
                    silence.ends()
                    length += len(data)
                    if length > most_bytes:
                        raise too_large()
                    event = _parsed(data) if value is None else value
                    if not is_plain_chunk(event, data):
                        if is_error(event) or not is_chunk(event, data):
                            raise _fault(response.status, data)
                        finished |= finished_choices(event)
                    yield Chunk(data, event)
                    silence.begins()
    except _HTTP_ERRORS as exc:
        raise _translated(exc) from exc
    if len(finished) < call.choices:  # otherwise the answer is whole, and only the word for it is missing
        raise UpstreamFault(FallbackTrigger.CONNECTION, 200, "the stream broke off", may_have_run=True)


def _unread(stream: aiohttp.StreamReader, exc: aiohttp.ClientError) -> bytes:
    """What nobody has read yet when the connection ends, and which aiohttp forgets then: the provider has written it,
    and bills it. Raises the exception where there is nothing.
    """
    stream.set_exception(None)  # type: ignore[arg-type]  # there is no other word for it
    unread = stream.read_nowait()
    stream.set_exception(exc)
    if not unread:
        raise exc
    return unread


def _parsed(data: bytes) -> JsonObject:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise _nonsense("the provider did not send JSON") from exc
    if not isinstance(value, dict):
        raise _nonsense("the provider did not send a JSON object")
    return value


def _nonsense(message: str) -> UpstreamFault:
    """Whoever answers with a success may have written what came to nothing, and bill it."""
    return UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, message, may_have_run=True)


def _fault(status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> UpstreamFault:
    """A provider's error reply. Its sentence is kept when the request is at fault, because the caller needs it."""
    code = message = ""
    with suppress(orjson.JSONDecodeError):
        code, message = error_in(orjson.loads(body))
    message = message or "an error without an explanation"
    wait = wait_of(headers, time.time())
    # Success with an error inside is the provider's confusion, not the request's.
    known = status if status >= 400 else 502
    trigger, has_run = trigger_of(known, code, message), status < 400
    return UpstreamFault(trigger, status, message, wait, may_have_run=has_run)


def _translated(exc: BaseException) -> UpstreamFault:
    """aiohttp's exceptions as ours."""
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return UpstreamFault(FallbackTrigger.CONNECTION, None, "could not connect", unsent=True)
    if isinstance(exc, TimeoutError):
        return UpstreamFault(FallbackTrigger.TIMEOUT, None, "no answer in time", may_have_run=True)
    message = f"the connection broke ({type(exc).__name__})"
    return UpstreamFault(FallbackTrigger.CONNECTION, None, message, may_have_run=True)
