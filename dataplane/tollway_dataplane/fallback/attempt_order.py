"""Whom a request asks next: its plan of attempts, walked once, by how the models are when their turns come. Called by
`dispatch`, which makes the attempts.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from functools import partial

from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Model
from tollway_dataplane.core.attempts import (
    Attempt,
    Failure,
    Times,
    endpoints_tried,
    is_everywhere,
    is_short,
    pause_s,
    plan,
    reduced_attempts,
    times,
)
from tollway_dataplane.core.breaker import is_unwell
from tollway_dataplane.core.capabilities import able
from tollway_dataplane.core.facts import JsonObject
from tollway_dataplane.core.parameters import sent_parameters
from tollway_dataplane.core.tokens import countable, most_tokens
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.fallback.health import Health, Permit
from tollway_dataplane.fallback.jobs import Job
from tollway_dataplane.ports import Tokenizers
from tollway_dataplane.record import AttemptNote


@value
class Step:
    """The next attempt, with leave to make it, and those that come after it."""

    permit: Permit
    attempt: Attempt
    rest: Sequence[Attempt]


class Walk:
    """One request's way through its plan, until `deadline` by `time.monotonic`. It has no more steps than the policy
    allows attempts, but for those that are passed over, each of which is one model less.
    """

    def __init__(self, job: Job, health: Health, tokenizers: Tokenizers, deadline: float) -> None:
        self._job = job
        self._health = health
        self._tokenizers = tokenizers
        self._deadline = deadline
        whole = able(plan(job.policy, job.model, job.request.messages), job.needs)
        self._ahead: Sequence[Attempt] = whole[:1] if job.in_background else whole
        self._passed: dict[ModelName, Attempt] = {}  # since they were not well
        self._too_dear: set[ModelName] = set()
        self._is_over = False
        self.failures: list[Failure] = []

    @property
    def made(self) -> int:
        """Attempts, before the one that is next or under way."""
        return len(self.failures)

    async def next(self) -> Step | None:
        """The next of the plan that is well, or after a failure who may be asked soon. Before any attempt, where nobody
        is well, who is soonest, in a while, or by force.
        """
        if self._is_over or self.made > self._job.policy.fallback.max_fallbacks or self._left_s() <= 0:
            return None
        if (step := self._first_well(self._ahead)) is not None:
            return step
        if self.failures:
            return self._first_well(await self._soon())
        wait_s = min(map(self._ready_in, self._ahead), default=0.0)
        if (pause := _spread(wait_s)) > 0 and is_short(pause, self._left_s()):
            await asyncio.sleep(pause)
            step = self._first_well(self._ahead)
        return step or self._first_well(sorted(self._ahead, key=self._ready_in), by_force=True)

    def go_on(self, attempts: Sequence[Attempt]) -> None:
        """Goes on with these attempts, instead of those that were ahead."""
        self._ahead = attempts

    def pass_over(self, step: Step) -> None:
        """Leaves out the step's model, for which the budget has no room. It is not tried again: nothing would end
        that.
        """
        self._too_dear.add(step.attempt.model.name)
        self._ahead = step.rest

    async def failed(self, step: Step, fault: UpstreamFault) -> None:
        job, attempt = self._job, step.attempt
        tries = sum(each.attempt.model.name == attempt.model.name for each in self.failures)
        # Its traceback leads to who keeps us: all of the request would stay until garbage is looked for.
        self.failures.append(Failure(attempt, fault.with_traceback(None), tries + 1))
        if job.in_background or fault.trigger not in job.policy.fallback.triggers:
            self._is_over = True
            return
        self._ahead = step.rest
        if fault.trigger is FallbackTrigger.CONTEXT_OVERFLOW:
            reduced = partial(reduced_attempts, attempt, step.rest, job.request, self._tokens_of)
            self._ahead = await asyncio.to_thread(reduced)
        if is_unwell(fault) and not is_everywhere(fault) and self._is_elsewhere(attempt):
            self._ahead = [attempt, *self._ahead]

    def times(self, step: Step) -> Times:
        """How long an attempt may take, given those after it that may still be made."""
        job, model = self._job, step.attempt.model
        most = job.policy.fallback.max_fallbacks - self.made
        others = min(most, sum(self._health.is_well(job.policy, each.model) for each in step.rest))
        elsewhere = others < most and self._is_elsewhere(step.attempt)
        parameters = sent_parameters(job.request.parameters, model)
        return times(model, parameters, self._left_s(), others, elsewhere=elsewhere)

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _ready_in(self, attempt: Attempt) -> float:
        return self._health.ready_in(self._job.policy, attempt.model)

    def _first_well(self, attempts: Sequence[Attempt], *, by_force: bool = False) -> Step | None:
        """Those before it are noted, and passed over."""
        policy, noted = self._job.policy, self._job.record.attempts
        for place, attempt in enumerate(attempts):
            tried = endpoints_tried(attempt.model, self.failures) if self.failures else ()
            permit = self._health.admit(policy, attempt.model, tried, by_force=by_force)
            if permit is not None:
                self._passed.pop(attempt.model.name, None)
                return Step(permit, Attempt(permit.model, attempt.messages), attempts[place + 1 :])
            self._passed[attempt.model.name] = attempt
            note = AttemptNote(attempt.model.name, self._health.state(policy, attempt.model), made=False)
            if note not in noted:
                noted.append(note)
        return None

    async def _soon(self) -> list[Attempt]:
        """Who may be asked first, once it may, of those that were passed over and those that failed and are worth
        another try; none where that takes too long. Each that was passed over is waited for once.
        """
        latest = {each.attempt.model.name: each for each in self.failures}
        pauses = [
            (pause_s(each.fault, each.tries, random.random()), each.attempt)  # noqa: S311 - only spreads them out
            for name, each in latest.items()
            if name not in self._too_dear
        ]
        pauses += [(_spread(self._ready_in(each)), each) for each in self._passed.values()]
        soonest = min(
            ((pause, attempt) for pause, attempt in pauses if pause is not None),
            key=lambda each: each[0],
            default=None,
        )
        if soonest is None or not is_short(soonest[0], self._left_s()):
            return []
        await asyncio.sleep(soonest[0])
        return [soonest[1]]

    def _is_elsewhere(self, attempt: Attempt) -> bool:
        """Whether the model may be asked at an endpoint where this request has not been."""
        if not attempt.model.endpoints:
            return False
        tried = {attempt.model.endpoint, *endpoints_tried(attempt.model, self.failures)}
        return self._health.is_elsewhere(self._job.policy, attempt.model, tried)

    def _tokens_of(self, model: Model, messages: Sequence[JsonObject], parameters: JsonObject) -> int:
        """The most tokens that the prompt may have for the model."""
        tokenizer, given = self._tokenizers.of(model), countable(messages, parameters)
        bound = most_tokens(messages, parameters)
        return given.counted(tokenizer.count(given.text), tokenizer.safety, bound).most


def _spread(wait_s: float) -> float:
    """Up to twice as long, so that those who wait for the same do not come back at once."""
    return wait_s + random.random() * wait_s  # noqa: S311 - only spreads them out
