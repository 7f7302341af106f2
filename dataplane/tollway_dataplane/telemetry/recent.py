"""What this process has made of requests lately, for the console: how many came from where, what they cost and saved,
and what was decided of the last ones. Never holds a prompt, an answer or a key.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tollway_dataplane.record import JUDGING, Record

# Decisions that are shown: about a screen of them.
_LAST: Final = 50
LATELY_S: Final = 60


class Decision(NamedTuple):
    """A request that is over."""

    at_s: float  # since the epoch
    seconds: float  # that it took
    outcome: str
    record: Record


class Recent:
    """`clock` gives seconds since the epoch. What is called since the start is since this was made."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.since_s = clock()
        self.requests: Counter[str] = Counter()  # by outcome
        self.spent_nano = 0
        self.saved_nano = 0  # by answers from memory
        self.routed_nano = 0  # by simple models
        self._by_second: deque[tuple[int, Counter[str]]] = deque(maxlen=LATELY_S)
        self._decisions: deque[Decision] = deque(maxlen=_LAST)

    def observe(self, record: Record, seconds: float) -> None:
        """Of one finished request. What was asked behind a reply costs, and is nobody's request."""
        self.spent_nano += record.cost_nano
        self.saved_nano += record.saved_nano
        self.routed_nano += record.routed_nano
        if record.operation == JUDGING:
            return
        now, outcome = self._clock(), _outcome(record)
        self.requests[outcome] += 1
        if not self._by_second or self._by_second[-1][0] != int(now):
            self._by_second.append((int(now), Counter()))
        self._by_second[-1][1][outcome] += 1
        self._decisions.append(Decision(now, seconds, outcome, record))

    def lately(self) -> Counter[str]:
        """Requests of the last minute, by outcome."""
        since = self._clock() - LATELY_S
        return sum((counts for second, counts in self._by_second if second > since), Counter())

    def decisions(self) -> Iterator[Decision]:
        """The newest first."""
        return reversed(self._decisions)


def _outcome(record: Record) -> str:
    """Where the answer came from, or why there is none: for the caller's reason, or for ours."""
    if record.status < 400 and record.source is not None:
        return record.source
    return "failed" if record.status >= 500 else "refused" if record.refusal else "none"
