"""What is known of a watch while kinds are not defined."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.dataplanes import manifest
from tollway_api.inventory import SPEC_OF_KIND
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.lasting_fault import LASTS_S
from tollway_operator.namespaces import Namespaces
from tollway_operator.objects import Objects
from tollway_operator.watches import Watches

STALE_S = 12.0


class Kube:
    """Lists one object of each kind, or does not."""

    def __init__(self) -> None:
        self.faults: dict[str, KubeFault] = {}
        self.listed: list[str] = []

    async def versions(self, kind: str, _namespaces: Sequence[str]) -> dict[str, int]:
        self.listed.append(kind)
        if fault := self.faults.get(kind):
            raise fault
        return {kind: 2}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1_000.0]
    monkeypatch.setattr("tollway_operator.watches.monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


class Operator:
    def __init__(self) -> None:
        self.kube, self.objects, self.news = Kube(), Objects(), 0
        namespaces = Namespaces(self.kube, self.objects, (), self.hear)  # type: ignore[arg-type]  # a stand-in that has what is called
        self.watches = Watches(self.kube, self.objects, namespaces, STALE_S, self.hear)  # type: ignore[arg-type]  # a stand-in

    def hear(self) -> None:
        self.news += 1

    def watch(self, *kinds: str) -> None:
        """Tells of what there is of these kinds."""
        for kind in kinds:
            body = manifest(kind, "it", {})
            metadata = {"name": "it", "namespace": "default", "uid": kind, "resourceVersion": "2"}
            self.objects.put({**body, "metadata": metadata})

    async def look(self) -> set[str]:
        """The kinds that agree."""
        return {kind for kind in self.watches.ages_s if await self.watches._agrees(kind)}


async def test_what_the_watches_tell_as_they_begin_is_listed_once() -> None:
    operator, heard = Operator(), asyncio.Event()
    operator.watches._on_news = heard.set
    running = asyncio.create_task(operator.watches.run())
    await asyncio.sleep(0)
    operator.watch(*SPEC_OF_KIND)
    operator.watches.began_anew()
    await heard.wait()
    running.cancel()
    assert operator.watches.complete
    assert sorted(operator.kube.listed) == sorted(SPEC_OF_KIND)


async def test_a_watch_that_tells_nothing_goes_stale_also_while_another_kind_is_not_defined(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch("SemanticCacheIndex", "RoutingPolicy")
    for kind in ("TenantBudget", "RoutingPolicy"):
        operator.kube.faults[kind] = NotFound(f"no {kind}")
    assert await operator.look() == {"SemanticCacheIndex"}
    assert set(operator.watches.undefined) == {"TenantBudget", "RoutingPolicy"}
    assert operator.watches.lacking == operator.watches.fault == "no TenantBudget; no RoutingPolicy"
    del operator.kube.faults["TenantBudget"]
    for _ in range(12):
        clock(2)
        assert await operator.look() == {"SemanticCacheIndex"}
    assert operator.watches.undefined == ["RoutingPolicy"]
    assert operator.watches.stale == "TenantBudget", "which is back, and nobody tells us of it"
    assert operator.watches.ages_s["RoutingPolicy"] > STALE_S, "of which nobody could know anything"
    operator.watch("TenantBudget")
    await operator.look()
    assert not operator.watches.stale


async def test_while_the_api_server_is_away_no_watch_is_stale(clock: Callable[[float], None]) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    for kind in operator.watches.ages_s:
        operator.kube.faults[kind] = KubeFault("it does not answer")
    for _ in range(12):
        clock(2)
        await operator.look()
        assert not operator.watches.stale
    operator.kube.faults = dict.fromkeys(operator.kube.faults, Forbidden("the role lacks it"))
    for _ in range(12):
        clock(2)
        await operator.look()
    assert operator.watches.stale, "somebody has to see to that"


async def test_a_kind_that_the_api_server_cannot_list_is_named_and_hides_no_other_that_is_silent(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch("SemanticCacheIndex", "TenantBudget")
    await operator.look()
    operator.kube.faults["SemanticCacheIndex"] = KubeFault("could not list SemanticCacheIndex: 500")
    for _ in range(12):
        clock(2)
        assert await operator.look() == {"TenantBudget"}
    assert operator.watches.unlistable == {"SemanticCacheIndex"}
    assert operator.watches.fault == "could not list SemanticCacheIndex: 500"
    assert operator.watches.stale == "RoutingPolicy", "of which nothing has come"
    ages = operator.watches.ages_s
    assert ages["TenantBudget"] < 2 < STALE_S < ages["SemanticCacheIndex"], "each has its own"
    operator.watch("RoutingPolicy")
    await operator.look()
    assert not operator.watches.stale, "a restart would not help the one that cannot be listed"


async def test_a_kind_that_cannot_be_listed_lacks_at_once_where_that_cannot_pass_and_otherwise_once_it_has_lasted(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    operator.kube.faults = {"TenantBudget": KubeFault("500"), "RoutingPolicy": Forbidden("403")}
    await operator.look()
    assert operator.watches.lacking == "403"
    clock(LASTS_S)
    assert operator.watches.lacking == "500; 403", "deletions wait for that no longer"
    operator.kube.faults = {}
    await operator.look()
    operator.kube.faults = {"TenantBudget": KubeFault("500")}
    await operator.look()
    assert operator.watches.lacking == ""


async def test_a_kind_that_cannot_be_listed_is_tried_after_growing_pauses_and_the_others_at_their_rhythm(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    operator.kube.faults["TenantBudget"] = KubeFault("500")
    for _ in range(240):
        await operator.watches.look()
        clock(0.5)
    times = {kind: operator.kube.listed.count(kind) for kind in operator.watches.ages_s}
    assert times["RoutingPolicy"] == times["SemanticCacheIndex"] == 120 / (STALE_S / 4)
    assert times["RoutingPolicy"] <= times["TenantBudget"] <= times["RoutingPolicy"] + 2
    operator.kube.faults = {}
    clock(await operator.watches.look())
    await operator.watches.look()
    assert operator.watches.complete
    assert not operator.watches.fault


async def test_when_a_watch_begins_anew_all_kinds_are_looked_at_but_those_for_which_time_was_asked(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    operator.kube.faults = {"TenantBudget": KubeFault("429", 9.0), "RoutingPolicy": KubeFault("500")}
    await operator.watches.look()
    operator.kube.listed.clear()
    assert await operator.watches.look() == 1
    assert operator.kube.listed == []
    operator.watches.began_anew()
    await operator.watches.look()
    assert set(operator.kube.listed) == {"SemanticCacheIndex", "RoutingPolicy"}
    clock(9)
    await operator.watches.look()
    assert "TenantBudget" in operator.kube.listed


async def test_a_kind_that_begins_to_lack_by_time_alone_wakes_who_waits_for_that(
    clock: Callable[[float], None],
) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    operator.kube.faults["TenantBudget"] = KubeFault("500")
    waited, news = 0.0, 0
    while waited < LASTS_S:
        assert operator.watches.lacking == ""
        pause_s = await operator.watches.look()
        news = operator.news
        waited += pause_s
        clock(pause_s)
    assert waited == LASTS_S, "it looks again in time"
    await operator.watches.look()
    assert operator.watches.lacking == "500"
    assert operator.news == news + 1


async def test_why_a_kind_cannot_be_listed_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator()
    operator.watch(*operator.watches.ages_s)
    for why in ("gone", "gone", "", "gone", "forbidden", "forbidden"):
        operator.kube.faults = {"TenantBudget": NotFound(why)} if why else {}
        await operator.look()
        assert operator.watches.fault == why
    assert [record.message for record in caplog.records] == ["cannot be listed"] * 3
    assert operator.news == 3
