"""Tells every pod which snapshot is the newest, and hears which one it runs. A pod is told until it says so, with
growing pauses, and asked again now and then, because a container can be another by then.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Final

import aiohttp
from pydantic import ValidationError

from tollway_api import messages
from tollway_api.messages import Notify, PodState, Purge
from tollway_api.parts import Head
from tollway_operator.admin_port import AdminPort
from tollway_operator.metrics import Metrics
from tollway_operator.pods import Pods
from tollway_operator.reports import FIRST_PAUSE_S, DataPlanePod, Report

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_MOST_ANSWER_BYTES: Final = 4 * 1_048_576
_LONGEST_PAUSE_S: Final = 15.0
_STRANGER: Final = "it answered 401: it knows none of the admin tokens"


class Notifier:
    """`reports` holds the latest word of each pod, by its uid."""

    def __init__(
        self,
        port: AdminPort,
        pods: Pods,
        poll_s: float,
        metrics: Metrics,
        on_change: Callable[[], None],
    ) -> None:
        self._port = port
        self._pods = pods
        self._poll_s = poll_s
        self._metrics = metrics
        self._on_change = on_change
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[str] = set()
        self._wake = asyncio.Event()
        self._head: Head | None = None
        self._tokens: Sequence[str] = ()
        self._epoch = 0
        self.reports: dict[str, Report] = {}

    @property
    def by_revision(self) -> Counter[str]:
        """Ready pods, by the revision that they run."""
        return Counter((each.digest or "none")[:12] for each in self.reports.values() if each.pod.ready)

    @property
    def has_heard_all(self) -> bool:
        """Whether every ready pod has had its say, if only by giving no answer."""
        reports = [self.reports.get(pod.uid) for pod in self._pods.running if pod.ready]
        return all(each is not None and (each.digest or each.trouble) for each in reports)

    def announce(self, head: Head, tokens: Sequence[str]) -> None:
        """`tokens` are tried in turn: while they are rotated a pod may know only some of them."""
        if (head.digest, tokens) != (self._head.digest if self._head else "", self._tokens):
            self._head, self._tokens = head, tokens
            for uid, report in self.reports.items():
                self.reports[uid] = replace(report, next_at=0.0, pause_s=FIRST_PAUSE_S)
            self._wake.set()

    def purged(self, epoch: int) -> None:
        """Something was, and pods are asked until they say that they have forgotten it."""
        self._epoch = epoch
        for uid, report in self.reports.items():
            if report.purged < epoch:
                self.reports[uid] = replace(report, next_at=0.0, pause_s=FIRST_PAUSE_S)
        self._on_change()
        self._wake.set()

    async def purge(self, index_id: str) -> str:
        """Asks one ready pod for it, since that is enough. Why it was not done, or ""."""
        ready = [pod for pod in self._pods.running if pod.ready and pod.address]
        if not ready:
            return "no data-plane pod is ready"
        pod = random.choice(ready)  # noqa: S311 - not a secret; another one's turn is next
        body = messages.PURGE.dump_json(Purge(index_id), exclude_defaults=True)
        for token in tuple(self._tokens):
            try:
                async with self._port.post(pod, messages.PURGE_PATH, token, body) as response:
                    if response.status != 401:
                        return "" if response.status == 200 else f"{pod.name} answered {response.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                return f"{pod.name} did not answer ({type(exc).__name__})"
        return f"{pod.name} knows none of the admin tokens"

    def look(self) -> None:
        """The pods have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for the life of the process. No pod waits for another's answer, but for a turn."""
        async with asyncio.TaskGroup() as contacts:
            while True:
                self._wake.clear()
                self._follow_pods()
                now = monotonic()
                idle = [report for uid, report in self.reports.items() if uid not in self._under_way]
                for report in idle:
                    if report.next_at <= now and self._head is not None:
                        self._under_way.add(report.pod.uid)
                        contacts.create_task(self._contact(report.pod, self._head))
                soonest = min(
                    (each.next_at for each in idle if each.next_at > now), default=now + self._poll_s
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(soonest - now):
                        await self._wake.wait()

    def _follow_pods(self) -> None:
        before = {uid: report.pod for uid, report in self.reports.items()}
        now = {pod.uid: pod for pod in self._pods.running}
        if before == now:
            return
        kept = {}
        for uid, pod in now.items():
            report = self.reports.get(uid)
            if report is None or not _same_container(report.pod, pod):
                kept[uid] = Report(pod)
            else:
                became_ready = pod.ready and not report.pod.ready
                kept[uid] = replace(report, pod=pod, next_at=0.0 if became_ready else report.next_at)
        self.reports = kept
        self._on_change()

    async def _contact(self, pod: DataPlanePod, head: Head) -> None:
        try:
            async with self._turns:
                head = self._head or head  # there may be a newer one by the time of its turn
                said = Report(pod, trouble=_STRANGER)
                for token in tuple(self._tokens):
                    if said.trouble == _STRANGER:
                        said = await self._ask(pod, head, token)
        finally:
            self._under_way.discard(pod.uid)
        self._note(said, head)
        self._wake.set()

    def _note(self, said: Report, told: Head) -> None:
        before = self.reports.get(said.pod.uid)
        if before is None or not _same_container(before.pod, said.pod):
            return
        said = replace(said, pod=before.pod)
        if said.digest is None and not said.rejected:
            # It has not said what it runs, so that is what it ran; one answer that is lost unsays nothing.
            said = replace(
                said,
                digest=before.digest,
                lookups=before.lookups,
                purged=before.purged,
                unfit=before.unfit,
                models=before.models,
            )
        runs_it = said.digest == told.digest and not said.trouble
        # While it answered there was something newer: it is told that at once.
        if told is self._head and runs_it and said.purged >= self._epoch:
            pause = self._poll_s * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            said = replace(said, next_at=monotonic() + pause)
        elif told is self._head:
            pause = before.pause_s * random.uniform(0.7, 1.3)  # noqa: S311 - only spreads them out
            longer = min(before.pause_s * 2, _LONGEST_PAUSE_S)
            said = replace(said, next_at=monotonic() + pause, pause_s=longer)
        self.reports[said.pod.uid] = said
        if (said.digest, said.trouble) != (before.digest, before.trouble):
            self._metrics.acknowledged.inc(runs_it)
            self._metrics.refused.inc(said.rejected)
            state = {"pod": said.pod.name, "revision": (said.digest or "")[:12], "trouble": said.trouble}
            log.info("acknowledged" if runs_it else "not acknowledged", extra=state)
        before = replace(before, next_at=said.next_at, pause_s=said.pause_s)
        if said != before:
            self._on_change()

    async def _ask(self, pod: DataPlanePod, head: Head, token: str) -> Report:
        body = messages.NOTIFY.dump_json(Notify(head.revision, head.digest))
        try:
            async with self._port.post(pod, messages.PATH, token, body) as response:
                answer = b""
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > _MOST_ANSWER_BYTES:
                        return Report(pod, trouble=f"its answer is larger than {_MOST_ANSWER_BYTES} bytes")
                if response.status == 401:
                    return Report(pod, trouble=_STRANGER)
                if response.status not in {200, 409}:
                    return Report(pod, trouble=f"it answered {response.status}")
            state = messages.POD_STATE.validate_json(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            return Report(pod, trouble=f"it did not answer ({type(exc).__name__})")
        except ValidationError:
            return Report(pod, trouble="its answer makes no sense")
        if response.status == 200 and state.digest != head.digest:
            trouble = f"it acknowledged, but runs {(state.digest or 'nothing')[:12]}"
            return _report(pod, state, trouble, rejected=True)
        rejected = response.status == 409
        trouble = f"it rejected {head.revision}: {state.rejected}"[:512] if rejected else ""
        return _report(pod, state, trouble, rejected=rejected)


def _report(pod: DataPlanePod, state: PodState, trouble: str, *, rejected: bool) -> Report:
    return Report(
        *(pod, state.digest, trouble, rejected),
        lookups=state.lookups,
        purged=state.purged,
        unfit=state.unfit,
        models=state.models,
    )


def _same_container(one: DataPlanePod, other: DataPlanePod) -> bool:
    return (one.address, one.incarnation) == (other.address, other.incarnation)
