"""Keeps what a provider writes within its hold. Where the budget is not plenty every token is counted as it comes, the
hold grows before it is passed on, and where it cannot grow the answer ends there. Where it is plenty, an answer ends
that goes on far past the bound that its provider was given. Called by `attempting`.
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
from dataclasses import dataclass, field
from typing import Final

import orjson

from tollway_dataplane.core.completions import ending, finished_choices, usage_of, written_in_chunk
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import Chunk, HangUp, Tokenizer
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.holds import Hold

# A provider that was told to stop is heard until it has, which takes the way there and back.
STOPS_WITHIN_S: Final = 1.0
# One that could not be told goes on writing: two tokens in this time, of a hundred a second.
UNDER_WAY_S: Final = 0.02
# No two tokenizers differ by as much.
MOST_OVER: Final = 2
PAST_ITS_BOUND: Final = "the model does not keep to max_tokens"


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
        finished = set[str]()
        covers = self._paid if self.hold.grows else _Bound(self.hold, self.tokenizer).covers
        async for chunk in chunks:
            if (written := written_in_chunk(chunk.event)) and not await covers(written):
                with suppress(UpstreamFault):
                    await self._hear_out(chunks)
                    await closing.aclose()
                unfinished = [index for index in range(self.choices) if str(index) not in finished]
                for event in ending(chunk.event, unfinished, self.hold.seen):
                    yield Chunk(orjson.dumps(event), event)
                return
            finished |= finished_choices(chunk.event)
            yield chunk

    async def _paid(self, written: str) -> bool:
        self.hold.written += self.tokenizer.count(written)
        return await self.budgets.covers(self.hold, math.ceil(self.hold.written * self.tokenizer.safety))

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
        """Hears the stream to its end: a short answer may be over, and then the provider says what it was."""
        async for chunk in chunks:
            self.hold.written += self.tokenizer.count(written_in_chunk(chunk.event))
            self.hold.reported = usage_of(chunk.event) or self.hold.reported


@dataclass(slots=True)
class _Bound:
    """Whether an answer keeps to its bound, or nearly: it is only counted once it could be past that, since no token
    has less than a byte, and then not before it could be again.
    """

    hold: Hold
    tokenizer: Tokenizer
    text: list[str] = field(default_factory=list)
    length: int = 0  # of it, in bytes
    counted_at: int = 0  # the length from which it is counted

    async def covers(self, written: str) -> bool:
        most = MOST_OVER * self.hold.most
        self.text.append(written)
        self.length += len(written.encode("utf-8", "surrogatepass"))
        if self.length <= max(most, self.counted_at):
            return True
        tokens = await self.tokenizer.count_prompt("".join(self.text))
        self.counted_at = self.length + most - tokens
        if tokens <= most:
            return True
        self.hold.written, self.hold.cut = tokens, PAST_ITS_BOUND
        return False
