"""When the loop runs: what one does is shown on real parts in `with_apiserver`."""

import asyncio
from dataclasses import fields
from types import SimpleNamespace
from unittest.mock import Mock

from tests.operator.test_status_writer import until
from tollway_operator.metrics import Metrics
from tollway_operator.reconcile import Collaborators, Reconciler


class Watches:
    """Which are not complete, so that a run looks at that and ends."""

    lacking = ""

    def __init__(self) -> None:
        self.runs = 0

    @property
    def complete(self) -> bool:
        self.runs += 1
        return False


def loop(watches: Watches, debounce_s: float) -> Reconciler:
    """Which has nothing but these."""
    parts = SimpleNamespace(
        **dict.fromkeys((each.name for each in fields(Collaborators)), SimpleNamespace()),
    )
    parts.objects, parts.watches, parts.metrics = [], watches, Metrics()
    return Reconciler(parts, Mock(), "tollway-system", debounce_s, 60.0, lambda: None)  # type: ignore[arg-type]  # they stand in


async def test_a_burst_of_changes_is_one_run_and_what_comes_later_another() -> None:
    watches = Watches()
    reconciler = loop(watches, debounce_s=0.5)
    running = asyncio.create_task(reconciler.run())
    try:
        for turn in range(100):
            if turn % 5 == 0:
                reconciler.wake()
            await asyncio.sleep(0)  # in which it would run, if it did not wait for more
        await until(lambda: watches.runs > 0)
        await asyncio.sleep(0.1)
        assert watches.runs == 1
        reconciler.wake()
        await until(lambda: watches.runs > 1)
        assert watches.runs == 2
    finally:
        running.cancel()
