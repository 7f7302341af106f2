"""The only loop in the story of a request is bounded by the plan, whatever providers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataplanes import NoNews, Setup, compiled, lone_health
from tollway_api.meta import ModelName, TenantName
from tollway_api.routing_policy import FallbackTrigger
from tollway_api.snapshot import Limit, Model, Protocol, Rolling, Snapshot, Tenant
from tollway_api.tenant_budget import Unit
from tollway_api.wire import account_of
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizers
from tollway_dataplane.core.budgeting import Denied, LimitState
from tollway_dataplane.core.capabilities import needs
from tollway_dataplane.core.facts import ChatRequest, Usage
from tollway_dataplane.errors import Refusal, UpstreamFault
from tollway_dataplane.fallback.dispatch import Dispatch
from tollway_dataplane.fallback.health import Health
from tollway_dataplane.fallback.jobs import Answered, Job
from tollway_dataplane.ports import Chunk, Completion, Ledger, UpstreamCall
from tollway_dataplane.record import Record
from tollway_dataplane.spending.balances import Balances
from tollway_dataplane.spending.budgets import Accounting, Budgets
from tollway_dataplane.spending.exceeding import Exceeded
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.holds import Hold, Need
from tollway_dataplane.spending.leases import Leases

CHEAP = ModelName("cheap")
FAULTS = [
    UpstreamFault(FallbackTrigger.RATE_LIMIT, 429, "", retry_after_s=0.01),
    UpstreamFault(FallbackTrigger.RATE_LIMIT, 429, "", retry_after_s=60.0),
    UpstreamFault(FallbackTrigger.SERVER_ERROR, 503, "", retry_after_s=0.0),
    UpstreamFault(FallbackTrigger.SERVER_ERROR, 500, ""),
    UpstreamFault(FallbackTrigger.CONNECTION, None, "", unsent=True),
    UpstreamFault(FallbackTrigger.CONNECTION, None, "", may_have_run=True),
    UpstreamFault(FallbackTrigger.TIMEOUT, None, "", may_have_run=True),
    UpstreamFault(FallbackTrigger.CONTEXT_OVERFLOW, 400, ""),
    UpstreamFault(FallbackTrigger.CONTENT_FILTER, 400, ""),
    UpstreamFault(FallbackTrigger.SERVER_ERROR, 401, ""),
    UpstreamFault(FallbackTrigger.SERVER_ERROR, 403, ""),
    UpstreamFault(None, 400, ""),
]
REQUESTS = Limit("requests", Unit.REQUESTS, 1, Rolling(3_600_000))
ANSWER = Completion(b"{}", Usage(1, 1), complete=True)


@dataclass
class Scripted:
    """Fails as it is told, and then answers."""

    faults: Sequence[UpstreamFault]
    asked: list[tuple[str, str | None, float]] = field(default_factory=list)

    async def complete(self, call: UpstreamCall) -> Completion:
        self.asked.append((call.model.name, call.model.endpoint, call.timeout_s))
        if len(self.asked) <= len(self.faults):
            fault = self.faults[len(self.asked) - 1]
            raise UpstreamFault(
                *(fault.trigger, fault.status, fault.message, fault.retry_after_s),
                may_have_run=fault.may_have_run,
                unsent=fault.unsent,
            )
        return ANSWER

    def stream(self, call: UpstreamCall) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        raise AssertionError(f"nobody asked for a stream of {call.model.name}")


_NOBODY: Final = (cast("Ledger", None), cast("Leases", None), cast("Grants", None))


def uncounted() -> Budgets:
    """Of tenants without limits, who never wait for the ledger."""
    return Budgets(*_NOBODY, Balances(), cast("Accounting", None))


class Spent(Budgets):
    """Has room for the first so many attempts, and for none after them."""

    def __init__(self, room: int) -> None:
        super().__init__(*_NOBODY, Balances(), cast("Accounting", None))
        self.room = room
        self.waived: list[set[str]] = []  # of each that asked
        self.gave_way: list[bool] = []

    @property
    def asked(self) -> int:
        return len(self.waived)

    async def hold(
        self, hold_id: str, tenant: Tenant, model: Model, need: Need, waived: Collection[str] = ()
    ) -> Hold:
        self.waived.append(set(waived))
        self.gave_way.append(need.gives_way)
        if self.asked > self.room:
            raise Exceeded(Denied([LimitState(REQUESTS, 1, 0)], 0, asked=1, retry_after_s=60))
        return await super().hold(hold_id, tenant, model, need, waived)


async def call(
    snapshot: Snapshot,
    upstream: Scripted,
    health: Health | None = None,
    budgets: Budgets | None = None,
    *,
    in_background: bool = False,
) -> tuple[Answered | Refusal, Record]:
    """What becomes of one request."""
    dispatch = Dispatch(
        {Protocol.OPENAI: upstream}, budgets or uncounted(), TiktokenTokenizers(), health or lone_health()
    )
    messages = [{"role": "user", "content": f"{n} " + "some words " * 20} for n in range(6)]
    request, record = ChatRequest("r", "auto", messages), Record("r", "chat")
    tenant = snapshot.tenants[TenantName("acme")]
    policy = snapshot.policies[0]
    try:
        result = await dispatch.call(
            Job(request, tenant, policy, CHEAP, record, needs(request), in_background)
        )
    except Refusal as refusal:
        return refusal, record
    assert isinstance(result, Answered)
    return result, record


def snapshot_of(most: int, models: int, endpoints: int) -> Snapshot:
    more = [f"http://e{n}/v1" for n in range(endpoints)]
    several: list[dict[str, object]] = [
        {"name": name, "model": "openai/gpt-4o-mini", "endpoint": f"http://{name}/v1", "endpoints": more}
        for name in ["cheap", "b", "c", "d"][:models]
    ]
    fallback = {"maxFallbacks": most, "deadline": "10s"}
    policy = {"models": several, "fallback": fallback}
    return compiled(Setup("http://a/v1", "http://b/v1", policy=policy).objects())


def sleep_by(sleep: Callable[[float], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """For who walks the plan alone: asyncio is everybody's, also of the servers in other threads."""
    own = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr("tollway_dataplane.fallback.attempt_order.asyncio", own)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5), st.integers(1, 4), st.integers(0, 2), st.lists(st.sampled_from(FAULTS), max_size=10)
)
def test_no_sequence_of_failures_makes_more_attempts_than_allowed(
    most: int, models: int, endpoints: int, faults: list[UpstreamFault]
) -> None:
    upstream = Scripted(faults)
    result, record = asyncio.run(call(snapshot_of(most, models, endpoints), upstream))
    made = [note for note in record.attempts if note.made]
    assert 1 <= len(upstream.asked) == len(made) <= 1 + most
    assert record.fallbacks == len(made) - 1
    answered = isinstance(result, Answered)
    assert answered == (len(upstream.asked) > len(faults))
    assert [note.outcome == "ok" for note in made] == [False] * (len(made) - answered) + [True] * answered
    assert sum(timeout for *_, timeout in upstream.asked[:1]) <= 10.0


@settings(max_examples=30, deadline=None)
@given(
    *(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)),
    st.lists(st.sampled_from(FAULTS[:7]), min_size=10, max_size=10),
)
def test_whom_the_budget_has_no_room_for_is_not_tried_again(
    most: int, models: int, room: int, faults: list[UpstreamFault]
) -> None:
    """Also where another try would help, and though there is time for many."""
    budgets, upstream = Spent(room), Scripted(faults)
    result, record = asyncio.run(call(snapshot_of(most, models, 0), upstream, budgets=budgets))
    assert isinstance(result, Refusal)
    assert result.status == 503
    assert len(upstream.asked) == len([note for note in record.attempts if note.made]) <= room
    assert budgets.asked <= room + models


@pytest.mark.parametrize("in_background", [False, True])
async def test_only_what_is_asked_behind_the_replies_gives_way_in_its_tenants_budget(
    *, in_background: bool
) -> None:
    budgets = Spent(1)
    await call(snapshot_of(0, 1, 0), Scripted([]), budgets=budgets, in_background=in_background)
    assert budgets.gave_way == [in_background]


async def test_a_budget_says_only_once_whom_to_ask_instead() -> None:
    """Where that one is denied as well the request is refused, and does not go round until its deadline."""
    degrade = {"action": "Degrade", "model": "rich"}
    acme = {"limits": [{"name": "money", "amount": "1"}], "onExceeded": degrade}
    snapshot = compiled(Setup("http://a/v1", "http://b/v1", acme=acme).objects())
    budgets, upstream = Spent(0), Scripted([])
    result, record = await call(snapshot, upstream, budgets=budgets)
    assert isinstance(result, Refusal)
    assert (result.status, upstream.asked, record.limit) == (429, [], "requests")
    assert budgets.waived == [set(), {account_of(TenantName("acme"), REQUESTS)}]


async def test_who_failed_and_is_worth_another_try_has_none_where_the_budget_has_no_room_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert len(slept) == 1, "it was told so before"

    sleep_by(sleep, monkeypatch)
    unwell = UpstreamFault(FallbackTrigger.SERVER_ERROR, 503, "", retry_after_s=0.05)
    budgets, upstream = Spent(1), Scripted([unwell] * 3)
    snapshot, health = snapshot_of(most=3, models=1, endpoints=0), Health(NoNews(), lambda: sum(slept), float)
    health.follow(snapshot)
    result, _ = await call(snapshot, upstream, health, budgets)
    assert isinstance(result, Refusal)
    assert (result.status, len(upstream.asked), budgets.asked) == (503, 1, 2)


@pytest.mark.parametrize("fault", [FAULTS[3], FAULTS[5], FAULTS[6]])
async def test_a_model_is_asked_elsewhere_before_another_is(fault: UpstreamFault) -> None:
    upstream = Scripted([fault] * 3)
    result, _ = await call(snapshot_of(most=3, models=2, endpoints=2), upstream)
    assert isinstance(result, Answered)
    assert [name for name, *_ in upstream.asked] == ["cheap", "cheap", "cheap", "b"]
    assert len({endpoint for _, endpoint, _ in upstream.asked}) == 4


@pytest.mark.parametrize(("wait_s", "answers"), [(0.05, True), (5.0, False)])
async def test_who_was_passed_over_and_is_well_again_soon_is_waited_for(
    wait_s: float, monkeypatch: pytest.MonkeyPatch, *, answers: bool
) -> None:
    """Within a quarter of the time that is left, where nobody else is. Time passes by waiting alone."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    sleep_by(sleep, monkeypatch)
    snapshot, health = snapshot_of(most=2, models=2, endpoints=0), Health(NoNews(), lambda: sum(slept), float)
    health.follow(snapshot)
    policy = snapshot.policies[0]
    permit = health.admit(policy, policy.models[ModelName("b")])
    assert permit is not None
    permit.failed(UpstreamFault(FallbackTrigger.RATE_LIMIT, 429, "", retry_after_s=wait_s))
    permit.release()
    upstream = Scripted([FAULTS[3]])
    result, record = await call(snapshot, upstream, health)
    assert isinstance(result, Answered) == answers
    assert [name for name, *_ in upstream.asked] == (["cheap", "b"] if answers else ["cheap"])
    states = [(note.model, note.outcome) for note in record.attempts if not note.made]
    assert states == [("b", "CoolingDown")]


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_model_whose_key_is_refused_is_not_asked_elsewhere(status: int) -> None:
    """All its endpoints take the same key, and the next model's attempt is not spent on them."""
    upstream = Scripted([UpstreamFault(FallbackTrigger.SERVER_ERROR, status, "")])
    result, _ = await call(snapshot_of(most=1, models=2, endpoints=2), upstream)
    assert isinstance(result, Answered)
    assert [name for name, *_ in upstream.asked] == ["cheap", "b"]


async def test_a_wrong_request_is_wrong_everywhere() -> None:
    upstream = Scripted([FAULTS[-1]])
    result, _ = await call(snapshot_of(most=3, models=2, endpoints=2), upstream)
    assert isinstance(result, Refusal)
    assert (result.status, len(upstream.asked)) == (400, 1)
