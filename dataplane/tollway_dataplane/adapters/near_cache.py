"""The answers this process saw last, bounded in bytes: an exact hit without a round trip."""

from typing import Final

from cachetools import LRUCache

from tollway_dataplane.ports import Remembered

# What Python needs for one entry besides its body.
_OVERHEAD_BYTES: Final = 512


class LocalNearCache:
    """Least recently used first out. An answer larger than the whole bound is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._answers: LRUCache[str, Remembered] = LRUCache(max_bytes, getsizeof=_size)

    def get(self, key: str, now: float) -> Remembered | None:
        answer = self._answers.get(key)
        if answer is not None and answer.expires_at <= now:
            self._answers.pop(key, None)
            return None
        return answer

    def put(self, key: str, answer: Remembered) -> None:
        if _size(answer) <= self._answers.maxsize:
            self._answers[key] = answer

    def forget(self, prefix: str) -> None:
        for key in [each for each in self._answers if each.startswith(prefix)]:
            del self._answers[key]

    def drop(self, key: str) -> None:
        self._answers.pop(key, None)

    @property
    def bytes_used(self) -> int:
        return int(self._answers.currsize)


def _size(answer: Remembered) -> int:
    return len(answer.body) + _OVERHEAD_BYTES
