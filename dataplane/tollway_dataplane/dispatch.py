"""Calls providers: the plan of attempts, walked once, each attempt inside a hold of its own. The only loop in the
story of a request, and it is bounded by the plan.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson

from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Limit, Policy, Protocol, Tenant
from tollway_api.tenant_budget import ExceededAction, Unit
from tollway_api.wire import account_of
from tollway_dataplane.budgets import Budgets
from tollway_dataplane.core.attempts import Attempt, bound_name, is_seen, next_attempts, plan
from tollway_dataplane.core.budgeting import (
    FEWEST_TOKENS,
    FEWEST_UNSEEN_TOKENS,
    FIRST_TOKENS,
    on_exceeded,
    worst_case,
)
from tollway_dataplane.core.capabilities import able, lacking, needs
from tollway_dataplane.core.completions import is_whole, usage_of, written_in
from tollway_dataplane.core.decision import RouteReason, Source
from tollway_dataplane.core.facts import NO_USAGE, OUTPUT_LIMITS, ChatRequest, JsonObject, JsonValue, Usage
from tollway_dataplane.core.gathering import Gathering
from tollway_dataplane.core.pricing import cost, is_free
from tollway_dataplane.core.redaction import without_secrets
from tollway_dataplane.core.tokens import countable, estimate, estimate_text
from tollway_dataplane.errors import Refusal, RefusalCode, UpstreamFault
from tollway_dataplane.exceeding import Exceeded, refusal
from tollway_dataplane.holds import Hold, Need, Slice
from tollway_dataplane.metering import Metering
from tollway_dataplane.ports import Chunk, Completion, Operation, Tokenizers, Upstream, UpstreamCall
from tollway_dataplane.record import AttemptNote, Record

# Few providers of 2026 write one answer faster.
FASTEST_TOKENS_PER_S: Final = 500
# Before a request is refused for money that is only held by others it waits so long, and no longer than half of the
# time it has. Most answers take less, and then what was held in vain is free again.
PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    request: ChatRequest
    tenant: Tenant
    policy: Policy
    model: ModelName
    record: Record
    alone: bool = False  # whether no other model may stand in for it


@dataclass(frozen=True, slots=True)
class Answered:
    attempt: Attempt
    completion: Completion


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream whose first chunk has come. Whoever has it must close it and settle its hold."""

    attempt: Attempt
    hold: Hold
    first: Chunk = field(repr=False)
    rest: AsyncIterator[Chunk] = field(repr=False)
    closing: AsyncExitStack = field(repr=False)


class Dispatch:
    def __init__(
        self, upstreams: Mapping[Protocol, Upstream], budgets: Budgets, tokenizers: Tokenizers
    ) -> None:
        self._upstreams = upstreams
        self._budgets = budgets
        self._tokenizers = tokenizers

    async def call(self, job: Job) -> Answered | Opened:
        """The first attempt that succeeds.

        Raises Refusal: 429 when the budget is used up, the provider's own 4xx when the request is wrong, 503 when
        every attempt failed.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + job.policy.fallback.deadline_ms / 1_000
        attempts = able(plan(job.policy, job.model, job.request.messages), job.request)
        attempts = attempts[: 1 if job.alone else None]
        fault: UpstreamFault | None = None
        key: str | None = None  # of the model that failed last
        made = 0
        waived: set[str] = set()  # accounts whose budgets have sent the request to another model
        while attempts and clock() < deadline:
            attempt, *rest = attempts
            patience_s = partial(self._patience_s, job, rest if made else None, waived, deadline)
            try:
                hold = await self._hold(job, attempt, made, waived, patience_s)
            except Exceeded as exceeded:
                # A fallback that does not fit is passed over. Before any attempt the budget's own rule decides.
                attempts = rest if made else self._degraded(job, exceeded, waived)
                continue
            made += 1
            job.record.fallbacks = made - 1
            began = clock()
            try:
                return await self._try(job, attempt, hold, deadline - clock())
            except UpstreamFault as failed:
                fault, key = failed, attempt.model.api_key
                job.record.attempts.append(AttemptNote(attempt.model.name, failed.trigger or "Refused"))
                await self._settle_failed(job, hold, attempt, failed)
                trigger = None if job.alone else failed.trigger
                attempts = next_attempts(job.policy, attempt, trigger, rest, made)
            except asyncio.CancelledError:
                # The caller is gone. What the provider bills for cannot be known, and a caller who can leave
                # without paying would.
                if not hold.settled:  # it may have left while what it got was settled
                    usage = abandoned_usage(attempt, hold.held, clock() - began)
                    await asyncio.shield(self.settle(job, hold, attempt, usage, "Cancelled"))
                raise
            except Exception:
                # Nobody foresaw it, and no hold may stand for it.
                job.record.attempts.append(AttemptNote(attempt.model.name, "Unforeseen"))
                if not hold.settled:
                    usage = estimated_usage(attempt, "")
                    self._note_cost(job.record, usage, attempt)
                    await self._budgets.settle(hold, usage, answered=False)
                raise
        raise provider_refusal(fault, key)

    async def settle(self, job: Job, hold: Hold, attempt: Attempt, usage: Usage, outcome: str = "ok") -> None:
        """Notes and counts what an attempt really used, once."""
        record, hold.settled = job.record, True
        record.attempts.append(AttemptNote(attempt.model.name, outcome))
        record.usage, record.held_nano = usage, hold.held_nano
        record.cut, record.limit = hold.cut, hold.cut_by or record.limit
        self._note_cost(record, usage, attempt)
        if record.route_reason is RouteReason.SIMPLE and attempt.model.name == job.model:
            dearer = cost(usage, job.policy.models[job.policy.route.complex].price)
            record.routed_nano = max(0, dearer - cost(usage, attempt.model.price))
        await self._budgets.settle(hold, usage, answered=True)
        record.allowances = self._budgets.allowances(job.tenant)

    @staticmethod
    def _note_cost(record: Record, usage: Usage, attempt: Attempt) -> None:
        nano = cost(usage, attempt.model.price)
        record.cost_nano += nano
        record.estimated_nano += nano if usage.estimated else 0

    async def _hold(
        self,
        job: Job,
        attempt: Attempt,
        made: int,
        waived: Collection[str],
        patience_s: Callable[[Limit], float],
    ) -> Hold:
        worst = worst_case(job.request, attempt.messages, attempt.model)
        need = Need(worst, partial(self._slice, job.request, attempt, worst), patience_s)
        hold_id = f"{job.request.request_id}.{made}"
        hold = await self._budgets.hold(hold_id, job.tenant, attempt.model, need, waived)
        job.record.tight = hold.tight
        job.record.allowances = self._budgets.allowances(job.tenant)
        job.record.mark("hold")
        return hold

    async def _slice(self, request: ChatRequest, attempt: Attempt, worst: Usage) -> Slice:
        tokenizer = self._tokenizers.of(attempt.model)
        prompt = countable(attempt.messages, request.parameters)
        tokens = await tokenizer.count_prompt(prompt.text)
        counted = prompt.counted(tokens, tokenizer.safety, worst.prompt_tokens)
        if is_seen(attempt.model.upstream_id, request.parameters):
            first, fewest = FIRST_TOKENS * request.choices, FEWEST_TOKENS * request.choices
            return Slice(counted, first, fewest, grows=True)
        return Slice(counted, worst.completion_tokens, FEWEST_UNSEEN_TOKENS * request.choices)

    @staticmethod
    def _stand_ins(job: Job, limit: Limit, waived: Collection[str]) -> list[Attempt]:
        """What to try when a limit is used up: its budget's fallback model, once."""
        exceeding = on_exceeded(job.tenant, limit)
        model = job.policy.models.get(exceeding.model) if exceeding.model else None
        # What costs money must be in the way of a limit that counts it: nothing else would ever stop it.
        counts_money = any(limit.unit is Unit.USD for limit in job.tenant.limits)
        if (
            job.alone
            or exceeding.action is ExceededAction.REJECT
            or model is None
            or lacking(model, needs(job.request))
            or account_of(job.tenant.name, limit) in waived
            or not (is_free(model.price) or counts_money)
        ):
            return []
        return [Attempt(model, job.request.messages)]

    def _degraded(self, job: Job, exceeded: Exceeded, waived: set[str]) -> list[Attempt]:
        """What to try instead. Raises Refusal where there is nothing."""
        record, limit = job.record, exceeded.denied.limit
        record.limit = limit.title
        stand_ins = self._stand_ins(job, limit, waived)
        if not stand_ins:
            raise refusal(job.tenant, exceeded.denied)
        waived.add(account_of(job.tenant.name, limit))
        record.source, record.route_reason = Source.DEGRADED, RouteReason.DEGRADED
        return stand_ins

    def _patience_s(
        self, job: Job, rest: Sequence[Attempt] | None, waived: Collection[str], deadline: float, limit: Limit
    ) -> float:
        """For how long to wait for others' holds: who has another way waits for nobody. `rest` is None before any
        attempt, when the budget's own rule decides.
        """
        if self._stand_ins(job, limit, waived) if rest is None else rest:
            return 0.0
        return min(PATIENCE_S, (deadline - asyncio.get_running_loop().time()) / 2)

    async def _try(self, job: Job, attempt: Attempt, hold: Hold, seconds_left: float) -> Answered | Opened:
        model = attempt.model
        upstream = self._upstreams[model.protocol]
        timeout_s = min(model.timeout_ms / 1_000, seconds_left)
        bound = hold.most // job.request.choices
        wanted = job.request.output_limit or hold.worst.completion_tokens // job.request.choices
        job.record.max_tokens = bound if bound < wanted else None
        fields = _fields(job.request, attempt, bound)
        call = UpstreamCall(model, Operation.CHAT, fields, timeout_s, idle_s=model.timeout_ms / 1_000)
        if not job.request.stream:
            completion = await (self._gathered(call, hold) if hold.grows else upstream.complete(call))
            usage = completion.usage or unreported_usage(hold, attempt, completion.answer_text)
            job.record.mark("upstream")
            if hold.cut:
                job.record.ended = "cut"
                settling = self.settle(job, hold, attempt, hold.seen, "cut")
            else:
                settling = self.settle(job, hold, attempt, usage)
            await asyncio.shield(settling)
            return Answered(attempt, completion)
        async with AsyncExitStack() as stack:
            try:
                # A provider that sends signs of life but no answer has no more time than one that sends nothing.
                async with asyncio.timeout(timeout_s):
                    chunks = await stack.enter_async_context(self._stream(call, hold))
                    first = await anext(chunks, None)
            except TimeoutError as exc:
                message = "no first chunk in time"
                raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
            if first is None:
                raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
            job.record.mark("first_chunk")
            return Opened(attempt, hold, first, chunks, stack.pop_all())
        raise AssertionError("an exit stack swallows no exception")

    def _stream(self, call: UpstreamCall, hold: Hold) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """As far as the hold can be made to cover it."""
        stream = self._upstreams[call.model.protocol].stream(call)
        if not hold.grows:
            return stream
        tokenizer = self._tokenizers.of(call.model)
        return Metering(self._budgets, hold, tokenizer, call.choices, call.hang_up).within(stream)

    async def _gathered(self, call: UpstreamCall, hold: Hold) -> Completion:
        """The whole answer, by a stream, which can be ended where the hold does."""
        answer = Gathering()
        try:
            async with asyncio.timeout(call.timeout_s), self._stream(call, hold) as chunks:
                async for chunk in chunks:
                    answer.add(chunk.event)
        except TimeoutError as exc:
            message = "no answer in time"
            raise UpstreamFault(FallbackTrigger.TIMEOUT, None, message, may_have_run=True) from exc
        completion = answer.completion()
        if not completion["choices"]:
            raise UpstreamFault(FallbackTrigger.SERVER_ERROR, 200, "the provider sent an empty stream")
        whole = is_whole(completion) and not hold.cut
        return Completion(orjson.dumps(completion), usage_of(completion), whole, written_in(completion))

    async def _settle_failed(self, job: Job, hold: Hold, attempt: Attempt, fault: UpstreamFault) -> None:
        """A refused call costs nothing; one that broke off may have been billed for its prompt."""
        usage = unreported_usage(hold, attempt, "") if fault.may_have_run or hold.written else NO_USAGE
        self._note_cost(job.record, usage, attempt)
        await self._budgets.settle(hold, usage, answered=False)


def estimated_usage(attempt: Attempt, answer_text: str) -> Usage:
    """For providers that do not say."""
    prompt = sum(map(estimate, attempt.messages))
    return Usage(prompt, estimate_text(answer_text), estimated=True)


def unreported_usage(hold: Hold, attempt: Attempt, answer_text: str) -> Usage:
    """The same, but what was counted where it was."""
    return hold.seen if hold.grows or hold.written else estimated_usage(attempt, answer_text)


def abandoned_usage(attempt: Attempt, worst: Usage, seconds: float) -> Usage:
    """For calls that we broke off: what the fastest provider may have written until then."""
    written = min(worst.completion_tokens, int(seconds * FASTEST_TOKENS_PER_S))
    return Usage(sum(map(estimate, attempt.messages)), written, estimated=True)


def _fields(request: ChatRequest, attempt: Attempt, bound: int) -> JsonObject:
    """The body to send: everything the caller sent, and the bound on each answer that the hold covers."""
    fields: dict[str, JsonValue] = {**request.parameters, "messages": list(attempt.messages)}
    if request.output_limit is None:
        fields[bound_name(attempt.model.upstream_id)] = bound
    else:
        for name in OUTPUT_LIMITS:
            if fields.get(name) is not None:
                fields[name] = bound
    return fields


# Of a provider's replies, those that are about what the caller sent; others are between it and whoever runs us.
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 415, 422})
# Those with which it refuses our account, our key, or the model that a policy names.
_ABOUT_US: Final = frozenset({401, 402, 403, 404})


def provider_refusal(fault: UpstreamFault | None, key: str | None) -> Refusal:
    """What the caller is told when the last attempt failed, which was made with this key of ours."""
    if fault is not None and fault.trigger is FallbackTrigger.CONTEXT_OVERFLOW:
        sentence = without_secrets(fault.message, key)
        message = f"the prompt is too long for every model that may answer: {sentence}"
        return Refusal(400, RefusalCode.CONTEXT_LENGTH_EXCEEDED, message, "messages")
    if fault is not None and fault.status in _ABOUT_US:
        message = "the provider refuses this gateway's account or the model it asks for; tell whoever runs it"
        return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
    if fault is not None and fault.trigger is None:
        if fault.status is None:  # it was not even asked
            return Refusal(400, RefusalCode.INVALID_REQUEST, fault.message)
        if fault.status in _ABOUT_THE_REQUEST:
            message = f"the provider refused: {without_secrets(fault.message, key)}"
            return Refusal(fault.status, RefusalCode.INVALID_REQUEST, message)
        message = f"the provider refused with status {fault.status}; tell whoever runs this gateway"
        return Refusal(502, RefusalCode.PROVIDER_REFUSED, message)
    message = "every model that may answer is unavailable right now; please try again in a moment"
    wait = max(1, round(fault.retry_after_s)) if fault is not None and fault.retry_after_s else 5
    return Refusal(503, RefusalCode.PROVIDERS_UNAVAILABLE, message, headers={"retry-after": str(wait)})
