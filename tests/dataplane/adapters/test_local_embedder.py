"""The real model: meaning, batches, and an event loop that goes on."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.dataplanes import SharedEmbedder
from tests.loops import counted_turns
from tollway_dataplane.adapters.local_embedder import (
    MOST_BATCH,
    MOST_PENDING,
    LocalEmbedder,
    _next_batch,
    mean_pool,
)
from tollway_dataplane.errors import EmbedderFault
from tollway_dataplane.prompts.reading import Encoded


def test_the_runtime_writes_nothing_and_reports_nothing(tmp_path: Path) -> None:
    """It would keep what it reports to its maker in the home folder."""
    code = (
        "import asyncio; from tollway_dataplane.adapters.local_embedder import LocalEmbedder as E\n"
        "asyncio.run(asyncio.wait_for(E.load(), 60))"
    )
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], env=home, check=True)  # noqa: S603 - our own code
    assert list(tmp_path.iterdir()) == []


async def similarity(embedder: LocalEmbedder, one: str, other: str) -> float:
    return float((await embedder.embed(one)).vector @ (await embedder.embed(other)).vector)


async def test_alike_in_meaning_is_alike_in_direction(embedder: SharedEmbedder) -> None:
    assert await similarity(embedder, "How do I reset my password?", "How can I reset my password?") > 0.98
    assert await similarity(embedder, "What is the price?", "What is the price of gold?") < 0.7


async def test_a_vector_is_of_unit_length_and_the_promised_shape(embedder: SharedEmbedder) -> None:
    vector = (await embedder.embed("x" * 5_000)).vector
    assert vector.shape == (384,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


async def test_a_batch_gives_what_each_would_have_got_alone(embedder: SharedEmbedder) -> None:
    texts = [f"a prompt about the number {n} " + "and more " * (n % 7) for n in range(40)]
    together = await asyncio.gather(*map(embedder.embed, texts))
    for text, encoded in zip(texts, together, strict=True):
        alone = await embedder.embed(text)
        assert float(encoded.vector @ alone.vector) > 0.99
        assert encoded.offsets == alone.offsets
        assert encoded.hidden.shape == (len(alone.offsets), 384)
        assert [text[start:end] for start, end in encoded.offsets][:2] == ["a", "prompt"]


async def test_the_event_loop_goes_on_during_inference(embedder: SharedEmbedder) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(embedder.embed(f"prompt {n} " * 20) for n in range(64)))
    ticking.cancel()
    assert ticks > 50


async def test_a_caller_who_gives_up_breaks_nobody_elses_batch(embedder: SharedEmbedder) -> None:
    tasks = [asyncio.create_task(embedder.embed(f"text {n % 5}")) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[1::2]] == [Encoded] * 10


@contextlib.contextmanager
def busy(embedder: SharedEmbedder) -> Iterator[None]:
    """Nothing is encoded until the context is left."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        over.wait()

    embedder._worker.submit(hold)
    begun.wait()  # else what ran before could take what comes now
    try:
        yield
    finally:
        over.set()


async def test_what_nobody_waits_for_any_more_is_not_computed(embedder: SharedEmbedder) -> None:
    batches: list[int] = []
    embedder.observe_batch = batches.append
    with busy(embedder):
        tasks = [asyncio.create_task(embedder.embed(f"text {n} that is left")) for n in range(200)]
        await asyncio.sleep(0)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
    await tasks[0]
    await embedder.embed("and after it, of one who stays")
    assert batches == [1, 1]


def test_the_oldest_is_never_left_behind_by_those_that_are_shorter() -> None:
    lengths = {"the oldest": 50, **{f"short {n}": 9 for n in range(100)}, "long": 45}
    assert _next_batch(lengths) == ["long", "the oldest"]


@pytest.mark.parametrize(("length", "size"), [(5, 16), (16, 16), (25, 10), (50, 5), (125, 2), (256, 1)])
def test_a_batch_of_longer_texts_has_fewer_of_them(length: int, size: int) -> None:
    """Any more would take longer together than one by one, and much memory."""
    lengths = {f"text {n}": length for n in range(40)}
    assert list(_next_batch(lengths)) == list(lengths)[:size]


@pytest.mark.parametrize(
    ("lengths", "together"),
    [
        ([10, 18], 2),  # eight tokens of padding
        ([10, 19], 1),
        ([10, 10, 14], 3),
        ([10, 10, 15], 2),
        ([10, 6, 6], 3),
        ([10, 6, 6, 9], 3),  # the nearest first
        ([10, 150], 1),
        ([150, 10], 1),
    ],
)
def test_a_text_is_in_no_batch_whose_padding_takes_longer_than_another_batch(
    lengths: list[int], together: int
) -> None:
    assert len(_next_batch({f"text {n}": length for n, length in enumerate(lengths)})) == together


async def test_what_cannot_be_read_keeps_nobody_else_from_being_encoded(embedder: SharedEmbedder) -> None:
    """Half of a pair of surrogates is no text."""
    with busy(embedder):
        broken = asyncio.create_task(embedder.embed("no text: \ud800"))
        await asyncio.sleep(0)
    with pytest.raises(EmbedderFault, match="inference failed"):
        await broken
    assert (await embedder.embed("and this one is")).offsets


async def test_more_threads_give_the_same_vectors(embedder: SharedEmbedder) -> None:
    async with contextlib.aclosing(await LocalEmbedder.load(threads=2)) as threaded:
        texts = [f"a prompt about the number {n} " + "and more " * (n % 7) for n in range(MOST_BATCH)]
        for one, other in zip(embedder.encode(texts), threaded.encode(texts), strict=True):
            assert np.array_equal(one.vector, other.vector)


async def test_too_many_waiting_prompts_are_refused_at_once(embedder: SharedEmbedder) -> None:
    with busy(embedder):
        waiting = [asyncio.create_task(embedder.embed(f"text {n}")) for n in range(MOST_PENDING)]
        await asyncio.sleep(0)
        with pytest.raises(EmbedderFault, match="waiting already"):
            await embedder.embed("one more")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_would_not_live_to_see_it_is_told_at_once_and_costs_nothing(
    embedder: SharedEmbedder,
) -> None:
    """Where more is wanted than can be done, the oldest leave while they are encoded, and all work is in vain."""
    batches: list[int] = []
    embedder.observe_batch = batches.append
    with busy(embedder):
        late = [asyncio.create_task(embedder.embed(f"text {n} that is late", 50.0)) for n in range(3)]
        patient = [asyncio.create_task(embedder.embed(f"text {n} in time", 500.0)) for n in range(2)]
        both = [asyncio.create_task(embedder.embed("text of two", within_s)) for within_s in (50.0, 500.0)]
        await asyncio.sleep(0)
        embedder._batch_s = 100.0
    found = await asyncio.gather(*late, return_exceptions=True)
    assert {str(each) for each in found} == {"too many prompts are waiting for it to be done in time"}
    assert len(await asyncio.gather(*patient, *both)) == 4
    assert batches == [3]


async def test_one_batch_that_took_very_long_does_not_stop_the_next(embedder: SharedEmbedder) -> None:
    """The machine may have stood still; then nobody would seem to have the time any more."""
    with busy(embedder):
        first = asyncio.create_task(embedder.embed("the first after it", 60.0))
        await asyncio.sleep(0)
        embedder._batch_s = 100.0
    with pytest.raises(EmbedderFault, match="in time"):
        await first
    assert (await embedder.embed("the second", 60.0)).offsets


async def test_who_comes_while_a_batch_runs_is_in_the_next_one(embedder: SharedEmbedder) -> None:
    batches: list[int] = []
    embedder.observe_batch = batches.append
    with busy(embedder):
        tasks = [asyncio.create_task(embedder.embed(f"text {n} of those who wait")) for n in range(40)]
        await asyncio.sleep(0)
    encoded = await asyncio.gather(*tasks)
    assert batches == [MOST_BATCH, MOST_BATCH, 40 - 2 * MOST_BATCH]
    assert len({each.vector.tobytes() for each in encoded}) == 40, "to each its own"


async def test_what_is_done_is_handed_out_one_in_each_turn_of_the_event_loop(
    embedder: SharedEmbedder,
) -> None:
    """Each text that is handed out is work for who waits for it, and a turn with all of it would be a long one."""
    seen: list[int] = []
    with busy(embedder):
        tasks = [asyncio.create_task(embedder.embed(f"text {n} of a batch")) for n in range(MOST_BATCH)]
        await asyncio.sleep(0)
    with counted_turns() as turn:
        for task in tasks:
            task.add_done_callback(lambda _: seen.append(turn()))
        await asyncio.gather(*tasks)
    assert len(seen) == len(set(seen)) == MOST_BATCH


async def test_a_closed_embedder_says_so() -> None:
    embedder = await LocalEmbedder.load()
    await embedder.aclose()
    with pytest.raises(EmbedderFault, match="closed"):
        await embedder.embed("x")


def test_padding_does_not_count_for_the_mean() -> None:
    hidden = np.array([[[1.0, 0.0], [0.0, 3.0], [9.0, 9.0]]], dtype=np.float32)
    mask = np.array([[1, 1, 0]], dtype=np.int64)
    assert np.allclose(mean_pool(hidden, mask), [[1 / np.sqrt(10), 3 / np.sqrt(10)]])
