"""Who is taken on and who is told to come back, with an encoder that takes its time."""

import asyncio
from collections.abc import Coroutine, Sequence
from math import inf

import numpy as np
import pytest

from tollway_dataplane.embed_queue import EmbedQueue
from tollway_dataplane.errors import EmbedderFault, Refusal
from tollway_dataplane.ports import Vector
from tollway_dataplane.prompts.reading import Encoded


class Slow:
    """Embeds nothing before it may; then in turn what it was asked."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: list[str] = []

    async def embed(self, text: str, _: float = inf) -> Encoded:
        self.asked.append(text)
        await self.may.wait()
        if text == "broken":
            raise EmbedderFault("inference failed")
        return Encoded(np.full(2, len(text), np.float32), np.zeros((1, 2), np.float32), [(0, len(text))])


def write(place: int, vector: Vector) -> bytes:
    return b"%d:%d" % (place, vector[0])


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def begun(*asking: Coroutine[object, object, object]) -> Sequence[asyncio.Task[object]]:
    tasks = [asyncio.create_task(each) for each in asking]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def refused(asking: Coroutine[object, object, object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asking
    return caught.value


async def test_texts_come_back_in_order_with_what_was_read(slow: Slow) -> None:
    slow.may.set()
    texts = ["x" * length for length in range(1, 41)]
    written, tokens = await EmbedQueue(slow, 40, 5.0).of(texts, write)
    assert written == [b"%d:%d" % (place, place + 1) for place in range(40)]
    assert tokens == 40 * 3


async def test_who_would_wait_behind_too_many_is_told_to_come_back(slow: Slow) -> None:
    vectors = EmbedQueue(slow, 10, 5.0)
    first = await begun(vectors.of(["text"] * 8, write))
    refusal = await refused(vectors.of(["text"] * 3, write))
    assert (refusal.status, refusal.code, refusal.headers) == (429, "overloaded", {"retry-after": "1"})
    second = await begun(vectors.of(["text"] * 2, write))
    slow.may.set()
    await asyncio.gather(*first, *second)
    assert vectors.waiting == 0
    await vectors.of(["text"] * 10, write)


async def test_more_texts_than_are_ever_taken_are_the_callers_mistake(slow: Slow) -> None:
    refusal = await refused(EmbedQueue(slow, 10, 5.0).of(["text"] * 11, write))
    assert (refusal.status, refusal.param) == (400, "input")


async def test_who_cannot_be_served_in_time_is_told_so_and_makes_room(slow: Slow) -> None:
    vectors = EmbedQueue(slow, 100, 0.05)
    refusal = await refused(vectors.of(["text"] * 100, write))
    assert (refusal.status, refusal.code, refusal.headers) == (503, "overloaded", {"retry-after": "1"})
    assert vectors.waiting == 0


async def test_who_leaves_makes_room(slow: Slow) -> None:
    vectors = EmbedQueue(slow, 100, 5.0)
    (task,) = await begun(vectors.of(["text"] * 100, write))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert vectors.waiting == 0


async def test_one_of_many_texts_keeps_nobody_waiting_for_all_of_them(slow: Slow) -> None:
    vectors = EmbedQueue(slow, 2_000, 5.0)
    tasks = await begun(vectors.of(["long"] * 1_000, write), vectors.of(["short"], write))
    assert slow.asked == ["long"] * 16 + ["short"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_encoder_that_fails_is_no_fault_of_the_callers(slow: Slow) -> None:
    slow.may.set()
    vectors = EmbedQueue(slow, 100, 5.0)
    refusal = await refused(vectors.of(["text", "broken", "text"], write))
    assert refusal.status == 503
    assert vectors.waiting == 0
