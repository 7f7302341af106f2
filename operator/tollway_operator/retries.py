"""What cannot be done for single objects, and when each is tried again: after pauses that grow, so that one that cannot
be helped keeps no other waiting.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tollway_api.meta import Identity
from tollway_operator.errors import KubeFault

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Retry:
    fault: str
    pause_s: float
    at: float  # on the monotonic clock


class Retries:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._waiting: dict[Identity, _Retry] = {}

    @property
    def faults(self) -> Mapping[Identity, str]:
        """Why it could not be done the last time."""
        return {identity: retry.fault for identity, retry in self._waiting.items()}

    @property
    def due_in_s(self) -> float:
        """Seconds until the next is to be tried again; infinite where none is."""
        return min((retry.at for retry in self._waiting.values()), default=float("inf")) - self._clock()

    def is_due(self, identity: Identity) -> bool:
        return identity not in self._waiting or self._waiting[identity].at <= self._clock()

    def failed(self, identity: Identity, fault: KubeFault) -> None:
        before = self._waiting.get(identity)
        pause_s = min(before.pause_s * 2, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
        at = self._clock() + max(pause_s, fault.retry_after_s)
        self._waiting[identity] = _Retry(str(fault), pause_s, at)

    def succeeded(self, identity: Identity) -> None:
        self._waiting.pop(identity, None)

    def keep_only(self, identities: Collection[Identity]) -> None:
        """The others are gone."""
        self._waiting = {each: retry for each, retry in self._waiting.items() if each in identities}
