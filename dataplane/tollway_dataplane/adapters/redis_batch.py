"""Sends Redis what many callers want in few round trips: calls that arrive while a round trip is under way share the
next one. An idle caller waits for nobody; under load most of a call's cost is shared. `ScriptBatch` runs one script
many times, `StepBatch` commands that belong together.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from tollway_dataplane.deadline import Within

Words = Sequence[str | int]
Command = Sequence[str | int | bytes]

_Call = TypeVar("_Call")
_Reply = TypeVar("_Reply")


class _Batch(Generic[_Call, _Reply]):
    """A call waits for at most two deadlines: the round trip before its own, and its own."""

    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._waiting: list[tuple[_Call, asyncio.Future[_Reply]]] = []
        self._running: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None

    async def _replied(self, call: _Call) -> _Reply:
        """Raises one of REDIS_ERRORS, and then it may or may not have run."""
        future: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        # It is done without having said so where it was cancelled with the event loop's other tasks.
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            replies: Sequence[_Reply | BaseException]
            try:
                with Within(self._deadline_s):
                    replies = await self._round_trip([call for call, _ in batch])
            except Exception as exc:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                replies = [exc] * len(batch)
            for (_, future), reply in zip(batch, replies, strict=True):
                if future.done():
                    continue  # its caller has left
                if isinstance(reply, BaseException):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        self._running = None

    async def _round_trip(self, calls: Sequence[_Call]) -> Sequence[_Reply | BaseException]:
        """One reply, or exception, per call."""
        raise NotImplementedError

    async def _exchange(self, commands: Sequence[bytes]) -> Sequence[object]:
        """What the client's pipeline does, which takes several times as long: it packs each word in Python."""
        connection = await self._connected()
        try:
            await connection.send_packed_command(commands)
            return [await _reply(connection) for _ in commands]
        except BaseException:
            # There may be replies that nobody has read, and the next call must not take them for its own.
            await connection.disconnect(nowait=True)
            raise

    async def _connected(self) -> AbstractConnection:
        """The pool's, but ours alone from the first round trip on: there is one at a time, and to take a connection and
        give it back takes longer than a call. One that has ended meanwhile is made anew.
        """
        pool = self._redis.connection_pool
        if self._connection is None:
            self._connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # the library does not type it
        else:
            await pool.ensure_connection(self._connection)
        return self._connection


class ScriptBatch(_Batch[Words, object]):
    def __init__(self, redis: Redis, script: str, deadline_s: float) -> None:
        super().__init__(redis, deadline_s)
        self._script = script
        self._sha = ""

    async def run(self, keys_and_arguments: Words, keys: int) -> object:
        """The script's reply. Raises one of REDIS_ERRORS, and then it may or may not have run."""
        return await self._replied((keys, *keys_and_arguments))

    async def _round_trip(self, calls: Sequence[Words]) -> Sequence[object]:
        if not self._sha:
            self._sha = str(await self._redis.script_load(self._script))
        replies = await self._exchange([_packed("EVALSHA", self._sha, *words) for words in calls])
        # Redis forgets its scripts when it restarts. None of the calls has run then, so they may run again.
        if replies and all(isinstance(reply, NoScriptError) for reply in replies):
            self._sha = ""
            return await self._round_trip(calls)
        return replies


class StepBatch(_Batch[Sequence[Command], Sequence[object]]):
    """Not for a cluster, where each key has a server of its own."""

    async def run(self, commands: Sequence[Command], *, in_one_step: bool = False) -> Sequence[object]:
        """Their replies. Raises what the first of them has raised; or one of REDIS_ERRORS, and then they may or may not
        have run. `in_one_step`: all or none, with nobody else's in between.
        """
        replies = await self._replied([("MULTI",), *commands, ("EXEC",)] if in_one_step else commands)
        if in_one_step:
            # Of one that was not queued it is said in its place why, and of all then only that they were dropped.
            *queued, done = replies
            replies = done if isinstance(done, list) else [*queued, done]
        if (error := next((each for each in replies if isinstance(each, Exception)), None)) is not None:
            raise error
        return replies

    async def _round_trip(self, calls: Sequence[Sequence[Command]]) -> Sequence[Sequence[object]]:
        replies = iter(await self._exchange([_packed(*words) for commands in calls for words in commands]))
        return [[next(replies) for _ in commands] for commands in calls]


def _packed(*words: str | int | bytes) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # the stub wants a single word
    return packed


async def _reply(connection: AbstractConnection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as exc:
        return exc
