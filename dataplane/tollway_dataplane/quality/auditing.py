"""Has the cache served the right answer? Of hits by meaning a sampled share is also answered live, behind the reply,
and judged; what was likely and not served has a live answer already. The labels bound the error rate
(`operating_points`), and a wrong entry is evicted everywhere. Users may say so themselves, by the id of a reply.
"""

import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from tollway_api import wire
from tollway_api.error_control import Label
from tollway_api.semantic_cache_index import JudgeType
from tollway_api.snapshot import Index, Policy, Tenant
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.cache.lookup import Candidate, Lookup
from tollway_dataplane.cache.recall import Recall
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.judgement.answer_comparison import question
from tollway_dataplane.ports import Labels, Place, Remembered, Served
from tollway_dataplane.quality.judging import AnswerJudge, Case, LabelOutcome
from tollway_dataplane.quality.labelling import Counted, Labeller
from tollway_dataplane.quality.operating_points import NOTHING


class Feedback(StrEnum):
    """What became of what a user said."""

    COUNTED = "Counted"
    NOTED = "Noted"  # a wrong entry is evicted; somebody else judges this index
    ALREADY_JUDGED = "AlreadyJudged"


@dataclass(frozen=True, slots=True)
class Hit:
    """A request, and the remembered answer that could serve it or has."""

    case: Case
    candidate: Candidate
    counted: Counted

    @property
    def index(self) -> Index:
        return self.candidate.place.index


class Auditor:
    """`labeller` counts by `labels` too."""

    def __init__(
        self,
        labels: Labels,
        forgetting: Forgetting,
        recall: Recall,
        judge: AnswerJudge,
        labeller: Labeller,
    ) -> None:
        self._labels = labels
        self._forgetting = forgetting
        self._recall = recall
        self._judge = judge
        self._labeller = labeller

    def served(self, request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup) -> None:
        """After a hit by meaning. Never waits."""
        hit = _hit(request, tenant, policy, lookup)
        if hit is None or lookup.answer is None:
            return
        self._labeller.note(hit.index.id, self._note(hit))
        if _is_sampled(hit):
            self._labeller.judge(hit.counted, self._ask_and_judge(hit, lookup, lookup.answer))

    def answered(
        self, request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup, body: bytes
    ) -> None:
        """After a live answer to what could have been served from memory at a looser threshold. Never waits."""
        hit = _hit(request, tenant, policy, lookup)
        if hit is not None and _is_sampled(hit):
            self._labeller.judge(hit.counted, self._fetch_and_judge(hit, body))

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
        sample = wire.hits_of(index)
        if sample is None or sample.control.judge is not JudgeType.LABELS:
            return Feedback.NOTED
        if not await self._labels.claim(index, request_id):
            return Feedback.ALREADY_JUDGED
        label = Label.RIGHT if right else Label.WRONG
        await self._labeller.count(Counted(index.id, sample, served.probability), label)
        return Feedback.COUNTED

    async def _ask_and_judge(self, hit: Hit, lookup: Lookup, remembered: Remembered) -> LabelOutcome:
        case = hit.case
        if self._judge.rests(case):
            return LabelOutcome.JUDGE_RESTS  # and a live answer would be paid for in vain
        answer = await self._judge.asking.again(case.request, case.tenant, case.policy)
        if answer is None:
            return LabelOutcome.NO_ANSWER
        fresh, record = answer
        outcome = await self._compared(hit, remembered.body, fresh)
        if outcome is LabelOutcome.WRONG:
            with suppress(CacheFault):  # its label counts all the same
                await self._forgetting.evict(hit.candidate.place)
            # Who asks the same again is not to be served from another's entry.
            self._recall.remember(lookup, case.policy, fresh, record.model, record.cost_nano)
        return outcome

    async def _fetch_and_judge(self, hit: Hit, fresh: bytes) -> LabelOutcome:
        remembered = await self._recall.at(hit.candidate.place)
        if remembered is None:
            return LabelOutcome.NO_ANSWER
        return await self._compared(hit, remembered.body, fresh)

    async def _compared(self, hit: Hit, remembered: bytes, fresh: bytes) -> LabelOutcome:
        return await self._labeller.compared(hit.counted, self._judge.outcome(hit.case, remembered, fresh))

    async def _note(self, hit: Hit) -> None:
        case, candidate = hit.case, hit.candidate
        place = candidate.place
        served = Served(case.tenant.name, place.partition, place.entry, candidate.probability)
        await self._labels.note(hit.index, case.request.request_id, served)


def _hit(request: ChatRequest, tenant: Tenant, policy: Policy, lookup: Lookup) -> Hit | None:
    """None where nothing is to be judged."""
    candidate = lookup.candidate
    sample = wire.hits_of(candidate.place.index) if candidate is not None else None
    if candidate is None or sample is None:
        return None
    counted = Counted(candidate.place.index.id, sample, candidate.probability)
    return Hit(Case(request, tenant, policy, sample.control, question), candidate, counted)


def _is_sampled(hit: Hit) -> bool:
    """Whether a hit is judged, by one coin for what is served and what is not, so that labels are a fair sample of
    both. While nothing is served all of it is judged, since live answers are there anyway.
    """
    control = hit.case.control
    if control.judge is JudgeType.LABELS:
        return False
    rate = 1.0 if hit.index.threshold == NOTHING else control.sample_rate
    return random.random() < rate  # noqa: S311 - not a secret
