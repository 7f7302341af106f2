"""Writes the statuses that have changed, to `/status` only, and an Event for each condition that has turned. What is
written is computed from the whole state by `status`; an object that changes meanwhile is a Conflict, and its turn comes
again with its event. A status that the API server says is not valid is not tried again before something else is to
be said, so that it takes no time from others'; one that it will not take for another reason, such as an admission
webhook, is tried again after pauses that grow, and after all others.
"""

import asyncio
import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from tollway_api.conditions import Condition, ConditionReason, ConditionStatus, ConditionType
from tollway_operator.errors import Conflict, Invalid, KubeFault, LeadershipLost, NotFound, Unanswered
from tollway_operator.kube import Kube, Moment
from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Edition, Held, Objects, canonical
from tollway_operator.retries import Retries
from tollway_operator.status import View, conditions_in, says, status_of

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_DEBOUNCE_S: Final = 0.2
_PAUSE_S: Final = 2.0
_LONG_S: Final = 2.0
_NO_NEWS: Final = frozenset({ConditionReason.PENDING, ConditionReason.DELETING})


class StatusWriter:
    """`view` says what is known now, or None while it is too early to say anything."""

    def __init__(
        self,
        kube: Kube,
        objects: Objects,
        leadership: Leadership,
        view: Callable[[str], View | None],
        metrics: Metrics,
        reporter: str,
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._leadership = leadership
        self._view = view
        self._metrics = metrics
        self._reporter = reporter
        self._wake = asyncio.Event()
        self._is_early = False  # whether something has been deleted of which it is too early to say so
        self._failing = Retries[Edition]()  # of objects whose status could not be written the last time

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Runs for the life of the process. Raises LeadershipLost."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._longest_wait_s):
                    await self._wake.wait()
            await asyncio.sleep(_DEBOUNCE_S)
            self._wake.clear()
            if self._leadership.leads and (fault := await self.write_changed()) is not None:
                log.warning("statuses could not all be written", extra={"reason": str(fault)})
                await asyncio.sleep(max(_PAUSE_S, fault.retry_after_s))
                self._wake.set()

    @property
    def _longest_wait_s(self) -> float | None:
        """None where there is nothing that nobody would wake us for."""
        waits_s = min(max(0.0, self._failing.due_in_s), _PAUSE_S if self._is_early else math.inf)
        return None if math.isinf(waits_s) else waits_s

    async def write_changed(self) -> KubeFault | None:
        """Why nobody's status could be written any more, if so. Raises LeadershipLost."""
        view = self._view(_now())
        if view is None:
            return None
        self._failing.keep_only({held.edition for held in self._objects})
        with self._metrics.step("status"):
            turns = self._turns()
            faults = await asyncio.gather(*(self._worker(turns, view) for _ in range(_AT_ONCE)))
        self._is_early = any(held.deleted_at and not view.speaks_of(held) for held in self._objects)
        return next((fault for fault in faults if fault is not None), None)

    def _turns(self) -> Iterator[Held]:
        """First those that are not settled, whose author may be waiting, then who was looked at longest ago, and last
        of all those that could not be written; for long only while nobody asks anew, so that nobody need wait until
        thousands of others have been served.
        """
        until = monotonic() + _LONG_S
        for held in sorted(self._objects, key=lambda each: (each.edition in self._failing, *_urgency(each))):
            if not self._failing.is_due(held.edition):
                continue
            held.looked_at = monotonic()
            yield held
            if self._wake.is_set() and monotonic() > until:
                return

    async def _worker(self, turns: Iterator[Held], view: View) -> Unanswered | None:
        """Ends where nothing is to be had of the API server; what it will not do for one object it may for the next."""
        for held in turns:
            await asyncio.sleep(0)  # thousands of them must not hold up the Lease
            # Of what has just changed nothing is said until it has been compiled, which is soon.
            if view.speaks_of(held):
                try:
                    await self._write(held, status_of(held, view))
                except (Conflict, NotFound):
                    pass  # it has changed or gone, and its event tells us
                except KubeFault as fault:
                    self._note(held, fault)
                    if isinstance(fault, Unanswered):
                        return fault
                    continue
            self._failing.succeeded(held.edition)
        return None

    def _note(self, held: Held, fault: KubeFault) -> None:
        if held.edition not in self._failing:
            what = {"object": str(held.identity), "reason": str(fault)}
            log.warning("a status cannot be written", extra=what)
        self._failing.failed(held.edition, fault)

    async def _write(self, held: Held, status: dict[str, Any]) -> None:
        encoded, before = canonical(status), held.status
        if encoded == before or (held.refused and held.refused == _timeless(status)):
            return
        self._leadership.fence()
        try:
            version = await self._kube.apply_status(held.identity, held.resource_version, status)
        except Invalid as fault:
            held.refused = _timeless(status)
            log.warning("a status is refused", extra={"object": str(held.identity), "reason": str(fault)})
            return
        self._metrics.status_writes.inc()
        # As if its event had come already, so that nothing is written twice.
        if held.uid == getattr(self._objects.get(held.identity), "uid", None):
            held.resource_version, held.status = version, encoded
        for turned in _turned(conditions_in(before), conditions_in(encoded)):
            await self._tell(held, turned)

    async def _tell(self, held: Held, condition: Condition) -> None:
        alert = condition.reason == ConditionReason.BUDGET_ALERT
        warning = alert or condition.status is not ConditionStatus.TRUE
        note = f"{condition.type} is {condition.status}: {condition.message}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        moment = Moment(held.identity, held.uid, warning, condition.reason, note, now, self._reporter)
        try:
            await self._kube.emit(moment)
        except LeadershipLost:
            raise
        except KubeFault as fault:
            log.warning("an event could not be emitted", extra={"reason": str(fault)})


def _turned(before: list[Condition], after: list[Condition]) -> list[Condition]:
    """What is worth an Event."""
    known = {each.type: each for each in before}
    return [each for each in after if _is_news(known.get(each.type), each)]


def _is_news(before: Condition | None, now: Condition) -> bool:
    """Whatever says no; Ready and WithinBudget, which nothing else speaks for, also when they are no longer known and
    when they are well again; and a budget that is nearly used up. What only waits for its turn is no news.
    """
    if before is not None and (before.status, before.reason) == (now.status, now.reason):
        return False
    is_ready = now.type == ConditionType.READY
    if now.status is ConditionStatus.FALSE:
        return not is_ready  # what it sums up has said it
    if not is_ready and now.type != ConditionType.WITHIN_BUDGET:
        return False
    was_told = before is not None and before.reason != ConditionReason.PENDING
    turned = before is not None and before.status is not now.status
    if now.status is ConditionStatus.UNKNOWN:
        return now.reason not in _NO_NEWS and (turned or not was_told)
    return is_ready or now.reason == ConditionReason.BUDGET_ALERT or (was_told and turned)


def _timeless(status: dict[str, Any]) -> bytes:
    """What it says, without since when: of an object that has none yet, that is always now."""
    conditions = [
        {name: value for name, value in each.items() if name != "lastTransitionTime"}
        for each in status["conditions"]
    ]
    return hashlib.sha256(canonical({**status, "conditions": conditions})).digest()


def _urgency(held: Held) -> tuple[bool, float]:
    return says(held, ConditionType.READY), held.looked_at


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
