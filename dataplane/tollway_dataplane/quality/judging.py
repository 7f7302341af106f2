"""Whether an answer that was served at less cost was good enough: another one beside it, and somebody who compares the
two. Behind replies only; every call of a model is the tenant's, inside its budget, and in metrics and log like any
other.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

import orjson

from tollway_api.error_control import Label
from tollway_api.meta import ModelName
from tollway_api.semantic_cache_index import JudgeType
from tollway_api.snapshot import ErrorControl, Policy, Tenant
from tollway_dataplane.cache.comparing import MOST_CHARACTERS
from tollway_dataplane.choosing import Choosing
from tollway_dataplane.core.capabilities import needs
from tollway_dataplane.core.completions import text_of
from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.facts import ChatRequest, JsonObject
from tollway_dataplane.core.naming import named_model
from tollway_dataplane.core.parameters import bound_name, is_seen
from tollway_dataplane.core.verdicts import says_yes
from tollway_dataplane.errors import EmbedderFault, Refusal, RefusalCode
from tollway_dataplane.fallback.dispatch import Dispatch
from tollway_dataplane.fallback.jobs import Answered, Job
from tollway_dataplane.judgement.answer_comparison import serves_as_well
from tollway_dataplane.judgement.identity import normalise
from tollway_dataplane.judgement.judge import Judge
from tollway_dataplane.ports import Completion, Encoder
from tollway_dataplane.record import JUDGING, Record
from tollway_dataplane.telemetry.observe import Observer

# One word is asked for. The rest is room for those who explain themselves, and what they may cost.
_MOST_TOKENS: Final = 512
# A judge model that was away is asked again so much later, each time; and is then left alone for a while.
PAUSES_S: Final = (1.0, 5.0)
REST_S: Final = 10.0
# For all it is asked about two answers. One that hangs keeps a place of those who are judged no longer.
DEADLINE_S: Final = 30.0
_UNPAID: Final = frozenset({RefusalCode.BUDGET_EXCEEDED, RefusalCode.BUDGET_UNAVAILABLE})
# Refusals of what was asked and not of who asks: another pair of answers may be judged.
_OF_THE_PAIR: Final = frozenset({RefusalCode.INVALID_REQUEST, RefusalCode.CONTEXT_LENGTH_EXCEEDED})


class LabelOutcome(StrEnum):
    """What became of an answer that was to be judged."""

    RIGHT = "Right"
    WRONG = "Wrong"
    # Both answers are there, and nobody can say.
    NOT_COMPARABLE = "NotComparable"  # for the cache's own judge, and no model is asked
    JUDGE_UNCLEAR = "JudgeUnclear"  # the model says neither yes nor no
    JUDGE_AWAY = "JudgeAway"  # the model does not answer
    JUDGE_UNPAID = "JudgeUnpaid"  # the tenant's budget has no room for it
    # Given up before anything was known of either answer.
    JUDGE_RESTS = "JudgeRests"  # the model was away, or too dear for this tenant, a moment ago
    NO_ANSWER = "NoAnswer"  # one of the two is not to be had
    BEYOND = "Beyond"  # the prompt is harder than any that may be left to the simple model
    NOT_TEXT = "NotText"  # what is asked for is no one text, or not in words alone
    # Not counted.
    TOO_MANY = "TooMany"  # others were being judged
    LOST = "Lost"  # Redis was away

    @property
    def label(self) -> Label | None:
        """What it is counted as."""
        match self:
            case LabelOutcome.RIGHT:
                return Label.RIGHT
            case LabelOutcome.WRONG:
                return Label.WRONG
            case (
                LabelOutcome.JUDGE_RESTS
                | LabelOutcome.NO_ANSWER
                | LabelOutcome.BEYOND
                | LabelOutcome.NOT_TEXT
            ):
                return Label.SKIPPED
            case LabelOutcome.TOO_MANY | LabelOutcome.LOST:
                return None
            case _:
                return Label.MISSING


_NOT_TO_BE_HAD: Final = frozenset({LabelOutcome.JUDGE_AWAY, LabelOutcome.JUDGE_UNPAID})


@dataclass(frozen=True, slots=True)
class Case:
    """A request that can have two answers, of which the first could serve it or has."""

    request: ChatRequest
    tenant: Tenant
    policy: Policy
    control: ErrorControl
    question: Callable[[ChatRequest, str, str], list[JsonObject]]  # of the two, to a model

    @property
    def judge_model(self) -> ModelName | None:
        """None where no model is asked."""
        if self.control.judge in {JudgeType.CASCADE, JudgeType.MODEL}:
            return self.control.judge_model or self.policy.route.complex
        return None


_Asked = tuple[str, ...]  # a tenant's budget, or a model of a policy


def _of_tenant(case: Case) -> _Asked:
    return ("tenant", case.tenant.name)


def _of_model(case: Case) -> _Asked:
    return ("model", case.policy.id, case.judge_model or "")


def _asked_of(case: Case) -> frozenset[_Asked]:
    """Who can be away where a model judges."""
    return frozenset() if case.judge_model is None else frozenset({_of_tenant(case), _of_model(case)})


class Asking:
    """Asks models on behalf of a tenant who does not wait for the answer. No other model stands in for one: it would be
    paid for what is not used.
    """

    def __init__(self, choosing: Choosing, dispatch: Dispatch, observer: Observer) -> None:
        self._choosing = choosing
        self._dispatch = dispatch
        self._observer = observer

    async def again(
        self, request: ChatRequest, tenant: Tenant, policy: Policy
    ) -> tuple[bytes, Record] | None:
        """What a model says to the request, once more; None where that is not whole. Raises Refusal."""
        named = named_model(request.model, policy)
        choice = await self._choosing.choose(request, named, tenant, policy)
        completion, record = await self.beside(request, choice.model, tenant, policy)
        return (completion.body, record) if completion.complete else None

    async def beside(
        self, request: ChatRequest, model: ModelName, tenant: Tenant, policy: Policy
    ) -> tuple[Completion, Record]:
        """What a certain model says to the request. Raises Refusal."""
        parameters = {name: value for name, value in request.parameters.items() if name != "stream_options"}
        request_id = f"{request.request_id}.again"
        request = replace(request, request_id=request_id, stream=False, parameters=parameters)
        return await self._ask(request, tenant, policy, model)

    async def model(
        self, request: ChatRequest, model: ModelName, tenant: Tenant, policy: Policy
    ) -> str | None:
        """What a model of the policy says in few words; None where that is not whole. Raises Refusal."""
        upstream_id = policy.models[model].upstream_id
        # What is thought in secret is counted, and may be more.
        if is_seen(upstream_id, request.parameters):
            request = replace(request, parameters={bound_name(upstream_id): _MOST_TOKENS})
        completion, _ = await self._ask(request, tenant, policy, model)
        return text_of(orjson.loads(completion.body)) if completion.complete else None

    async def _ask(
        self, request: ChatRequest, tenant: Tenant, policy: Policy, model: ModelName
    ) -> tuple[Completion, Record]:
        record = Record(request.request_id, JUDGING, policy=policy.id)
        record.tenant = tenant.name
        with self._observer.request(record):
            job = Job(request, tenant, policy, model, record, needs(request), in_background=True)
            result = await self._dispatch.call(job)
            record.source, record.model = Source.LIVE, model
        assert isinstance(result, Answered)  # noqa: S101 - the request did not ask for a stream
        return result.completion, record


class AnswerJudge:
    """Says whether one answer is good enough beside another.

    While the model that judges is away, or too dear for a tenant, what the cache's own judge is sure of could still be
    said, and the rest not, in which all is that is wrong. So nothing is judged meanwhile, and whether the model is back
    is tried before the two answers are compared: what is left out then does not hang on them.
    """

    def __init__(self, asking: Asking, encoder: Encoder, judge: Judge) -> None:
        self.asking = asking
        self._encoder = encoder
        self._judge = judge
        self._away: dict[_Asked, float] = {}  # until when they are left alone; then they are tried

    def rests(self, case: Case) -> bool:
        """Whether nothing is to be judged for now."""
        if case.judge_model is not None and case.judge_model not in case.policy.models:
            return True
        now = asyncio.get_running_loop().time()
        return any(now < self._away.get(each, 0.0) for each in _asked_of(case))

    async def outcome(self, case: Case, judged: bytes, beside: bytes) -> LabelOutcome:
        """The label of the judged answer, by another one beside it. Both are whole completions."""
        if self.rests(case):
            return LabelOutcome.JUDGE_RESTS
        theirs, ours = (text_of(orjson.loads(each)) for each in (judged, beside))
        until = asyncio.get_running_loop().time() + DEADLINE_S
        asked = partial(self._asked, case, case.question(case.request, theirs, ours), until)
        said = None
        if not self._away.keys().isdisjoint(_asked_of(case)):
            said = await asked()
            if said in _NOT_TO_BE_HAD:
                return LabelOutcome.JUDGE_RESTS
        theirs, ours = normalise(theirs), normalise(ours)
        if theirs == ours:
            return LabelOutcome.RIGHT
        if case.control.judge is not JudgeType.MODEL:
            right = await self._compared(theirs, ours)
            if right:
                return LabelOutcome.RIGHT
            if case.judge_model is None:
                return LabelOutcome.NOT_COMPARABLE if right is None else LabelOutcome.WRONG
        said = said or await asked()
        for retry, pause_s in enumerate(PAUSES_S, 1):
            if said is LabelOutcome.JUDGE_AWAY and asyncio.get_running_loop().time() + pause_s < until:
                await asyncio.sleep(pause_s)
                said = await asked(retry)
        return said

    async def _asked(
        self, case: Case, messages: list[JsonObject], until: float, retry: int = 0
    ) -> LabelOutcome:
        """What a model of the policy says, by a time of the loop."""
        model, asked_of = case.judge_model, _asked_of(case)
        assert model is not None  # noqa: S101 - only who has one comes here
        for each in self._away.keys() & asked_of:
            self._leave_alone(each)  # until this one is answered
        # A name of its own for each time, since money is held under it.
        request = ChatRequest(f"{case.request.request_id}.judge{retry or ''}", model, messages)
        try:
            async with asyncio.timeout_at(until):
                reply = await self.asking.model(request, model, case.tenant, case.policy)
        except TimeoutError:
            self._leave_alone(_of_model(case))
            return LabelOutcome.JUDGE_AWAY
        except Refusal as refusal:
            if refusal.code in _UNPAID:
                self._leave_alone(_of_tenant(case))
                return LabelOutcome.JUDGE_UNPAID
            if refusal.code not in _OF_THE_PAIR:
                self._leave_alone(_of_model(case))
                return LabelOutcome.JUDGE_AWAY
            reply = None
        for each in asked_of:
            self._away.pop(each, None)
        right = None if reply is None else says_yes(reply)
        if right is None:
            return LabelOutcome.JUDGE_UNCLEAR
        return LabelOutcome.RIGHT if right else LabelOutcome.WRONG

    def _leave_alone(self, asked: _Asked) -> None:
        self._away[asked] = asyncio.get_running_loop().time() + REST_S

    async def _compared(self, theirs: str, ours: str) -> bool | None:
        if max(len(theirs), len(ours)) > MOST_CHARACTERS:
            return None
        try:
            encoded = [await self._encoder.embed(each) for each in (theirs, ours)]
        except EmbedderFault:
            return None
        views = map(self._judge.view_of, (theirs, ours), encoded)
        return serves_as_well(self._judge, *views)
