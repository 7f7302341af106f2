"""What a request may spend on its attempts: each has a hold of its own, and where the budget has no room for one, it
waits for what others hold, or goes to the model that the budget has for that. Called by `dispatch`.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from tollway_api.snapshot import NANO_PER_USD, Limit
from tollway_api.tenant_budget import ExceededAction, Unit
from tollway_api.wire import account_of
from tollway_dataplane.core.attempts import Attempt
from tollway_dataplane.core.budgeting import (
    FEWEST_TOKENS,
    FEWEST_UNSEEN_TOKENS,
    FIRST_TOKENS,
    on_exceeded,
    worst_case,
)
from tollway_dataplane.core.capabilities import lacking
from tollway_dataplane.core.decision import RouteReason, Source
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.core.parameters import is_seen, sent_parameters
from tollway_dataplane.core.pricing import is_free
from tollway_dataplane.core.tokens import countable
from tollway_dataplane.fallback.jobs import Job
from tollway_dataplane.ports import Tokenizers
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.exceeding import Exceeded, refusal
from tollway_dataplane.spending.holds import Hold, Need, Slice

# Before a request is refused for money that is only held by others it waits so long, and no longer than half of the
# time it has. Most answers take less, and then what was held in vain is free again.
PATIENCE_S: Final = 30.0


class Affording:
    """The holds of one request's attempts, until `deadline` by `time.monotonic`."""

    def __init__(self, job: Job, budgets: Budgets, tokenizers: Tokenizers, deadline: float) -> None:
        self._job = job
        self._budgets = budgets
        self._tokenizers = tokenizers
        self._deadline = deadline
        self._waived: set[str] = set()  # accounts whose budgets have sent the request to another model

    async def hold(self, attempt: Attempt, made: int, rest: Sequence[Attempt]) -> Hold:
        """Holds what an attempt may cost that follows `made` failed ones and precedes the rest. Raises Exceeded."""
        job = self._job
        worst = worst_case(job.request, attempt.messages, attempt.model)
        need = Need(
            worst,
            partial(self._slice, attempt, worst),
            partial(self._patience_s, rest if made else None),
            gives_way=job.in_background,
        )
        hold_id = f"{job.request.request_id}.{made}"
        with job.record.trace.step("hold") as step:
            hold = await self._budgets.hold(hold_id, job.tenant, attempt.model, need, self._waived)
            step.note(held_usd=hold.held_nano / NANO_PER_USD, tight=hold.tight)
        job.record.tight = hold.tight
        job.record.rate_limits = partial(self._budgets.rate_limits, job.tenant)
        job.record.mark("hold")
        return hold

    def instead(self, exceeded: Exceeded) -> list[Attempt]:
        """What to try before any attempt was made. Raises Refusal where there is nothing: no account says twice whom
        to ask.
        """
        job, limit = self._job, exceeded.denied.limit
        job.record.limit = limit.title
        stand_ins = self._stand_ins(limit)
        if not stand_ins:
            raise refusal(job.tenant, exceeded.denied)
        self._waived.add(account_of(job.tenant.name, limit))
        job.record.source, job.record.route_reason = Source.DEGRADED, RouteReason.DEGRADED
        return stand_ins

    async def _slice(self, attempt: Attempt, worst: Usage) -> Slice:
        request, tokenizer = self._job.request, self._tokenizers.of(attempt.model)
        parameters = sent_parameters(request.parameters, attempt.model)
        prompt = countable(attempt.messages, parameters)
        tokens = await tokenizer.count_prompt(prompt.text)
        counted = prompt.counted(tokens, tokenizer.safety, worst.prompt_tokens)
        if is_seen(attempt.model.upstream_id, parameters):
            first, fewest = FIRST_TOKENS * request.choices, FEWEST_TOKENS * request.choices
            return Slice(counted, first, fewest, grows=True)
        return Slice(counted, worst.completion_tokens, FEWEST_UNSEEN_TOKENS * request.choices)

    def _stand_ins(self, limit: Limit) -> list[Attempt]:
        """What to try when a limit is used up: its budget's fallback model, once."""
        job = self._job
        exceeding = on_exceeded(job.tenant, limit)
        model = job.policy.models.get(exceeding.model) if exceeding.model else None
        # What costs money must be in the way of a limit that counts it: nothing else would ever stop it.
        counts_money = any(limit.unit is Unit.USD for limit in job.tenant.limits)
        if (
            job.in_background
            or exceeding.action is ExceededAction.REJECT
            or model is None
            or lacking(model, job.needs)
            or account_of(job.tenant.name, limit) in self._waived
            or not (is_free(model.price) or counts_money)
        ):
            return []
        return [Attempt(model, job.request.messages)]

    def _patience_s(self, rest: Sequence[Attempt] | None, limit: Limit) -> float:
        """For how long to wait for others' holds: a request that has another way does not wait. `rest` is None before
        any attempt, when the budget's own rule decides.
        """
        if self._stand_ins(limit) if rest is None else rest:
            return 0.0
        return min(PATIENCE_S, (self._deadline - time.monotonic()) / 2)
