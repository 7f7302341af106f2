"""When a replica believes that it leads."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest

from tollway_operator.errors import Conflict, LeadershipLost, NotFound
from tollway_operator.kube import StoredLease
from tollway_operator.lease import Leadership, LeaseTimes


class Api:
    """A Lease as the API server keeps it: a write must name the version that stands."""

    def __init__(self) -> None:
        self.standing: StoredLease | None = None
        self.hangs = ""  # where the next write that is not refused does: "before" it is done or "after"
        self.hung = asyncio.Event()
        self.late: tuple[StoredLease, str | None] | None = None  # the one that hung before

    async def lease(self, _namespace: str, _name: str) -> StoredLease:
        if self.standing is None:
            raise NotFound("no Lease")
        return self.standing

    async def _hang(self) -> None:
        self.hung.set()
        await asyncio.Event().wait()

    async def write_lease(
        self, _namespace: str, _name: str, lease: StoredLease, acquired: str | None
    ) -> StoredLease:
        version = self.standing.resource_version if self.standing else ""
        if lease.resource_version != version:
            raise Conflict("changed")
        hangs, self.hangs = self.hangs, ""
        if hangs == "before":
            self.late = lease, acquired
            await self._hang()
        self.standing = StoredLease(
            lease.holder, lease.renewed, lease.transitions, lease.duration_s, str(int(version or 0) + 1)
        )
        if hangs == "after":
            await self._hang()
        return self.standing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1_000.0]
    monkeypatch.setattr("tollway_operator.lease.monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def leadership(api: Api, name: str, standing: int = 0) -> Leadership:
    async def standing_fence() -> int:
        return standing

    return Leadership(api, "ns", name, standing_fence, lambda: None, LeaseTimes())  # type: ignore[arg-type]  # a stand-in that has what is called


async def test_a_new_lease_has_a_fence_above_what_stands_although_that_was_written_under_a_wrong_clock() -> (
    None
):
    one = leadership(Api(), "one", standing=10**9)
    await one._seek()
    assert one.fence() == 10**9 + 1


async def test_a_lease_that_is_behind_what_stands_is_taken_with_a_fence_above_it() -> None:
    """As where somebody has edited the snapshot by hand, or restored the Lease alone."""
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    first_fence = one.fence()
    await one.release()
    raised = first_fence + 1_000
    two = leadership(api, "two", standing=raised)
    await two._seek()
    assert two.fence() == raised + 1


async def test_the_first_leads_and_the_second_waits_until_it_has_seen_it_silent_for_long(
    clock: Callable[[float], None],
) -> None:
    api = Api()
    one, two = leadership(api, "one"), leadership(api, "two")
    await one._seek()
    first_fence = one.fence()
    for seconds in (0, 14):
        clock(seconds)
        await two._seek()
        assert not two.leads
    clock(2)
    await two._seek()
    assert two.fence() > first_fence


async def test_a_renewal_starts_the_wait_again(clock: Callable[[float], None]) -> None:
    api = Api()
    one, two = leadership(api, "one"), leadership(api, "two")
    await one._seek()
    await two._seek()
    clock(14)
    await one._renew(one._lease)  # type: ignore[arg-type]  # there is one by now
    await two._seek()
    clock(14)
    await two._seek()
    assert not two.leads


async def test_who_slept_knows_at_its_first_step_that_it_does_not_lead(
    clock: Callable[[float], None],
) -> None:
    one = leadership(Api(), "one")
    await one._seek()
    assert one.fence() > 0
    clock(10)
    assert not one.leads
    with pytest.raises(LeadershipLost):
        one.fence()


async def test_fences_grow_also_when_the_lease_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    before = one.fence()
    api.standing = None
    # A minute later, because a deleted Lease is started again from the clock's minutes.
    monkeypatch.setattr("tollway_operator.lease.time", lambda: (before + 1) * 60.0)
    two = leadership(api, "two")
    await two._seek()
    assert two.fence() > before


async def test_a_released_lease_is_taken_at_once() -> None:
    api = Api()
    one, two = leadership(api, "one"), leadership(api, "two")
    await one._seek()
    await one.release()
    await two._seek()
    assert two.leads
    assert not one.leads


async def stopped(api: Api, hangs: str, work: Coroutine[object, object, None]) -> None:
    """While a write is under way that the API server has done, or will do later."""
    api.hangs = hangs
    api.hung.clear()
    task = asyncio.ensure_future(work)
    await asyncio.wait_for(api.hung.wait(), 10)
    task.cancel()
    await asyncio.wait([task])


async def test_a_renewal_that_was_done_although_no_answer_came_costs_nobody_the_lease(
    clock: Callable[[float], None],
) -> None:
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    fence = one.fence()
    clock(2)
    await stopped(api, "after", one._renew(one._lease))  # type: ignore[arg-type]  # there is one by now
    clock(7)
    await one._renew(one._lease)  # type: ignore[arg-type]  # there is one by now
    clock(9)
    assert one.fence() == fence, "it was renewed when it was found to be"


async def test_one_that_is_found_to_be_renewed_holds_from_when_that_was_asked_for(
    clock: Callable[[float], None],
) -> None:
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    clock(4)
    await stopped(api, "after", one._renew(one._lease))  # type: ignore[arg-type]  # there is one by now
    clock(4)
    await stopped(api, "before", one._renew(one._lease))  # type: ignore[arg-type]  # there is one by now
    clock(5)
    assert one.leads, "9 s after it was asked for"
    clock(1)
    assert not one.leads, "10 s after it"


async def test_a_lease_that_was_taken_although_no_answer_came_is_taken_again_at_once() -> None:
    api = Api()
    one = leadership(api, "one")
    await stopped(api, "after", one._seek())
    assert api.standing is not None
    assert api.standing.holder == "one"
    await one._seek()
    assert one.fence() > 1


async def test_a_renewal_after_another_has_taken_it_is_refused() -> None:
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    assert api.standing is not None
    api.standing = replace(api.standing, holder="two", transitions=one.fence() + 1, resource_version="7")
    with pytest.raises(Conflict):
        await one._renew(one._lease)  # type: ignore[arg-type]  # there is one by now


@pytest.mark.parametrize("hangs", ["before", "after"])
@pytest.mark.parametrize("stood", [False, True], ids=["the first", "one that was let go"])
async def test_a_lease_is_released_whose_taking_was_not_answered_when_it_stopped(
    hangs: str, *, stood: bool
) -> None:
    api = Api()
    if stood:
        before = leadership(api, "before")
        await before._seek()
        await before.release()
    one, two = leadership(api, "one"), leadership(api, "two")
    await stopped(api, hangs, one._seek())
    await one.release()
    assert await arrives_late(api) is False
    await two._seek()
    assert two.leads


@pytest.mark.parametrize("hangs", ["before", "after"])
async def test_a_lease_is_released_whose_renewal_was_not_answered_when_it_stopped(hangs: str) -> None:
    api = Api()
    one, two = leadership(api, "one"), leadership(api, "two")
    await one._seek()
    await stopped(api, hangs, one._renew(one._lease))  # type: ignore[arg-type]  # there is one by now
    await one.release()
    assert await arrives_late(api) is False
    await two._seek()
    assert two.leads


async def arrives_late(api: Api) -> bool:
    """Whether the write that was under way is taken after all."""
    if api.late is None:
        return False
    try:
        await api.write_lease("", "", *api.late)
    except Conflict:
        return False
    return True


@pytest.mark.parametrize("holder", ["two", "one"], ids=["another", "another of the same name"])
async def test_a_lease_that_another_has_taken_is_not_released(holder: str) -> None:
    api = Api()
    one = leadership(api, "one")
    await one._seek()
    assert api.standing is not None
    api.standing = taken = replace(
        api.standing, holder=holder, transitions=one.fence() + 1, resource_version="7"
    )
    await one.release()
    assert api.standing == taken
