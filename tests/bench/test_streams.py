"""Every chunk of every stream is seen, and when it was sent."""

import asyncio
from pathlib import Path

from bench.stream_provider import CHUNKS
from bench.streams import STREAMS, listen, provider


def test_callers_see_each_chunk_of_their_streams_after_it_was_sent(tmp_path: Path) -> None:
    with provider(tmp_path) as direct:
        read = asyncio.run(listen(direct, 0))
    assert read.broken == 0
    assert len(read.first_ms) == STREAMS
    assert len(read.delays_ms) == STREAMS * (CHUNKS - 1)
    assert min(read.delays_ms) > 0
