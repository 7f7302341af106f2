"""Work behind replies by which answers get their labels: a few at once, counted for all data planes together, and
waited for a little when the process ends. Used by `auditing` and `shadowing`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tollway_api.error_control import Label
from tollway_api.wire import Sample
from tollway_dataplane.background import begun
from tollway_dataplane.errors import CacheFault, Refusal
from tollway_dataplane.ports import Labels
from tollway_dataplane.quality.judging import LabelOutcome

_MOST_JUDGED_AT_ONCE: Final = 8
_MOST_NOTES: Final = 1_000
DRAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Where a label is counted, and what it is of."""

    subject: str  # the id of an index, or of a policy
    sample: Sample
    score: float


class Labeller:
    """`on_label` is told what became of each, by the subject's id."""

    def __init__(self, labels: Labels, on_label: Callable[[str, LabelOutcome], None]) -> None:
        self._labels = labels
        self._on_label = on_label
        self._notes: set[asyncio.Task[None]] = set()
        self._judging: set[asyncio.Task[None]] = set()

    def judge(self, counted: Counted, work: Coroutine[object, object, LabelOutcome]) -> None:
        """Counts what the work finds, later. Never waits."""
        if len(self._judging) < _MOST_JUDGED_AT_ONCE:
            self._begin(self._judging, self._judged(counted, work))
            return
        work.close()
        self._on_label(counted.subject, LabelOutcome.TOO_MANY)

    def skip(self, counted: Counted, outcome: LabelOutcome) -> None:
        """Counts what nobody is to judge, later. Never waits."""
        if len(self._notes) < _MOST_NOTES:
            self._begin(self._notes, self._judged(counted, _known(outcome)))

    def note(self, subject: str, work: Coroutine[object, object, None]) -> None:
        """Something small, of which it is known when it is lost to a CacheFault. Never waits."""
        if len(self._notes) < _MOST_NOTES:
            self._begin(self._notes, self._noted(subject, work))
        else:
            work.close()

    async def compared(self, counted: Counted, judging: Awaitable[LabelOutcome]) -> LabelOutcome:
        """What a judge finds, once both answers are there."""
        try:
            return await judging
        except asyncio.CancelledError:
            # The process ends, and what takes long is what is doubted: that must not be missing without a trace.
            with suppress(CacheFault):
                await self.count(counted, LabelOutcome.JUDGE_AWAY.label)
            raise

    async def count(self, counted: Counted, label: Label | None) -> None:
        """Raises CacheFault."""
        place = counted.sample.control.bound.scale.reached(counted.score)
        if label is not None and place is not None:
            await self._labels.count(counted.sample, place, label)

    async def drain(self) -> None:
        """Waits a little for what is under way, and ends the rest."""
        if tasks := self._notes | self._judging:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _judged(self, counted: Counted, work: Coroutine[object, object, LabelOutcome]) -> None:
        try:
            outcome = await work
        except Refusal:
            outcome = LabelOutcome.NO_ANSWER
        except CacheFault:
            outcome = LabelOutcome.LOST
        try:
            await self.count(counted, outcome.label)
        except CacheFault:
            outcome = LabelOutcome.LOST
        self._on_label(counted.subject, outcome)

    async def _noted(self, subject: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except CacheFault:
            self._on_label(subject, LabelOutcome.LOST)

    @staticmethod
    def _begin(tasks: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
        task = begun(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _known(outcome: LabelOutcome) -> LabelOutcome:
    return outcome
