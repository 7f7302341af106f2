"""Are the simple model's answers good enough? Of what the router chose a model for, a sampled share is also put to the
other of the two models, behind the reply, and the two answers are judged. The labels move the router's dial
(`operating_points`).

What the complex model has answered is sampled by the same coin as what the simple one has, as far as the dial may go:
otherwise there would be no labels by which it could be loosened, and of a sample that had more of what is easy than
there is in traffic, the hard part would count for too little. It costs less than the rest, since the answer that is
asked for is the simple model's. What is beyond is counted and not judged, so that it is known what share of traffic is
easy enough for the simple model.
"""

import random
from dataclasses import replace
from functools import partial
from typing import Final

import orjson

from tollway_api import wire
from tollway_api.meta import ModelName
from tollway_api.routing_policy import Capability
from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import RouteReason, Source
from tollway_dataplane.fallback.jobs import Job
from tollway_dataplane.judgement.answer_comparison import quality_question
from tollway_dataplane.quality.judging import AnswerJudge, Case, LabelOutcome
from tollway_dataplane.quality.labelling import Counted, Labeller
from tollway_dataplane.routing.fitting import Choice
from tollway_dataplane.routing.routing import placed

# Those of the router alone: whatever else had a say would have it of both models.
_ROUTED: Final = frozenset({RouteReason.SIMPLE, RouteReason.COMPLEX, RouteReason.SESSION})
# What a judge does not see, or an answer does not say in words.
_UNSEEN: Final = frozenset({Capability.AUDIO, Capability.TOOLS, Capability.VISION})


class Shadows:
    def __init__(self, judge: AnswerJudge, labeller: Labeller) -> None:
        self._judge = judge
        self._labeller = labeller

    def answered(self, job: Job, body: bytes) -> None:
        """After a live answer that its provider has ended: one that declines, or was cut short, is worse than one that
        does not, which a judge is to say. Never waits.
        """
        control, ease = job.policy.route.min_quality, job.record.ease
        if control is None or ease is None or random.random() >= control.sample_rate:  # noqa: S311 - not a secret
            return
        sample, other = wire.choices_of(job.policy), _other(job)
        if sample is None or other is None:
            return
        counted = Counted(job.policy.id, sample, ease)
        if ease < control.bound.least_threshold:
            self._labeller.skip(counted, LabelOutcome.BEYOND)
            return
        if not _is_text(job):
            self._labeller.skip(counted, LabelOutcome.NOT_TEXT)
            return
        # By lot for each pair; what is held for it in the ledger has names of its own.
        order = random.random() < 0.5  # noqa: S311 - a fair coin
        request = replace(job.request, request_id=f"{job.request.request_id}.quality")
        asks = partial(quality_question, simple_first=order)
        case = Case(request, job.tenant, job.policy, control, asks)
        self._labeller.judge(counted, self._ask_and_judge(counted, case, body, other))

    async def _ask_and_judge(
        self, counted: Counted, case: Case, body: bytes, other: ModelName
    ) -> LabelOutcome:
        if self._judge.rests(case):
            return LabelOutcome.JUDGE_RESTS
        shadow, _ = await self._judge.asking.beside(case.request, other, case.tenant, case.policy)
        is_simple = other == case.policy.route.simple
        simple, hard = (shadow.body, body) if is_simple else (body, shadow.body)
        has_text = [bool(text_of(orjson.loads(each)).strip()) for each in (simple, hard)]
        if not all(has_text):
            return LabelOutcome.WRONG if has_text[1] else LabelOutcome.NO_ANSWER
        return await self._labeller.compared(counted, self._judge.outcome(case, simple, hard))


def _other(job: Job) -> ModelName | None:
    """The one of the two that was not asked; None where it would not have been asked either, or the answer is not of
    the one that the router chose.
    """
    route, record = job.policy.route, job.record
    is_own = record.source is Source.LIVE and record.model == job.model and not record.dropped
    if not is_own or record.route_reason not in _ROUTED or route.simple == route.complex:
        return None
    other = route.complex if job.model == route.simple else route.simple
    asked = placed(Choice(other, record.route_reason), job.request, job.tenant, job.policy)
    return other if asked.model == other else None


def _is_text(job: Job) -> bool:
    return job.request.choices == 1 and _UNSEEN.isdisjoint(job.needs)
