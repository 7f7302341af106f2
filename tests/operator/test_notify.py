"""Pods are told at once, each by itself, a bounded number at a time, and again until they say that they run it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import aiohttp
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.dataplanes import until
from tests.loops import under_way
from tests.servers import served
from tollway_api import messages
from tollway_api.messages import Lookups, Notify, PodState
from tollway_api.parts import Head
from tollway_operator.admin_port import AdminPort
from tollway_operator.metrics import Metrics
from tollway_operator.notify import Notifier
from tollway_operator.reports import DataPlanePod

POLL_S = 30.0


def head(number: int) -> Head:
    return Head(f"{number:012x}{0:052x}", number, 1, "a", 1)


@dataclass
class Fleet:
    """Data planes behind one address; what their answers cost, and what they were told."""

    takes_s: dict[str, float] = field(default_factory=dict)  # by name of the pod's host
    refuses: int = 0
    breaks: int = 0
    lookups: str = '{"hits": 0, "total": 0}'
    purged: int = 0
    told: list[tuple[float, str, int]] = field(default_factory=list)  # when, by whom, which
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> Starlette:
        async def snapshot(request: Request) -> Response:
            notify = messages.NOTIFY.validate_json(await request.body())
            host = request.url.hostname or ""
            self.told.append((time.monotonic(), host, int(notify.revision, 16)))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(self.takes_s.get(host, 0.02))
            finally:
                self.at_once -= 1
            if self.breaks:
                self.breaks -= 1
                return Response(status_code=401)
            if self.refuses:
                self.refuses -= 1
                return Response(orjson.dumps({"revision": None, "digest": None, "rejected": "no"}), 409)
            state = messages.POD_STATE.dump_python(self._state(notify), mode="json")
            # As text, since no honest pod can say all of it.
            lookups = f'"lookups": {{"default/answers": {self.lookups}}}'
            return Response(orjson.dumps({**state, "lookups": {}}).replace(b'"lookups":{}', lookups.encode()))

        return Starlette(routes=[Route(messages.PATH, snapshot, methods=["POST"])])

    def _state(self, notify: Notify) -> PodState:
        return PodState(notify.revision, notify.digest, purged=self.purged)

    def heard(self, host: str, number: int) -> bool:
        return any(each[1:] == (host, number) for each in self.told)


class Known:
    """In place of the Pod watch."""

    def __init__(self, addresses: list[str]) -> None:
        self.running = [
            DataPlanePod(f"uid-{number}", f"dp-{number}", address, True, False, "first")
            for number, address in enumerate(addresses)
        ]


@contextlib.asynccontextmanager
async def notifying(fleet: Fleet, addresses: list[str], pods: Known | None = None) -> AsyncIterator[Notifier]:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(served(fleet.app(), "0.0.0.0"))  # noqa: S104 - every loopback address
        port = int(url.rpartition(":")[2])
        async with aiohttp.ClientSession() as session:
            pods = pods or Known(addresses)
            notifier = Notifier(AdminPort(session, port), pods, POLL_S, Metrics(), lambda: None)  # type: ignore[arg-type]  # a stand-in
            async with under_way(notifier.run()):
                yield notifier


def counted(notifier: Notifier, what: str) -> float | None:
    return notifier._metrics.registry.get_sample_value(f"tollway_operator_{what}_total")


async def test_a_pod_that_hangs_holds_nobody_else_up() -> None:
    fleet = Fleet(takes_s={"127.0.0.2": 60.0})
    async with notifying(fleet, ["127.0.0.1", "127.0.0.2"]) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: fleet.heard("127.0.0.1", 1) and fleet.heard("127.0.0.2", 1))
        began = time.monotonic()
        notifier.announce(head(2), ["token"])
        await until(lambda: notifier.by_revision[head(2).revision] == 1)
        assert time.monotonic() - began < 1.0


async def test_what_is_published_while_a_pod_answers_reaches_it_as_soon_as_it_has() -> None:
    fleet = Fleet(takes_s={"127.0.0.1": 0.3})
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: fleet.heard("127.0.0.1", 1))
        notifier.announce(head(2), ["token"])
        await until(lambda: notifier.by_revision[head(2).revision] == 1)
        assert fleet.told[-1][0] - fleet.told[0][0] < 1.0


async def test_a_hundred_pods_are_told_a_bounded_number_at_a_time() -> None:
    fleet = Fleet()
    async with notifying(fleet, ["127.0.0.1"] * 100) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 100)
        assert 16 < fleet.most_at_once <= 32
        assert len(fleet.told) == 100, "each is told once"
        assert counted(notifier, "acks") == 100


async def test_one_that_refuses_is_asked_again_after_pauses_that_grow_and_are_not_the_same_for_all() -> None:
    fleet = Fleet(refuses=6)
    async with notifying(fleet, ["127.0.0.1", "127.0.0.2"]) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 2)
        assert counted(notifier, "nacks") == 2, "a refusal that is repeated is counted once"
    pauses = [
        [later[0] - earlier[0] for earlier, later in pairwise(asked)]
        for host in ("127.0.0.1", "127.0.0.2")
        if (asked := [each for each in fleet.told if each[1] == host])
    ]
    for each in pauses:
        assert each[0] < 0.25 * 1.3 + 0.2
        assert each[-1] > each[0]
    assert pauses[0] != pytest.approx(pauses[1], abs=0.001), (
        "any one pause of two pods may come out alike, not all"
    )


@pytest.mark.parametrize("changed", [{"incarnation": "second"}, {"address": "127.0.0.2"}])
async def test_a_container_that_began_anew_in_its_pod_is_told_at_once_and_acknowledges_itself(
    changed: dict[str, str],
) -> None:
    fleet = Fleet()
    pods = Known(["127.0.0.1"])
    async with notifying(fleet, [], pods) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 1)
        fleet.takes_s = dict.fromkeys(("127.0.0.1", "127.0.0.2"), 0.3)
        pods.running = [replace(each, **changed) for each in pods.running]  # type: ignore[arg-type]  # of texts
        notifier.look()
        await until(lambda: len(fleet.told) == 2)
        assert notifier.by_revision == {"none": 1}, "it is another, whatever the one before has said"
        await until(lambda: notifier.by_revision == {head(1).revision: 1})


async def test_a_pod_that_was_known_before_there_was_anything_to_tell_is_told_then() -> None:
    fleet = Fleet()
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        await asyncio.sleep(0.1)
        assert fleet.told == []
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 1)


@pytest.mark.parametrize(
    ("hits", "total"), [("-5", "1"), ("2", "1"), ("1", f"{2**63}"), ("1", "1" + "0" * 400)]
)
async def test_lookups_that_nobody_can_have_counted_make_no_sense_and_change_nothing(
    hits: str, total: str
) -> None:
    fleet = Fleet()
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        fleet.lookups = '{"hits": 1, "total": 2}'
        notifier.announce(head(1), "token")
        await until(lambda: notifier.by_revision[head(1).revision] == 1)
        fleet.lookups = f'{{"hits": {hits}, "total": {total}}}'
        notifier.announce(head(2), "token")
        await until(lambda: any(each.trouble for each in notifier.reports.values()))
        (report,) = notifier.reports.values()
        assert report.trouble == "its answer makes no sense"
        assert report.lookups == {"default/answers": Lookups(1, 2)}


async def test_an_answer_that_is_lost_does_not_unsay_what_the_pod_runs() -> None:
    fleet = Fleet()
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 1)
        fleet.breaks = 1
        notifier.announce(head(2), ["token"])
        await until(lambda: fleet.heard("127.0.0.1", 2))
        await asyncio.sleep(0.1)
        assert notifier.by_revision[head(1).revision] == 1, "it ran that, and nothing says that it does not"
        (report,) = notifier.reports.values()
        assert report.trouble == "it answered 401: it knows none of the admin tokens"
        await until(lambda: notifier.by_revision[head(2).revision] == 1)


async def test_a_pod_that_knows_only_the_older_of_two_tokens_is_told_with_that() -> None:
    fleet = Fleet(breaks=1)
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        notifier.announce(head(1), ["newer", "older"])
        await until(lambda: notifier.by_revision[head(1).revision] == 1)
        assert len(fleet.told) == 2


async def test_pods_are_asked_about_a_purge_until_they_have_forgotten() -> None:
    fleet = Fleet()
    async with notifying(fleet, ["127.0.0.1"]) as notifier:
        notifier.announce(head(1), ["token"])
        await until(lambda: notifier.by_revision[head(1).revision] == 1)
        notifier.purged(2_000)
        await until(lambda: len(fleet.told) >= 3)
        assert [each.purged for each in notifier.reports.values()] == [0]
        fleet.purged = 2_000
        await until(lambda: [each.purged for each in notifier.reports.values()] == [2_000])
        asked = len(fleet.told)
        await asyncio.sleep(0.6)
        assert len(fleet.told) == asked, "they have said so"
