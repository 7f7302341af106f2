"""Runs one script many times in few round trips: calls that arrive while a round trip is under way share the next one.
An idle caller waits for nobody; under load most of a call's cost is shared.
"""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from tollway_dataplane.adapters.redis_client import REDIS_ERRORS

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

    async def run(self, keys_and_arguments: Words, keys: int) -> object:
        """The script's reply. Raises one of REDIS_ERRORS, and then it may or may not have run."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(((keys, *keys_and_arguments), future))
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(self._deadline_s):
                    replies = await self._round_trip([words for words, _ in batch])
            except REDIS_ERRORS as exc:
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
        pipeline = self._redis.pipeline(transaction=False)
        for keys, *words in calls:
            pipeline.evalsha(self._sha, int(keys), *words)
        replies: list[object] = await pipeline.execute(raise_on_error=False)
        # Redis forgets its scripts when it restarts. None of the calls has run then, so they may run again.
        if replies and all(isinstance(reply, NoScriptError) for reply in replies):
            self._sha = ""
            return await self._round_trip(calls)
        return replies
