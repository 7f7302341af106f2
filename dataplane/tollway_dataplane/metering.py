"""Keeps what a provider writes within its hold, where the budget is not plenty: every token is counted as it comes, the
hold grows before it is passed on, and where it cannot grow the answer ends there. Called by `dispatch`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass
from typing import Final

import orjson

from tollway_dataplane.budgets import Budgets
from tollway_dataplane.core.completions import ending, finished_choices, usage_of, written_in_chunk
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.holds import Hold
from tollway_dataplane.ports import Chunk, HangUp, Tokenizer

# A provider that was told to stop is heard until it has, which takes the way there and back.
STOPS_WITHIN_S: Final = 1.0
# One that could not be told goes on writing: two tokens in this time, of a hundred a second.
UNDER_WAY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Metering:
    budgets: Budgets
    hold: Hold
    tokenizer: Tokenizer
    choices: int
    hang_up: HangUp

    @asynccontextmanager
    async def within(
        self, stream: AbstractAsyncContextManager[AsyncIterator[Chunk]]
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """The stream as far as it is paid for. Where it ends for that, the provider's has been closed before."""
        async with AsyncExitStack() as stack:
            chunks = await stack.enter_async_context(stream)
            async with aclosing(self._covered(chunks, stack)) as covered:
                yield covered

    async def _covered(
        self, chunks: AsyncIterator[Chunk], closing: AsyncExitStack
    ) -> AsyncGenerator[Chunk, None]:
        hold, tokenizer, finished = self.hold, self.tokenizer, set[str]()
        async for chunk in chunks:
            if written := written_in_chunk(chunk.event):
                hold.written += tokenizer.count(written)
                if not await self.budgets.covers(hold, math.ceil(hold.written * tokenizer.safety)):
                    with suppress(UpstreamFault):
                        await self._hear_out(chunks)
                        await closing.aclose()
                    unfinished = [index for index in range(self.choices) if str(index) not in finished]
                    for event in ending(chunk.event, unfinished, hold.seen):
                        yield Chunk(orjson.dumps(event), event)
                    return
            finished |= finished_choices(chunk.event)
            yield chunk

    async def _hear_out(self, chunks: AsyncIterator[Chunk]) -> None:
        """Counts what was under way, which is billed all the same. A timer is due before what came meanwhile is read,
        where this process was busy: so the second time is for what came within the first.
        """
        hearing = asyncio.ensure_future(self._hear(chunks))
        try:
            if self.hang_up():
                await asyncio.wait([hearing], timeout=STOPS_WITHIN_S)
            await asyncio.wait([hearing], timeout=UNDER_WAY_S)
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])
        if not hearing.cancelled():
            hearing.result()

    async def _hear(self, chunks: AsyncIterator[Chunk]) -> None:
        """To the end: a short answer may be over, and then the provider says what it was."""
        async for chunk in chunks:
            self.hold.written += self.tokenizer.count(written_in_chunk(chunk.event))
            self.hold.reported = usage_of(chunk.event) or self.hold.reported
