"""Which models are asked: what data planes see themselves, and what they tell each other."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.meta import ModelName
from tollway_api.routing_policy import FallbackTrigger, ModelState
from tollway_api.snapshot import Model, Policy, Snapshot
from tollway_dataplane.core.breaker import Verdict
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.errors import CacheFault, UpstreamFault
from tollway_dataplane.fallback.health import Health
from tollway_dataplane.ports import Heard

CHEAP, RICH = ModelName("cheap"), ModelName("rich")
BROKEN = UpstreamFault(FallbackTrigger.SERVER_ERROR, 500, "")
LIMITED = UpstreamFault(FallbackTrigger.RATE_LIMIT, 429, "", retry_after_s=20.0)
WRONG = UpstreamFault(None, 400, "")
REVOKED = UpstreamFault(FallbackTrigger.SERVER_ERROR, 401, "")
FORBIDDEN = UpstreamFault(FallbackTrigger.SERVER_ERROR, 403, "")


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Board:
    """What all data planes tell, in place of a Redis that may be away."""

    clock: Clock
    away: bool = False
    said: dict[tuple[str, bool], tuple[Verdict, float]] = field(default_factory=dict)

    async def exchange(self, told: Mapping[tuple[str, bool], Verdict]) -> Mapping[tuple[str, bool], Heard]:
        if self.away:
            raise CacheFault(CacheReason.CACHE_UNAVAILABLE, "tell")
        self.said |= {key: (verdict, self.clock.now) for key, verdict in told.items()}
        return {
            key: Heard(
                replace(verdict, left_s=max(0.0, verdict.left_s - (self.clock.now - at))), int(at * 1_000)
            )
            for key, (verdict, at) in self.said.items()
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(clock)


def snapshot_of(cheap: str = "http://a/v1", **fallback: object) -> Snapshot:
    return compiled(Setup(cheap, "http://b/v1", policy={"fallback": fallback}).objects())


def plane(board: Board, snapshot: Snapshot) -> Health:
    health = Health(board, board.clock, lambda: 0.0)
    health.follow(snapshot)
    return health


def of(snapshot: Snapshot, name: ModelName = CHEAP) -> tuple[Policy, Model]:
    policy = snapshot.policies[0]
    return policy, policy.models[name]


def ask(health: Health, snapshot: Snapshot, fault: UpstreamFault | None = None, times: int = 1) -> None:
    """So many requests that are let through, and what comes of each."""
    for _ in range(times):
        permit = health.admit(*of(snapshot))
        assert permit is not None
        if fault is None:
            permit.answered()
        else:
            permit.failed(fault)
        permit.release()


def test_a_model_that_fails_often_is_not_asked_and_others_are(board: Board) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, BROKEN, 10)
    assert health.admit(*of(snapshot)) is None
    assert health.admit(*of(snapshot, RICH)) is not None
    assert health.unwell() == {"default/chat": {CHEAP: ModelState.OPEN}}
    assert not health.is_well(*of(snapshot))


@pytest.mark.parametrize("refusal", [WRONG, FORBIDDEN], ids=["400", "403"])
def test_a_model_that_refuses_what_it_is_asked_is_well(board: Board, refusal: UpstreamFault) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, refusal, 50)
    assert health.unwell() == {}


def test_a_model_whose_key_is_refused_is_not_asked_with_every_request(board: Board) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, REVOKED, 10)
    assert health.unwell() == {"default/chat": {CHEAP: ModelState.OPEN}}


def test_a_model_that_wants_to_be_left_alone_is(board: Board, clock: Clock) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, LIMITED)
    assert health.admit(*of(snapshot)) is None
    assert health.ready_in(*of(snapshot)) == 20.0
    clock.now += 20
    ask(health, snapshot)


def test_a_caller_who_leaves_says_nothing_of_the_model(board: Board, clock: Clock) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, BROKEN, 10)
    clock.now += 30
    permit = health.admit(*of(snapshot))
    assert permit is not None
    assert health.admit(*of(snapshot)) is None, "one probes"
    permit.release()
    permit.release()
    assert health.admit(*of(snapshot)) is not None


def test_who_has_recovered_is_not_unwell_any_more(board: Board, clock: Clock) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, LIMITED)
    assert health.unwell() == {"default/chat": {CHEAP: ModelState.COOLING_DOWN}}
    clock.now += 20
    assert health.unwell() == {}
    ask(health, snapshot, LIMITED)
    assert health.unwell() == {"default/chat": {CHEAP: ModelState.COOLING_DOWN}}


async def test_one_data_plane_tells_the_others(board: Board, clock: Clock) -> None:
    snapshot = snapshot_of()
    first, second = plane(board, snapshot), plane(board, snapshot)
    ask(first, snapshot, BROKEN, 10)
    await first.exchange()
    clock.now += 1
    await second.exchange()
    assert second.unwell() == {"default/chat": {CHEAP: ModelState.OPEN}}
    assert second.ready_in(*of(snapshot)) == pytest.approx(29.0)
    clock.now += 30
    ask(second, snapshot, times=3)
    await second.exchange()
    await first.exchange()
    assert first.unwell() == second.unwell() == {"default/chat": {CHEAP: ModelState.RECOVERING}}


async def test_one_whose_own_connection_is_broken_is_not_believed_by_who_is_served(board: Board) -> None:
    snapshot = snapshot_of()
    first, second = plane(board, snapshot), plane(board, snapshot)
    ask(first, snapshot, BROKEN, 10)
    ask(second, snapshot, times=10)
    await first.exchange()
    await second.exchange()
    assert second.unwell() == {}


async def test_a_cooldown_is_everybodys(board: Board) -> None:
    snapshot = snapshot_of()
    first, second = plane(board, snapshot), plane(board, snapshot)
    ask(second, snapshot, times=10)
    ask(first, snapshot, LIMITED)
    await first.exchange()
    await second.exchange()
    assert second.unwell() == {"default/chat": {CHEAP: ModelState.COOLING_DOWN}}


@pytest.mark.parametrize(("max_cooldown", "refused"), [("5m", 0.03), ("0s", 0.31)])
async def test_a_limit_fills_up_while_it_is_left_alone_so_that_nothing_of_it_is_wasted(
    board: Board, clock: Clock, max_cooldown: str, refused: float
) -> None:
    """A bucket that holds a second's, of 70 % of what is asked; with Retry-After, or as if there were none."""
    snapshot = snapshot_of(maxCooldown=max_cooldown)
    planes = [plane(board, snapshot) for _ in range(2)]
    limit, rate, seconds = 14.0, 20, 300
    left, asked, answered = limit, 0, 0
    for number in range(rate * seconds):
        clock.now += 1 / rate
        left = min(limit, left + limit / rate)
        if number % rate == 0:
            for each in planes:
                await each.exchange()
        permit = planes[number % 2].admit(*of(snapshot))
        if permit is None:
            continue
        asked += 1
        if left >= 1:
            left, answered = left - 1, answered + 1
            permit.answered()
        else:
            permit.failed(UpstreamFault(FallbackTrigger.RATE_LIMIT, 429, "", retry_after_s=1.0))
        permit.release()
    assert answered >= 0.95 * limit * seconds
    assert asked - answered <= refused * rate * seconds


async def test_what_was_said_once_is_not_heard_again(board: Board, clock: Clock) -> None:
    snapshot = snapshot_of()
    first, second = plane(board, snapshot), plane(board, snapshot)
    ask(first, snapshot, BROKEN, 10)
    await first.exchange()
    await second.exchange()
    clock.now += 30
    ask(second, snapshot, times=3)  # it recovers, and has not said so yet
    board.said = dict(board.said)
    await second.exchange()
    await second.exchange()
    assert second.unwell() == {"default/chat": {CHEAP: ModelState.RECOVERING}}


async def test_while_redis_is_away_each_goes_by_what_it_sees_and_tells_it_later(
    board: Board, clock: Clock
) -> None:
    snapshot = snapshot_of()
    first, second = plane(board, snapshot), plane(board, snapshot)
    board.away = True
    ask(first, snapshot, BROKEN, 10)
    await first.exchange()
    assert first.unwell() == {"default/chat": {CHEAP: ModelState.OPEN}}
    board.away = False
    clock.now += 10
    await first.exchange()
    await second.exchange()
    assert second.ready_in(*of(snapshot)) == pytest.approx(20.0)


def test_what_is_known_of_a_model_outlasts_a_snapshot_unless_it_is_another(board: Board) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, BROKEN, 10)
    health.follow(snapshot_of(maxFallbacks=1))
    assert health.unwell() == {"default/chat": {CHEAP: ModelState.OPEN}}
    health.follow(snapshot_of("http://elsewhere/v1"))
    assert health.unwell() == {}


def test_other_settings_begin_anew(board: Board) -> None:
    snapshot = snapshot_of()
    health = plane(board, snapshot)
    ask(health, snapshot, BROKEN, 10)
    health.follow(snapshot_of(circuitBreaker={"minRequests": 50}))
    assert health.unwell() == {}


def test_requests_of_a_policy_that_is_no_more_are_let_through(board: Board) -> None:
    snapshot = snapshot_of()
    health = plane(board, Snapshot("default"))
    ask(health, snapshot, BROKEN, 20)
    assert list(health.endpoint_states()) == []


def several() -> Snapshot:
    """A model at three endpoints."""
    more = {"endpoints": ["http://b/v1", "http://c/v1"]}
    return compiled(Setup("http://a/v1", "http://r/v1", cheap_model=more).objects())


def test_a_request_goes_where_the_fewest_are_under_way(board: Board) -> None:
    snapshot = several()
    health = plane(board, snapshot)
    permits = [health.admit(*of(snapshot)) for _ in range(6)]
    asked = [permit.model.endpoint for permit in permits if permit is not None]
    assert sorted(map(str, asked)) == ["http://a/v1"] * 2 + ["http://b/v1"] * 2 + ["http://c/v1"] * 2
    freed = permits[2]
    assert freed is not None
    freed.release()
    again = health.admit(*of(snapshot))
    assert again is not None
    assert again.model.endpoint == freed.model.endpoint


def test_an_endpoint_that_fails_is_ejected_and_the_model_stays_well(board: Board) -> None:
    snapshot = several()
    health = Health(board, board.clock, random.Random(1).random)  # noqa: S311 - a test that can be repeated
    health.follow(snapshot)
    for _ in range(60):
        permit = health.admit(*of(snapshot))
        assert permit is not None
        if permit.model.endpoint == "http://b/v1":
            permit.failed(BROKEN)
        else:
            permit.answered()
        permit.release()
    assert health.unwell() == {}
    states = {each.endpoint: each.state for each in health.endpoint_states()}
    assert states["http://b/v1"] is ModelState.OPEN
    assert {states["http://a/v1"], states["http://c/v1"]} == {ModelState.HEALTHY}
    asked = [health.admit(*of(snapshot)) for _ in range(10)]
    assert "http://b/v1" not in {permit.model.endpoint for permit in asked if permit is not None}


def test_who_has_failed_at_one_endpoint_goes_to_another(board: Board) -> None:
    snapshot = several()
    health = plane(board, snapshot)
    tried: set[str | None] = set()
    for _ in range(3):
        assert health.is_elsewhere(*of(snapshot), tried)
        permit = health.admit(*of(snapshot), tried)
        assert permit is not None
        tried.add(permit.model.endpoint)
        permit.release()
    assert tried == {"http://a/v1", "http://b/v1", "http://c/v1"}
    assert not health.is_elsewhere(*of(snapshot), tried)
    assert health.admit(*of(snapshot), tried) is not None, "where it was, when there is no other"
