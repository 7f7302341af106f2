"""What an attempt has really used, noted and counted once, however it ended."""

import asyncio
from collections.abc import Callable
from typing import Final

from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import NANO_PER_USD
from tollway_dataplane.core.attempts import Attempt
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.core.pricing import cost
from tollway_dataplane.core.tokens import estimate, estimate_text
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.fallback.jobs import Job
from tollway_dataplane.record import AttemptNote, Record
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.holds import Hold

# Few providers of 2026 write one answer faster.
FASTEST_TOKENS_PER_S: Final = 500


class AnswerUnfit(UpstreamFault):
    """The provider has answered, and been paid for it, and another is to be asked."""

    def __init__(self, trigger: FallbackTrigger, usage: Usage) -> None:
        super().__init__(trigger, 200, "the answer is not one to pass on", may_have_run=True)
        self.usage = usage


class Settling:
    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    async def settle(self, job: Job, hold: Hold, attempt: Attempt, usage: Usage, outcome: str = "ok") -> None:
        """Notes and counts what an attempt really used, once."""
        record, hold.settled = job.record, True
        record.attempts.append(AttemptNote(attempt.model.name, outcome))
        record.usage, record.held_nano = usage, hold.held_nano
        record.cut, record.limit = hold.cut, hold.cut_by or record.limit
        nano = self._note_cost(record, usage, attempt)
        if (
            record.route_reason in {RouteReason.SIMPLE, RouteReason.MIDDLE}
            and attempt.model.name == job.model
        ):
            dearer = cost(usage, job.policy.models[job.policy.route.complex].price)
            record.routed_nano = max(0, dearer - nano)
        await self._counted(job, hold, usage, nano, answered=True)

    @staticmethod
    def _note_cost(record: Record, usage: Usage, attempt: Attempt) -> int:
        nano = cost(usage, attempt.model.price)
        record.cost_nano += nano
        record.estimated_nano += nano if usage.estimated else 0
        return nano

    async def failed(self, job: Job, hold: Hold, attempt: Attempt, fault: UpstreamFault) -> None:
        """A refused call costs nothing; one that broke off may have been billed for its prompt."""
        job.record.attempts.append(AttemptNote(attempt.model.name, fault.trigger or "Refused", fault.kind))
        if isinstance(fault, AnswerUnfit):
            usage = fault.usage
        else:
            usage = used(None, hold, attempt) if fault.may_have_run or hold.written else NO_USAGE
        nano = self._note_cost(job.record, usage, attempt)
        await self._counted(job, hold, usage, nano, answered=False)

    async def abandoned(self, job: Job, hold: Hold, attempt: Attempt, seconds: float) -> None:
        """The caller is gone. What the provider bills for cannot be known, and a caller who can leave without paying
        would.
        """
        if not hold.settled:  # it may have left while what it got was settled
            usage = abandoned_usage(attempt, hold.held, seconds)
            await asyncio.shield(self.settle(job, hold, attempt, usage, "Cancelled"))

    async def unforeseen(self, job: Job, hold: Hold, attempt: Attempt) -> None:
        """Something failed in a way that nobody foresaw, and no hold may stand for it."""
        job.record.attempts.append(AttemptNote(attempt.model.name, "Unforeseen"))
        if not hold.settled:
            usage = estimated_usage(attempt, "")
            nano = self._note_cost(job.record, usage, attempt)
            await self._counted(job, hold, usage, nano, answered=False)

    async def _counted(self, job: Job, hold: Hold, usage: Usage, nano: int, *, answered: bool) -> None:
        with job.record.trace.step("settle") as step:
            await self._budgets.settle(hold, usage, answered=answered)
            step.note(cost_usd=nano / NANO_PER_USD, estimated=usage.estimated)


def estimated_usage(attempt: Attempt, answer_text: str) -> Usage:
    """What an attempt may have used, where its provider does not say."""
    prompt = sum(map(estimate, attempt.messages))
    return Usage(prompt, estimate_text(answer_text), estimated=True)


def used(said: Usage | None, hold: Hold, attempt: Attempt, answer_text: Callable[[], str] = str) -> Usage:
    """What the provider says, and of what it does not, what was counted, or an estimate by the text."""
    if said is not None and said.is_complete:
        return said
    seen = hold.seen if hold.grows or hold.written else estimated_usage(attempt, answer_text())
    return seen if said is None else said.completed(seen)


def abandoned_usage(attempt: Attempt, worst: Usage, seconds: float) -> Usage:
    """What a call that we broke off may have used: the fastest provider may have written so much until then."""
    written = min(worst.completion_tokens, int(seconds * FASTEST_TOKENS_PER_S))
    return Usage(sum(map(estimate, attempt.messages)), written, estimated=True)
