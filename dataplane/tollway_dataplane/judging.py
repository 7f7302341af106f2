"""Whether a remembered answer was right for another question: a live answer beside it, and somebody who compares them.
Behind replies only; every call of a model is the tenant's, inside its budget, and in metrics and log like any other.
"""

from dataclasses import dataclass, replace

import orjson

from tollway_api.meta import ModelName
from tollway_api.semantic_cache_index import JudgeType
from tollway_api.snapshot import Accuracy, Index, Policy, Tenant
from tollway_dataplane.comparing import MOST_CHARACTERS
from tollway_dataplane.core.answer_judging import question, reply_means, serves_as_well
from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.identity import normalise
from tollway_dataplane.core.judge import Judge
from tollway_dataplane.core.routing import choose, named_model
from tollway_dataplane.dispatch import Answered, Dispatch, Job
from tollway_dataplane.errors import EmbedderFault, Refusal
from tollway_dataplane.lookup import Candidate
from tollway_dataplane.observe import Observer
from tollway_dataplane.ports import Encoder
from tollway_dataplane.record import JUDGING, Record


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the remembered answer that could serve it or has."""

    request: ChatRequest
    tenant: Tenant
    policy: Policy
    candidate: Candidate
    accuracy: Accuracy

    @property
    def index(self) -> Index:
        return self.candidate.place.index


class Asking:
    """Asks models on behalf of a tenant who does not wait for the answer."""

    def __init__(self, dispatch: Dispatch, observer: Observer) -> None:
        self._dispatch = dispatch
        self._observer = observer

    async def again(
        self, request: ChatRequest, tenant: Tenant, policy: Policy
    ) -> tuple[bytes, Record] | None:
        """What a model says to the request, once more; None where that is not whole, or another model stood in. Raises
        Refusal.
        """
        parameters = {name: value for name, value in request.parameters.items() if name != "stream_options"}
        request = replace(
            request, request_id=f"{request.request_id}.again", stream=False, parameters=parameters
        )
        model = choose(request, named_model(request.model, policy), tenant, policy).model
        return await self._ask(Job(request, tenant, policy, model, self._record(request, policy)))

    async def model(
        self, request: ChatRequest, model: ModelName, tenant: Tenant, policy: Policy
    ) -> str | None:
        """What one model says; None where the policy does not have it, or it is away. Raises Refusal."""
        if model not in policy.models:
            return None
        answer = await self._ask(Job(request, tenant, policy, model, self._record(request, policy)))
        return text_of(orjson.loads(answer[0])) if answer is not None else None

    @staticmethod
    def _record(request: ChatRequest, policy: Policy) -> Record:
        return Record(request.request_id, JUDGING, policy=policy.id)

    async def _ask(self, job: Job) -> tuple[bytes, Record] | None:
        record = job.record
        record.tenant = job.tenant.name
        with self._observer.request(record):
            result = await self._dispatch.call(job)
            record.source = record.source or Source.LIVE
            record.model, record.reduced = result.attempt.model.name, result.attempt.reduced
        assert isinstance(result, Answered)  # noqa: S101 - the request did not ask for a stream
        as_asked = record.source is Source.LIVE and not record.reduced
        stood_in = not job.request.wants_auto and record.model != job.model
        whole = result.completion.complete and as_asked and not stood_in
        return (result.completion.body, record) if whole else None


class AnswerJudge:
    """Says whether one answer may stand for another."""

    def __init__(self, asking: Asking, encoder: Encoder, judge: Judge) -> None:
        self.asking = asking
        self._encoder = encoder
        self._judge = judge

    async def says_right(self, case: Case, remembered: bytes, fresh: bytes) -> bool | None:
        """Of the remembered answer beside a live one; None where nobody can say. Raises Refusal."""
        theirs, ours = (text_of(orjson.loads(each)) for each in (remembered, fresh))
        if normalise(theirs) == normalise(ours):
            return True
        judge = case.accuracy.judge
        if judge is JudgeType.MODEL:
            return await self._asked(case, theirs, ours)
        right = await self._compared(normalise(theirs), normalise(ours))
        if right or judge is not JudgeType.CASCADE:
            return right
        try:
            second = await self._asked(case, theirs, ours)
        except Refusal:
            second = None
        # Were nothing said while the model is away, wrong answers alone would be missing from the sample.
        return right if second is None else second

    async def _asked(self, case: Case, theirs: str, ours: str) -> bool | None:
        """By a model of the policy. Raises Refusal."""
        model = case.accuracy.judge_model or case.policy.route.complex
        messages = question(case.request, theirs, ours)
        asked = ChatRequest(f"{case.request.request_id}.judge", model, messages)
        reply = await self.asking.model(asked, model, case.tenant, case.policy)
        return None if reply is None else reply_means(reply)

    async def _compared(self, remembered: str, fresh: str) -> bool | None:
        if max(len(remembered), len(fresh)) > MOST_CHARACTERS:
            return None
        try:
            encoded = [await self._encoder.embed(each) for each in (remembered, fresh)]
        except EmbedderFault:
            return None
        views = map(self._judge.view_of, (remembered, fresh), encoded)
        return serves_as_well(self._judge, *views)
