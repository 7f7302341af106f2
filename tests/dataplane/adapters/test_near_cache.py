"""The answers of this process: bounded in bytes, oldest use first out, never past their time."""

from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.ports import Remembered


def answer(size: int, expires_at: float = 100.0) -> Remembered:
    return Remembered(b"x" * size, "cheap", 1, expires_at=expires_at)


def test_what_was_used_longest_ago_makes_room() -> None:
    cache = LocalNearCache(4_000)
    for key in ("a", "b"):
        cache.put(key, answer(1_000))
    assert cache.get("a", 0) is not None
    cache.put("c", answer(1_000))
    assert cache.get("b", 0) is None
    assert cache.get("a", 0) is not None
    assert cache.bytes_used <= 4_000


def test_an_answer_that_can_never_fit_pushes_nothing_out() -> None:
    cache = LocalNearCache(4_000)
    cache.put("a", answer(1_000))
    cache.put("huge", answer(10_000))
    assert cache.get("huge", 0) is None
    assert cache.get("a", 0) is not None


def test_an_answer_ends_at_its_time() -> None:
    cache = LocalNearCache(4_000)
    cache.put("a", answer(10, expires_at=5.0))
    assert cache.get("a", 4.9) is not None
    assert cache.get("a", 5.0) is None
    assert cache.bytes_used == 0
