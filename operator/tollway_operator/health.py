"""What the probes and the metrics say of the loops."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.notify import Notifier
from tollway_operator.pods import Pods
from tollway_operator.reconcile import Reconciler
from tollway_operator.watches import Watches

_MEASURE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    reconciler: Reconciler
    watches: Watches
    pods: Pods
    notifier: Notifier
    leadership: Leadership
    metrics: Metrics
    loop_stale_s: float

    def trouble(self) -> str:
        """Why this process should be restarted; "" when all is well."""
        if monotonic() - self.reconciler.ticked_at > self.loop_stale_s:
            return "the reconcile loop hangs"
        silent = self.watches.stale or ("Pod" if self.pods.stale else "")
        return f"the watch of {silent} is silent" if silent else ""

    def not_ready(self) -> str:
        """Why it does not know enough yet, or nothing newer can be published; "" when all is well. No restart helps."""
        if undefined := self.watches.undefined:
            kinds = ", ".join(undefined)
            return f"not defined, and so not watched: {kinds}; kubectl apply --server-side -f deploy/crds"
        if not self.watches.complete:
            return f"the watches are not complete yet: {self.watches.fault or 'they are being read'}"
        if fault := self.watches.fault:
            return f"what there is is not known to be all: {fault}"
        if not self.pods.known:
            return f"pods are not known: {self.pods.fault or 'not listed yet'}"
        if self.leadership.fault:
            return f"the Lease can be neither taken nor renewed: {self.leadership.fault}"
        if standstill := self.reconciler.standstill:
            return f"nothing newer can be published: {standstill}"
        return ""

    async def measure(self) -> None:
        """Runs for the life of the process."""
        while True:
            await asyncio.sleep(_MEASURE_S)
            self.metrics.queue_age.set(self.reconciler.queue_age_s)
            for kind, age in {**self.watches.ages_s, "Pod": self.pods.age_s}.items():
                self.metrics.watch_age.labels(kind).set(age)
            for kind in self.watches.ages_s:
                self.metrics.unlistable.labels(kind).set(kind in self.watches.unlistable)
            self.metrics.leads.set(self.leadership.leads)
            self.metrics.observe_pods(self.notifier.by_revision)
