"""What the embed server does: one encoder for many callers, each of whom may bring many texts. Who would have to wait
for too long is told so at once, because a queue that only grows serves nobody in time. Called by `edge/own_embeddings`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from tollway_dataplane.errors import EmbedderFault, Refusal, RefusalCode
from tollway_dataplane.ports import Encoder, Vector
from tollway_dataplane.prompts.reading import Encoded

# Texts of one request that are with the encoder at a time, and requests that have some there: one of thousands of texts
# keeps nobody waiting for all of them. Together they are no more than the encoder takes.
_SLICE: Final = 16
_SLICES_AT_ONCE: Final = 64
# The encoder reads a text between two tokens of its own.
_OWN_TOKENS: Final = 2
_RETRY_AFTER: Final = {"retry-after": "1"}

# Writes a text's place and its vector down as it is sent.
Write = Callable[[int, Vector], bytes]


class EmbedQueue:
    """`waiting` is how many texts have been taken on and not been embedded yet; at most `most_waiting`."""

    def __init__(self, encoder: Encoder, most_waiting: int, deadline_s: float) -> None:
        self._encoder = encoder
        self._most_waiting = most_waiting
        self._deadline_s = deadline_s
        self._slices = asyncio.Semaphore(_SLICES_AT_ONCE)
        self.waiting = 0

    async def of(self, texts: Sequence[str], write: Write) -> tuple[Sequence[bytes], int]:
        """What is written of each text's vector, and how many tokens were read. Raises Refusal."""
        if len(texts) > self._most_waiting:
            message = f"has {len(texts)} texts; at most {self._most_waiting} are taken at a time"
            raise Refusal(400, RefusalCode.INVALID_REQUEST, f"input: {message}", "input")
        if self.waiting + len(texts) > self._most_waiting:
            message = f"{self.waiting} texts are waiting already, and there is room for {self._most_waiting}"
            raise Refusal(429, RefusalCode.OVERLOADED, message, headers=dict(_RETRY_AFTER))
        left = len(texts)
        self.waiting += left
        written: list[bytes] = []
        tokens = 0
        try:
            async with asyncio.timeout(self._deadline_s):
                for start in range(0, len(texts), _SLICE):
                    encoded = await self._encoded(texts[start : start + _SLICE])
                    left -= len(encoded)
                    self.waiting -= len(encoded)
                    written += [write(start + place, each.vector) for place, each in enumerate(encoded)]
                    tokens += sum(len(each.offsets) + _OWN_TOKENS for each in encoded)
        except TimeoutError:
            message = f"the texts could not be embedded within {self._deadline_s:g} seconds"
            raise Refusal(503, RefusalCode.OVERLOADED, message, headers=dict(_RETRY_AFTER)) from None
        finally:
            self.waiting -= left
        return written, tokens

    async def _encoded(self, texts: Sequence[str]) -> Sequence[Encoded]:
        async with self._slices:
            try:
                return await asyncio.gather(*map(self._encoder.embed, texts))
            except EmbedderFault as fault:
                raise Refusal(503, RefusalCode.NOT_READY, str(fault), headers=dict(_RETRY_AFTER)) from fault
