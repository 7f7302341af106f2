"""What a look-up in the cache comes to, and how long it may take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tollway_dataplane.cache.flights import Flight
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.core.values import value
from tollway_dataplane.judgement.judge import View
from tollway_dataplane.ports import Place, Remembered, Vector
from tollway_dataplane.spending.embedding_bills import Payer


@dataclass(frozen=True, slots=True)
class Candidate:
    """The likeliest neighbour in an index whose error rate is bounded, whether it was served or not."""

    place: Place
    probability: float


@value
class Lookup:
    """What the cache said, and what is needed to store the answer when it did not have one."""

    reason: CacheReason
    answer: Remembered | None = field(default=None, repr=False)
    similarity: float | None = None  # cosine of the candidate that was served, or of the nearest one
    probability: float | None = None  # that its answer may be reused, as the judge sees it
    place: Place | None = None  # None: nothing is to be stored
    view: View | None = field(default=None, repr=False)  # None: only the very same prompt will find it
    vector: Vector | None = field(default=None, repr=False)  # of the version that was asked
    flight: Flight | None = field(default=None, repr=False)
    candidate: Candidate | None = None
    stand_in: Candidate | None = None  # not likely enough to be served, but rather right than wrong

    @property
    def wants_answer(self) -> bool:
        """Whether what is answered is remembered, or compared with what could have been served."""
        return self.place is not None or self.candidate is not None

    def land(self) -> None:
        """Lets those go on who wait for this lookup. Called once what it is for has ended."""
        if self.flight is not None:
            self.flight.land()


class Patience:
    """How long one look-up may wait for something, however often it does."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds

    @contextmanager
    def spend(self) -> Iterator[float]:
        """The seconds that are left; what the body takes is taken from them."""
        began = time.perf_counter()
        try:
            yield max(0.0, self._left_s)
        finally:
            self._left_s -= time.perf_counter() - began


@value
class Question:
    """What one look-up is for, and how long it may take, under however many names it is looked up."""

    prompt: str = field(repr=False)  # normalised, as are the turns
    turns: tuple[Turn, ...] = field(repr=False)
    said: tuple[Turn, ...] = field(repr=False)  # before it, also where that cannot be compared
    reading: Patience  # for all that is asked of the cache
    waiting: Patience  # for others who are asking the very same
    payer: Payer  # for the embedding of the prompt, where that costs money


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds."""

    read: float  # for all that one look-up asks of the cache
    embed: float
    coalesce: float  # for all others who are asking the very same
