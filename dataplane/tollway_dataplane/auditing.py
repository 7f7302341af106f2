"""Has the cache served the right answer? Of hits by meaning a sampled share is also answered live, behind the reply,
and judged; what was likely and not served has a live answer already. The labels bound the error rate (`operating`), and
a wrong entry is evicted everywhere. Users may say so themselves, by the id of a reply.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Final

from tollway_api.error_control import Label, reached
from tollway_api.semantic_cache_index import JudgeType
from tollway_api.snapshot import Accuracy, Index, Policy, Tenant
from tollway_dataplane.background import begun
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.errors import CacheFault, Refusal
from tollway_dataplane.forgetting import Forgetting
from tollway_dataplane.judging import AnswerJudge, Case, LabelOutcome
from tollway_dataplane.lookup import Lookup
from tollway_dataplane.operating import NOTHING
from tollway_dataplane.ports import Labels, Place, Remembered, Served
from tollway_dataplane.recall import Recall

_MOST_JUDGED_AT_ONCE: Final = 8
_MOST_NOTES: Final = 1_000
DRAIN_S: Final = 5.0


class Feedback(StrEnum):
    """What became of what a user said."""

    COUNTED = "Counted"
    NOTED = "Noted"  # a wrong entry is evicted; somebody else judges this index
    ALREADY_JUDGED = "AlreadyJudged"


class Auditor:
    def __init__(
        self,
        labels: Labels,
        forgetting: Forgetting,
        recall: Recall,
        judge: AnswerJudge,
        on_label: Callable[[str, LabelOutcome], None],
    ) -> None:
        self._labels = labels
        self._forgetting = forgetting
        self._recall = recall
        self._judge = judge
        self._on_label = on_label
        self._notes: set[asyncio.Task[None]] = set()
        self._judging: set[asyncio.Task[None]] = set()

    def served(self, request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup) -> None:
        """After a hit by meaning. Never waits."""
        case = _case(request, tenant, policy, lookup)
        if case is None or lookup.answer is None:
            return
        if len(self._notes) < _MOST_NOTES:
            self._begin(self._notes, self._note(case))
        if _is_sampled(case):
            self._judge_later(case, self._ask_and_judge(case, lookup, lookup.answer))

    def answered(
        self, request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup, body: bytes
    ) -> None:
        """After a live answer to what could have been served from memory at a looser threshold. Never waits."""
        case = _case(request, tenant, policy, lookup)
        if case is not None and _is_sampled(case):
            self._judge_later(case, self._fetch_and_judge(case, body))

    async def label(
        self, indexes: Iterable[Index], request_id: str, tenant: str | None, *, right: bool
    ) -> Feedback | None:
        """What somebody says of a reply; `tenant` is whose it must have been, None where that does not matter. None
        where no such reply by meaning is known (any more). Raises CacheFault.
        """
        found = await self._labels.served([each for each in indexes if each.accuracy], request_id)
        if found is None or tenant not in {None, found[1].tenant}:
            return None
        index, served = found
        # First, whoever has judged it before, so that it is done also where this is said again after a fault.
        if not right:
            await self._forgetting.evict(Place(index, served.partition, served.entry))
        # The claim is the judge's where there is one: a sample from which complaints are taken out is none.
        if index.accuracy is None or index.accuracy.judge is not JudgeType.LABELS:
            return Feedback.NOTED
        if not await self._labels.claim(index, request_id):
            return Feedback.ALREADY_JUDGED
        label = Label.RIGHT if right else Label.WRONG
        await self._count(index, index.accuracy, served.probability, label)
        return Feedback.COUNTED

    async def drain(self) -> None:
        """Waits a little for what is under way, and ends the rest."""
        if tasks := self._notes | self._judging:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _judge_later(self, case: Case, work: Coroutine[object, object, LabelOutcome]) -> None:
        if len(self._judging) < _MOST_JUDGED_AT_ONCE:
            self._begin(self._judging, self._judged(case, work))
            return
        work.close()
        self._on_label(case.index.id, LabelOutcome.TOO_MANY)

    async def _judged(self, case: Case, work: Coroutine[object, object, LabelOutcome]) -> None:
        try:
            outcome = await work
        except Refusal:
            outcome = LabelOutcome.NO_ANSWER
        except CacheFault:
            outcome = LabelOutcome.LOST
        try:
            await self._count_case(case, outcome)
        except CacheFault:
            outcome = LabelOutcome.LOST
        self._on_label(case.index.id, outcome)

    async def _ask_and_judge(self, case: Case, lookup: Lookup, remembered: Remembered) -> LabelOutcome:
        if self._judge.rests(case):
            return LabelOutcome.JUDGE_RESTS  # and a live answer would be paid for in vain
        answer = await self._judge.asking.again(case.request, case.tenant, case.policy)
        if answer is None:
            return LabelOutcome.NO_ANSWER
        fresh, record = answer
        outcome = await self._compared(case, remembered.body, fresh)
        if outcome is LabelOutcome.WRONG:
            with suppress(CacheFault):  # its label counts all the same
                await self._forgetting.evict(case.candidate.place)
            # Who asks the same again is not to be served from another's entry.
            self._recall.remember(lookup, case.policy, fresh, record.model, record.cost_nano)
        return outcome

    async def _fetch_and_judge(self, case: Case, fresh: bytes) -> LabelOutcome:
        remembered = await self._recall.at(case.candidate.place)
        if remembered is None:
            return LabelOutcome.NO_ANSWER
        return await self._compared(case, remembered.body, fresh)

    async def _compared(self, case: Case, remembered: bytes, fresh: bytes) -> LabelOutcome:
        try:
            return await self._judge.outcome(case, remembered, fresh)
        except asyncio.CancelledError:
            # The process ends, and what takes long is what is doubted: that must not be missing without a trace.
            with suppress(CacheFault):
                await self._count_case(case, LabelOutcome.JUDGE_AWAY)
            raise

    async def _count_case(self, case: Case, outcome: LabelOutcome) -> None:
        if outcome.label is not None:
            await self._count(case.index, case.accuracy, case.candidate.probability, outcome.label)

    async def _count(self, index: Index, accuracy: Accuracy, probability: float, label: Label) -> None:
        point = reached(probability)
        if point is not None:
            await self._labels.count(index, accuracy, point, label)

    async def _note(self, case: Case) -> None:
        candidate = case.candidate
        place = candidate.place
        served = Served(case.tenant.name, place.partition, place.entry, candidate.probability)
        try:
            await self._labels.note(case.index, case.request.request_id, served)
        except CacheFault:
            self._on_label(case.index.id, LabelOutcome.LOST)

    @staticmethod
    def _begin(tasks: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
        task = begun(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _case(request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup) -> Case | None:
    """None where nothing is to be judged."""
    candidate = lookup.candidate
    accuracy = candidate.place.index.accuracy if candidate is not None else None
    if candidate is None or accuracy is None:
        return None
    return Case(request, tenant, policy, candidate, accuracy)


def _is_sampled(case: Case) -> bool:
    """By one coin for what is served and what is not, so that labels are a fair sample of both. While nothing is served
    all of it is judged, since live answers are there anyway.
    """
    if case.accuracy.judge is JudgeType.LABELS:
        return False
    rate = 1.0 if case.index.threshold == NOTHING else case.accuracy.sample_rate
    return random.random() < rate  # noqa: S311 - not a secret
