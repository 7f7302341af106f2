"""Runs one script many times in few round trips: calls that arrive while a round trip is under way share the next one.
An idle caller waits for nobody; under load most of a call's cost is shared.
"""

import asyncio
from collections.abc import Sequence

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from tollway_dataplane.deadline import Within

Words = Sequence[str | int]


class ScriptBatch:
    """A call waits for at most two deadlines: the round trip before its own, and its own."""

    def __init__(self, redis: Redis, script: str, deadline_s: float) -> None:
        self._redis = redis
        self._script = script
        self._sha = ""
        self._deadline_s = deadline_s
        self._waiting: list[tuple[Words, asyncio.Future[object]]] = []
        self._running: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None

    async def run(self, keys_and_arguments: Words, keys: int) -> object:
        """The script's reply. Raises one of REDIS_ERRORS, and then it may or may not have run."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(((keys, *keys_and_arguments), future))
        # It is done without having said so where it was cancelled with the event loop's other tasks.
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                with Within(self._deadline_s):
                    replies = await self._round_trip([words for words, _ in batch])
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

    async def _round_trip(self, calls: Sequence[Words]) -> Sequence[object]:
        """One reply, or exception, per call."""
        if not self._sha:
            self._sha = str(await self._redis.script_load(self._script))
        replies = await self._exchange([_packed("EVALSHA", self._sha, *words) for words in calls])
        # Redis forgets its scripts when it restarts. None of the calls has run then, so they may run again.
        if replies and all(isinstance(reply, NoScriptError) for reply in replies):
            self._sha = ""
            return await self._round_trip(calls)
        return replies

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


def _packed(*words: str | int) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # the stub wants a single word
    return packed


async def _reply(connection: AbstractConnection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as exc:
        return exc
