"""Writes the statuses that have changed, to `/status` only, and an Event for each condition that has turned. What is
written is computed from the whole state by `status`; an object that changes meanwhile is a Conflict, and its turn comes
again with its event.

A pass looks at all objects and has little patience with each. What it could not write, or not so soon, such as for an
admission webhook, is left to workers that have the patience, and tried again after pauses that grow; no pass waits for
them, so that nobody's status is late for another's.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from tollway_api.conditions import Condition, ConditionReason, ConditionStatus, ConditionType
from tollway_api.meta import Identity
from tollway_operator.errors import Conflict, KubeFault, NotFound, Unanswered
from tollway_operator.events import Events
from tollway_operator.kube import Kube, Moment
from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.objects import Edition, Held, Objects, canonical
from tollway_operator.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S, Retries
from tollway_operator.status import View, conditions_in, says, status_of
from tollway_operator.tasks import until_first_ends

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8  # of each kind, and of what is tried again
_DEBOUNCE_S: Final = 0.2
_PAUSE_S: Final = 2.0
_LONG_S: Final = 2.0
# In which 99 % of the calls on single objects are answered by an API server that is well, as Kubernetes' own objectives
# have it: "API call latency SLI/SLO", kubernetes/community, sig-scalability.
_SOON_S: Final = 1.0
# More than the ten seconds that an admission webhook has by default, without which the API server may go on.
_PATIENT_S: Final = 12.0
# Of conditions that are True all the same.
_ALERTS: Final = frozenset({ConditionReason.BUDGET_ALERT, ConditionReason.KEY_EXPIRING})
_NO_NEWS: Final = frozenset({ConditionReason.PENDING, ConditionReason.DELETING})
_Key = tuple[Identity, Edition]


class StatusWriter:
    """`view` says what is known now, or None while it is too early to say anything."""

    def __init__(
        self,
        kube: Kube,
        objects: Objects,
        leadership: Leadership,
        view: Callable[[str], View | None],
        metrics: Metrics,
        events: Events,
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._leadership = leadership
        self._view = view
        self._metrics = metrics
        self._events = events
        self._wake = asyncio.Event()
        self._is_early = False  # whether something has been deleted of which it is too early to say so
        self._failing = Retries[_Key]()  # what could not be written the last time
        # Those of them that are being tried again, and whether a pass has left them out meanwhile.
        self._retried: dict[_Key, bool] = {}
        # Of statuses that may have been written without our hearing so: the conditions that were told of, by uid.
        self._told: dict[str, list[Condition]] = {}
        self._resting: dict[
            str, float
        ] = {}  # kinds of which nothing is to be had, until when on the monotonic clock

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Runs for the life of the process. Raises LeadershipLost."""
        # Half of them take what has failed least, so that what fails once need not wait for all that hangs, and half
        # what has waited longest, so that all have their turn.
        halves = [self._turns_again(least_failed=each) for each in (True, False)]
        retrying = [self._retry(turns) for turns in halves for _ in range(_AT_ONCE // 2)]
        await until_first_ends([asyncio.ensure_future(each) for each in (self._look(), *retrying)])

    async def _look(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._longest_wait_s):
                    await self._wake.wait()
            await asyncio.sleep(_DEBOUNCE_S)
            self._wake.clear()
            if self._leadership.leads:
                await self.write_changed()

    @property
    def _longest_wait_s(self) -> float | None:
        """Seconds until something is due for which nobody wakes this loop; None where nothing is."""
        rests = [until - monotonic() for until in self._resting.values()]
        waits = [*rests, *([_PAUSE_S] if self._is_early else [])]
        return max(0.0, min(waits)) if waits else None

    async def write_changed(self) -> None:
        """One pass. Raises LeadershipLost."""
        view = self._view(_now())
        if view is None:
            return
        self._failing.keep_only({_key(held) for held in self._objects})
        self._told = {held.uid: self._told[held.uid] for held in self._objects if held.uid in self._told}
        self._retried = dict.fromkeys(self._retried, True)
        retried = {edition.uid for _, edition in self._retried}  # also as it was before it changed
        self._resting = {kind: until for kind, until in self._resting.items() if until > monotonic()}
        by_kind = defaultdict(list)
        for held in _in_turn(self._objects):
            kind = held.identity.kind
            if kind not in self._resting and _key(held) not in self._failing and held.uid not in retried:
                by_kind[kind].append(held)
        with self._metrics.step("status"):
            # A webhook is mostly for one kind, of which no other need be late.
            await asyncio.gather(*(self._pass_over(kind, each, view) for kind, each in by_kind.items()))
        self._is_early = any(held.deleted_at and not view.speaks_of(held) for held in self._objects)

    async def _pass_over(self, kind: str, all_of_them: Collection[Held], view: View) -> None:
        turns = self._turns(all_of_them)
        faults = await asyncio.gather(*(self._worker(turns, view) for _ in range(_AT_ONCE)))
        if found := [fault for fault in faults if fault is not None]:
            log.warning("statuses could not all be written", extra={"kind": kind, "reason": str(found[0])})
            self._resting[kind] = monotonic() + max(_PAUSE_S, *(fault.retry_after_s for fault in found))

    def _turns(self, all_of_them: Collection[Held]) -> Iterator[Held]:
        """The objects in turn, for long only while nobody asks anew, who need not wait for thousands of others."""
        until = monotonic() + _LONG_S
        for held in all_of_them:
            held.looked_at = monotonic()
            yield held
            if self._wake.is_set() and monotonic() > until:
                return

    async def _worker(self, turns: Iterator[Held], view: View) -> Unanswered | None:
        """Ends where nothing is to be had of the API server; what it will not do for one object it may for the next."""
        for held in turns:
            await asyncio.sleep(0)  # thousands of them must not hold up the Lease
            if isinstance(fault := await self._try(held, view, _SOON_S), Unanswered):
                return fault
        return None

    def _turns_again(self, *, least_failed: bool) -> Iterator[_Key | None]:
        """Without an end; None while none is due."""
        while True:
            until = monotonic() + FIRST_PAUSE_S
            for key in self._failing.due(least_failed=least_failed):
                # As it was a moment ago: with thousands of them, they are not put in order for each.
                if key in self._failing and self._failing.is_due(key) and key not in self._retried:
                    yield key
                if monotonic() > until:
                    break
            else:
                yield None

    async def _retry(self, turns: Iterator[_Key | None]) -> None:
        """Runs for the life of the process. Raises LeadershipLost."""
        for key in turns:
            view = self._view(_now()) if key else None
            if key is None or view is None:
                await asyncio.sleep(FIRST_PAUSE_S)
                continue
            self._retried[key] = False
            try:
                fault = await self._try_again(key, view)
            finally:
                if self._retried.pop(key):
                    self.wake()
            # Where one cannot be written, neither can the thousands that may be waiting, for all we know.
            await asyncio.sleep(FIRST_PAUSE_S if fault else 0)

    async def _try_again(self, key: _Key, view: View) -> KubeFault | None:
        """Why it still cannot be written, if so. Raises LeadershipLost."""
        held = self._objects.get(key[0])
        if held is None or _key(held) != key:
            self._failing.succeeded(key)  # there is something else to be said by now, if anything
            return None
        fault = await self._try(held, view, _PATIENT_S)
        if fault is None:
            self._failing.make_due()
        return fault

    async def _try(self, held: Held, view: View, patience_s: float) -> KubeFault | None:
        """Why what is to be said of it could not be written, if so, which is noted. Raises LeadershipLost."""
        key = _key(held)
        try:
            # Of what has just changed nothing is said until it has been compiled, which is soon.
            if view.speaks_of(held):
                async with asyncio.timeout(patience_s):
                    await self._write(held, status_of(held, view))
        except (Conflict, NotFound):
            pass  # it has changed or gone, and its event tells us
        except TimeoutError:
            return self._note(key, KubeFault(f"the API server took longer than {patience_s:g} s"))
        except KubeFault as fault:
            return self._note(key, fault)
        self._failing.succeeded(key)
        return None

    def _note(self, key: _Key, fault: KubeFault) -> KubeFault:
        if key not in self._failing:
            log.warning("a status cannot be written", extra={"object": str(key[0]), "reason": str(fault)})
        # Where nothing was said of the object, nothing speaks against trying it soon.
        longest_s = _PAUSE_S if isinstance(fault, Unanswered) else LONGEST_PAUSE_S
        self._failing.failed(key, fault, longest_s)
        return fault

    async def _write(self, held: Held, status: dict[str, Any]) -> None:
        """Raises KubeFault and LeadershipLost."""
        encoded, before = canonical(status), held.status
        if encoded != before:
            self._leadership.fence()
            self._told.setdefault(held.uid, conditions_in(before))
            version = await self._kube.apply_status(held.identity, held.resource_version, status)
            self._metrics.status_writes.inc()
            # As if its event had come already, so that nothing is written twice.
            if held.uid == getattr(self._objects.get(held.identity), "uid", None):
                held.resource_version, held.status = version, encoded
        if (told := self._told.pop(held.uid, None)) is not None:
            for condition in _turned(told, conditions_in(encoded)):
                self._events.announce(_moment(held, condition))


def _moment(held: Held, condition: Condition) -> Moment:
    alert = condition.reason in _ALERTS
    warning = alert or condition.status is not ConditionStatus.TRUE
    note = f"{condition.type} is {condition.status}: {condition.message}"
    return Moment(held.identity, held.uid, condition.reason, note, warning)


def _turned(before: list[Condition], after: list[Condition]) -> list[Condition]:
    """The conditions that are worth an Event."""
    known = {each.type: each for each in before}
    return [each for each in after if _is_news(known.get(each.type), each)]


def _is_news(before: Condition | None, now: Condition) -> bool:
    """Whatever says no; Ready and WithinBudget, which nothing else speaks for, also when they are no longer known and
    when they are well again; a budget that is nearly used up, and a key that expires soon. What only waits for its turn
    is no news.
    """
    if before is not None and (before.status, before.reason) == (now.status, now.reason):
        return False
    is_ready = now.type == ConditionType.READY
    if now.status is ConditionStatus.FALSE:
        return not is_ready  # what it sums up has said it
    if now.status is ConditionStatus.TRUE and now.reason in _ALERTS:
        return True
    if not is_ready and now.type != ConditionType.WITHIN_BUDGET:
        return False
    was_told = before is not None and before.reason != ConditionReason.PENDING
    turned = before is not None and before.status is not now.status
    if now.status is ConditionStatus.UNKNOWN:
        return now.reason not in _NO_NEWS and (turned or not was_told)
    return is_ready or (was_told and turned)


def _key(held: Held) -> _Key:
    return held.identity, held.edition


def _in_turn(objects: Iterable[Held]) -> list[Held]:
    """First come those that are not settled, whose author may be waiting: one of each namespace, then another of each,
    so that nobody's hundreds keep another waiting. Then who was looked at longest ago.
    """
    before: Counter[tuple[bool, str]] = Counter()
    in_turn: list[tuple[bool, int, float, Held]] = []
    for held in sorted(objects, key=lambda each: each.looked_at):
        is_settled = says(held, ConditionType.READY)
        group = is_settled, "" if is_settled else held.identity.namespace
        in_turn.append((is_settled, 0 if is_settled else before[group], held.looked_at, held))
        before[group] += 1
    return [held for *_, held in sorted(in_turn, key=lambda each: each[:3])]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
