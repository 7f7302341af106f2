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
    easing: int  # how often all had been made due by then


class Retries(Generic[KeyT]):
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._waiting: dict[KeyT, _Retry] = {}
        self._easings = 0
        self._eased_at = 0.0

    @property
    def faults(self) -> Mapping[KeyT, str]:
        """Why it could not be done the last time."""
        return {key: retry.fault for key, retry in self._waiting.items()}

    def __contains__(self, key: KeyT) -> bool:
        """Whether it could not be done the last time."""
        return key in self._waiting

    def due(self, *, least_failed: bool) -> list[KeyT]:
        """Those that have been due for longest come first, or those that have failed least."""
        now = self._clock()
        order = {
            key: (least_failed and retry.pause_s, at)
            for key, retry in self._waiting.items()
            if (at := self._at(retry)) <= now
        }
        return sorted(order, key=order.__getitem__)

    def make_due(self) -> None:
        """All of them: what was in their way seems to be gone. Where it is not, pauses go on growing."""
        self._easings, self._eased_at = self._easings + 1, self._clock()

    @property
    def due_in_s(self) -> float:
        """Seconds until the next is to be tried again; infinite where none is."""
        return min(map(self._at, self._waiting.values()), default=float("inf")) - self._clock()

    def is_due(self, key: KeyT) -> bool:
        return key not in self._waiting or self._at(self._waiting[key]) <= self._clock()

    def failed(self, key: KeyT, fault: KubeFault, longest_s: float = LONGEST_PAUSE_S) -> None:
        before = self._waiting.get(key)
        pause_s = min(before.pause_s * 2, longest_s) if before else FIRST_PAUSE_S
        at = self._clock() + max(pause_s, fault.retry_after_s)
        self._waiting[key] = _Retry(str(fault), pause_s, at, self._easings)

    def succeeded(self, key: KeyT) -> None:
        self._waiting.pop(key, None)

    def keep_only(self, keys: Collection[KeyT]) -> None:
        """The others are gone."""
        self._waiting = {each: retry for each, retry in self._waiting.items() if each in keys}

    def _at(self, retry: _Retry) -> float:
        return retry.at if retry.easing == self._easings else min(retry.at, self._eased_at)
