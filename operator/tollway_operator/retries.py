"""What cannot be done for single objects, and when each is tried again: after pauses that grow, so that one that cannot
be helped keeps no other waiting.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from tollway_operator.errors import KubeFault

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Retry:
    fault: str
    pause_s: float
    at: float  # on the monotonic clock


class Retries(Generic[KeyT]):
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._waiting: dict[KeyT, _Retry] = {}

    @property
    def faults(self) -> Mapping[KeyT, str]:
        """Why it could not be done the last time."""
        return {key: retry.fault for key, retry in self._waiting.items()}

    def __contains__(self, key: KeyT) -> bool:
        """Whether it could not be done the last time."""
        return key in self._waiting

    @property
    def due_in_s(self) -> float:
        """Seconds until the next is to be tried again; infinite where none is."""
        return min((retry.at for retry in self._waiting.values()), default=float("inf")) - self._clock()

    def is_due(self, key: KeyT) -> bool:
        return key not in self._waiting or self._waiting[key].at <= self._clock()

    def failed(self, key: KeyT, fault: KubeFault) -> None:
        before = self._waiting.get(key)
        pause_s = min(before.pause_s * 2, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
        at = self._clock() + max(pause_s, fault.retry_after_s)
        self._waiting[key] = _Retry(str(fault), pause_s, at)

    def succeeded(self, key: KeyT) -> None:
        self._waiting.pop(key, None)

    def keep_only(self, keys: Collection[KeyT]) -> None:
        """The others are gone."""
        self._waiting = {each: retry for each, retry in self._waiting.items() if each in keys}
