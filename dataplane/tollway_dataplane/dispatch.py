"""Calls providers: the plan of attempts, walked once, each attempt inside a hold of its own. The only loop in the
story of a request, and it is bounded by the plan.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Limit, Model, Protocol
from tollway_api.tenant_budget import ExceededAction, Unit
from tollway_api.wire import account_of
from tollway_dataplane.attempting import Attempting
from tollway_dataplane.budgets import Budgets
from tollway_dataplane.core.attempts import (
    Attempt,
    Failure,
    Times,
    endpoints_tried,
    is_seen,
    is_short,
    pause_s,
    plan,
    reduced_attempts,
    times,
)
from tollway_dataplane.core.breaker import is_unwell
from tollway_dataplane.core.budgeting import (
    FEWEST_TOKENS,
    FEWEST_UNSEEN_TOKENS,
    FIRST_TOKENS,
    on_exceeded,
    worst_case,
)
from tollway_dataplane.core.capabilities import able, lacking, needs
from tollway_dataplane.core.decision import RouteReason, Source
from tollway_dataplane.core.facts import ChatRequest, JsonObject, Usage
from tollway_dataplane.core.parameters import sent_parameters
from tollway_dataplane.core.pricing import is_free
from tollway_dataplane.core.tokens import countable, most_tokens
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.exceeding import Exceeded, refusal
from tollway_dataplane.health import Health, Permit
from tollway_dataplane.holds import Hold, Need, Slice
from tollway_dataplane.jobs import Answered, Job, Opened
from tollway_dataplane.ports import Tokenizers, Upstream
from tollway_dataplane.record import AttemptNote
from tollway_dataplane.refusing import refusal_of
from tollway_dataplane.settling import Settling

# Before a request is refused for money that is only held by others it waits so long, and no longer than half of the
# time it has. Most answers take less, and then what was held in vain is free again.
PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Turn:
    """The next attempt, with leave to make it, and those that come after it."""

    permit: Permit
    attempt: Attempt
    rest: Sequence[Attempt]


# Models that were not asked since they were not well, and what they would have been asked.
Passed = dict[ModelName, Attempt]


class Dispatch:
    def __init__(
        self, upstreams: Mapping[Protocol, Upstream], budgets: Budgets, tokenizers: Tokenizers, health: Health
    ) -> None:
        self._budgets = budgets
        self._tokenizers = tokenizers
        self._health = health
        self._settling = Settling(budgets)
        self._attempting = Attempting(upstreams, budgets, tokenizers, self._settling)

    async def call(self, job: Job) -> Answered | Opened:
        """The first attempt that succeeds.

        Raises Refusal: 429 when the budget is used up, the provider's own 4xx when the request is wrong, 503 when
        every attempt failed, or no model is to be asked.
        """
        clock, fallback = asyncio.get_running_loop().time, job.policy.fallback
        deadline = clock() + fallback.deadline_ms / 1_000
        whole = able(plan(job.policy, job.model, job.request.messages), job.request)
        attempts: Sequence[Attempt] = whole[:1] if job.alone else whole
        failures: list[Failure] = []
        passed: Passed = {}
        waived: set[str] = set()  # accounts whose budgets have sent the request to another model
        while len(failures) <= fallback.max_fallbacks and clock() < deadline:
            turn = await self._turn(job, attempts, failures, passed, deadline - clock())
            if turn is None:
                break
            with ExitStack() as ending:
                ending.callback(turn.permit.release)
                attempt, rest, made = turn.attempt, turn.rest, len(failures)
                patience_s = partial(self._patience_s, job, rest if made else None, waived, deadline)
                try:
                    hold = await self._hold(job, attempt, made, waived, patience_s)
                except Exceeded as exceeded:
                    # A fallback that does not fit is passed over. Before any attempt the budget's own rule decides.
                    attempts = rest if made else self._degraded(job, exceeded, waived)
                    continue
                job.record.fallbacks, began = made, clock()
                job.record.dropped = len(job.request.messages) - len(attempt.messages)
                limits = self._times(job, attempt, rest, failures, deadline - began)
                try:
                    result = await self._attempting.answer(job, attempt, hold, limits)
                except UpstreamFault as fault:
                    turn.permit.failed(fault)
                    await self._settling.failed(job, hold, attempt, fault)
                    tries = sum(each.attempt.model.name == attempt.model.name for each in failures)
                    failures.append(Failure(attempt, fault, tries + 1))
                    if job.alone or fault.trigger not in fallback.triggers:
                        break
                    attempts = await self._after(job, attempt, fault, rest)
                    if is_unwell(fault) and self._is_elsewhere(job, attempt, failures):
                        attempts = [attempt, *attempts]
                except asyncio.CancelledError:
                    await self._settling.abandoned(job, hold, attempt, clock() - began)
                    raise
                except Exception:
                    await self._settling.unforeseen(job, hold, attempt)
                    raise
                else:
                    turn.permit.answered()
                    if isinstance(result, Opened):
                        result.closing.callback(ending.pop_all().close)
                    return result
        raise refusal_of(failures, job.record.attempts, self._ready_in(job))

    async def settle(self, job: Job, hold: Hold, attempt: Attempt, usage: Usage, outcome: str) -> None:
        """Of a stream, by whoever passes it on, once it has ended."""
        if outcome == "broken":
            self._health.broke(job.policy, attempt.model)
        await self._settling.settle(job, hold, attempt, usage, outcome)

    async def _turn(
        self,
        job: Job,
        attempts: Sequence[Attempt],
        failures: Sequence[Failure],
        passed: Passed,
        left_s: float,
    ) -> Turn | None:
        """Whom to ask next: the next of the plan that is well, or after a failure who may be asked soon. Before any
        attempt, where nobody is well, who is soonest, in a while, or by force.
        """
        turn = self._first_well(job, attempts, failures, passed)
        if turn is not None:
            return turn
        if failures:
            return self._first_well(job, await self._soon(job, failures, passed, left_s), failures, passed)
        wait_s = min((self._health.ready_in(job.policy, each.model) for each in attempts), default=0.0)
        if (pause := _spread(wait_s)) > 0 and is_short(pause, left_s):
            await asyncio.sleep(pause)
            turn = self._first_well(job, attempts, failures, passed)
        if turn is not None:
            return turn
        soonest = sorted(attempts, key=lambda each: self._health.ready_in(job.policy, each.model))
        return self._first_well(job, soonest, failures, passed, by_force=True)

    def _first_well(
        self,
        job: Job,
        attempts: Sequence[Attempt],
        failures: Sequence[Failure],
        passed: Passed,
        *,
        by_force: bool = False,
    ) -> Turn | None:
        """Those before it are noted, and passed over."""
        for place, attempt in enumerate(attempts):
            tried = endpoints_tried(attempt.model, failures)
            permit = self._health.admit(job.policy, attempt.model, tried, by_force=by_force)
            if permit is not None:
                passed.pop(attempt.model.name, None)
                return Turn(permit, replace(attempt, model=permit.model), attempts[place + 1 :])
            passed[attempt.model.name] = attempt
            note = AttemptNote(attempt.model.name, self._health.state(job.policy, attempt.model), made=False)
            if note not in job.record.attempts:
                job.record.attempts.append(note)
        return None

    async def _soon(
        self, job: Job, failures: Sequence[Failure], passed: Passed, left_s: float
    ) -> list[Attempt]:
        """Who may be asked first, once it may, of those that were passed over and those that failed and are worth
        another try; none where that takes too long. Each that was passed over is waited for once.
        """
        latest = {each.attempt.model.name: each for each in failures}.values()
        pauses = [(pause_s(each.fault, each.tries, random.random()), each.attempt) for each in latest]  # noqa: S311 - only spreads them out
        for each in passed.values():
            wait_s = self._health.ready_in(job.policy, each.model)
            pauses.append((_spread(wait_s), each))
        soonest = min(
            ((pause, attempt) for pause, attempt in pauses if pause is not None),
            key=lambda each: each[0],
            default=None,
        )
        if soonest is None or not is_short(soonest[0], left_s):
            return []
        await asyncio.sleep(soonest[0])
        return [soonest[1]]

    async def _after(
        self, job: Job, failed: Attempt, fault: UpstreamFault, rest: Sequence[Attempt]
    ) -> Sequence[Attempt]:
        """What remains to be tried."""
        if fault.trigger is not FallbackTrigger.CONTEXT_OVERFLOW:
            return rest
        return await asyncio.to_thread(reduced_attempts, failed, rest, job.request, self._tokens_of)

    def _tokens_of(self, model: Model, messages: Sequence[JsonObject], parameters: JsonObject) -> int:
        """As many as there may be."""
        tokenizer, given = self._tokenizers.of(model), countable(messages, parameters)
        bound = most_tokens(messages, parameters)
        return given.counted(tokenizer.count(given.text), tokenizer.safety, bound).most

    def _times(
        self,
        job: Job,
        attempt: Attempt,
        rest: Sequence[Attempt],
        failures: Sequence[Failure],
        left_s: float,
    ) -> Times:
        """Of an attempt, where some of the rest may still be made."""
        most = job.policy.fallback.max_fallbacks - len(failures)
        others = min(most, sum(self._health.is_well(job.policy, each.model) for each in rest))
        elsewhere = others < most and self._is_elsewhere(job, attempt, failures)
        parameters = sent_parameters(job.request.parameters, attempt.model)
        return times(attempt.model, parameters, left_s, others, elsewhere=elsewhere)

    def _is_elsewhere(self, job: Job, attempt: Attempt, failures: Sequence[Failure]) -> bool:
        """Whether the model may be asked at an endpoint where this request has not been."""
        tried = {attempt.model.endpoint, *endpoints_tried(attempt.model, failures)}
        return self._health.is_elsewhere(job.policy, attempt.model, tried)

    def _ready_in(self, job: Job) -> float:
        return min(self._health.ready_in(job.policy, each) for each in job.policy.models.values())

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
        parameters = sent_parameters(request.parameters, attempt.model)
        prompt = countable(attempt.messages, parameters)
        tokens = await tokenizer.count_prompt(prompt.text)
        counted = prompt.counted(tokens, tokenizer.safety, worst.prompt_tokens)
        if is_seen(attempt.model.upstream_id, parameters):
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


def _spread(wait_s: float) -> float:
    """Up to twice as long, so that those who wait for the same do not come back at once."""
    return wait_s + random.random() * wait_s  # noqa: S311 - only spreads them out
