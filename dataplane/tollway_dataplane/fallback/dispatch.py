"""Calls providers: the plan of attempts, walked once, each attempt inside a hold of its own. The only loop in the
story of a request, and it is bounded by the plan.
"""

import asyncio
import time
from collections.abc import Mapping

from tollway_api.snapshot import Protocol
from tollway_dataplane.core.attempts import Attempt
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.fallback.affording import Affording
from tollway_dataplane.fallback.attempt_order import Walk
from tollway_dataplane.fallback.attempting import Attempting
from tollway_dataplane.fallback.health import Health
from tollway_dataplane.fallback.jobs import Answered, Job, Opened
from tollway_dataplane.fallback.refusing import refusal_of
from tollway_dataplane.fallback.settling import Settling
from tollway_dataplane.ports import Tokenizers, Upstream
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.holds import Hold


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
        clock = time.monotonic
        deadline = clock() + job.policy.fallback.deadline_ms / 1_000
        walk = Walk(job, self._health, self._tokenizers, deadline)
        affording = Affording(job, self._budgets, self._tokenizers, deadline)
        while (step := await walk.next()) is not None:
            attempt, made = step.attempt, walk.made
            result: Answered | Opened | None = None
            try:
                try:
                    hold = await affording.hold(attempt, made, step.rest)
                except Exceeded as exceeded:
                    # A fallback that does not fit is passed over. Before any attempt the budget's own rule decides.
                    if made:
                        walk.pass_over(step)
                    else:
                        walk.go_on(affording.instead(exceeded))
                    continue
                job.record.fallbacks, began = made, clock()
                job.record.dropped = len(job.request.messages) - len(attempt.messages)
                try:
                    result = await self._attempting.answer(job, attempt, hold, walk.times(step))
                except UpstreamFault as fault:
                    step.permit.failed(fault)
                    await self._settling.failed(job, hold, attempt, fault)
                    await walk.failed(step, fault)
                except asyncio.CancelledError:
                    await self._settling.abandoned(job, hold, attempt, clock() - began)
                    raise
                except Exception:
                    await self._settling.unforeseen(job, hold, attempt)
                    raise
                else:
                    if isinstance(result, Opened):
                        step.permit.begun()
                        result.closing.callback(step.permit.release)
                    else:
                        step.permit.answered()
                    return result
            finally:
                if not isinstance(result, Opened):
                    step.permit.release()
        ready_in_s = min(self._health.ready_in(job.policy, each) for each in job.policy.models.values())
        raise refusal_of(walk.failures, job.record.attempts, ready_in_s)

    async def settle(self, job: Job, hold: Hold, attempt: Attempt, usage: Usage, outcome: str) -> None:
        """Settles a stream. Called once it has ended, by whoever passes it on."""
        if outcome == "broken":
            self._health.broke(job.policy, attempt.model)
        elif outcome in {"ok", "cut"}:  # the latter by us
            self._health.ended(job.policy, attempt.model)
        await self._settling.settle(job, hold, attempt, usage, outcome)
