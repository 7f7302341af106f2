"""When a model is asked: the circuit breaker, and the time for which a provider wants to be left alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.routing_policy import ModelState
from tollway_api.snapshot import CircuitBreaker
from tollway_dataplane.core.breaker import FORCED_EVERY_S, Breaker, Verdict, Window

SETTINGS = CircuitBreaker(
    failure_share=0.5, window_ms=30_000, min_requests=10, open_for_ms=30_000, half_open_probes=3
)
T0 = 1_000.0


def breaker() -> Breaker:
    return Breaker(SETTINGS, most_cooldown_s=300.0)


def opened(at: float = T0, draw: float = 0.0) -> Breaker:
    found = breaker()
    verdicts = [found.failed(at, draw, is_probe=False) for _ in range(10)]
    assert verdicts[-1] is not None
    return found


def probed(found: Breaker, now: float, *, ok: bool = True) -> Verdict | None:
    assert found.admits(now, 0.0)
    is_probe = found.take(now)
    assert is_probe
    return found.answered(now, is_probe=is_probe) if ok else found.failed(now, 0.0, is_probe=is_probe)


def recovered(at: float) -> Breaker:
    found = opened(at - 30)
    verdicts = [probed(found, at) for _ in range(3)]
    assert verdicts == [None, None, Verdict(ModelState.RECOVERING)]
    return found


def test_it_opens_when_the_share_of_failures_is_reached_and_not_before() -> None:
    found = breaker()
    for _ in range(5):
        found.answered(T0, is_probe=False)
    for _ in range(4):
        assert found.failed(T0, 0.0, is_probe=False) is None
    assert found.state(T0) is ModelState.HEALTHY
    assert found.failed(T0, 0.0, is_probe=False) == Verdict(ModelState.OPEN, 30.0, 1)
    assert (found.state(T0), found.ready_in(T0)) == (ModelState.OPEN, 30.0)
    assert not found.admits(T0 + 29, 0.0)


def test_few_requests_say_nothing() -> None:
    found = breaker()
    for _ in range(9):
        assert found.failed(T0, 0.0, is_probe=False) is None


def test_what_is_older_than_the_window_is_forgotten() -> None:
    found = breaker()
    for _ in range(9):
        found.failed(T0, 0.0, is_probe=False)
    found.answered(T0, is_probe=False)
    assert found.failed(T0 + 40, 0.0, is_probe=False) is None


def test_a_third_of_failures_at_peak_opens_nothing() -> None:
    found = breaker()
    for number in range(300):
        now = T0 + number / 10
        if number % 10 < 3:
            assert found.failed(now, 0.0, is_probe=False) is None
        else:
            found.answered(now, is_probe=False)
    assert found.state(T0 + 30) is ModelState.HEALTHY


def busy(a_second: int, seconds: int = 60) -> Breaker:
    """Well until now."""
    found = breaker()
    for number in range(a_second * seconds):
        found.answered(T0 - seconds + number / a_second, is_probe=False)
    return found


@pytest.mark.parametrize(
    ("a_second", "paid"), [(1, 10), (5, 10), (10, 11), (100, 101), (1_000, 1_001)], ids=str
)
def test_an_outage_opens_it_within_a_second_or_ten_requests_however_well_it_was(
    a_second: int, paid: int
) -> None:
    found, asked = busy(a_second), 0
    while found.admits(T0 + asked / a_second, 0.0):
        found.failed(T0 + asked / a_second, 0.0, is_probe=False)
        asked += 1
    assert asked == paid


def test_a_connection_that_breaks_with_many_requests_on_it_opens_nothing() -> None:
    found = busy(100)
    for number in range(50):
        assert found.failed(T0 + number / 100, 0.0, is_probe=False) is None
    found.answered(T0 + 0.9, is_probe=False)
    for number in range(50):
        assert found.failed(T0 + 1 + number / 100, 0.0, is_probe=False) is None


def test_failures_that_come_by_chance_are_hardly_ever_taken_for_an_outage() -> None:
    """Three of ten of some hours' requests at peak."""
    draw = random.Random(47).random  # noqa: S311 - a test that can be repeated
    found = busy(20)
    for number in range(200_000):
        now = T0 + number / 20
        if draw() < 0.3:
            assert found.failed(now, 0.0, is_probe=False) is None
        else:
            found.answered(now, is_probe=False)


def test_one_probes_whether_it_is_well_again_and_where_that_is_answered_a_few_at_once() -> None:
    found = opened()
    now = T0 + 30
    assert found.state(now) is ModelState.HALF_OPEN

    def taken() -> int:
        count = 0
        while found.admits(now, 0.0):
            found.take(now)
            count += 1
        return count

    assert taken() == 1
    found.answered(now, is_probe=True)
    assert taken() == 2


def test_an_outage_costs_one_request_each_time_that_it_is_probed() -> None:
    """Ten requests a second for ten minutes, of which the provider keeps each that reaches it for 20 seconds."""
    found, under_way, asked = opened(), list[float](), 0
    for tenth in range(6_000):
        now = T0 + tenth / 10
        while under_way and under_way[0] <= now:
            under_way.pop(0)
            found.failed(now, 0.0, is_probe=True)
        if found.admits(now, 0.0):
            found.take(now)
            under_way.append(now + 20)
            asked += 1
    assert asked == 5, "after 30 s, 60 s and then every 120 s, each time when the one before has failed"


def test_a_probe_of_which_nothing_comes_makes_room_for_another() -> None:
    found = opened()
    found.take(T0 + 30)
    assert not found.admits(T0 + 30, 0.0)
    found.left(is_probe=True)
    assert found.admits(T0 + 30, 0.0)


def test_one_probe_that_fails_opens_it_for_twice_as_long_and_no_more_than_four_times() -> None:
    found, now, pauses = opened(), T0 + 30, []
    for _ in range(5):
        verdict = probed(found, now, ok=False)
        assert verdict is not None
        pauses.append(verdict.left_s)
        now += verdict.left_s
    assert pauses == [60.0, 120.0, 120.0, 120.0, 120.0]


def test_a_provider_that_is_back_after_an_hour_has_all_requests_again_within_two_minutes_and_a_half() -> None:
    found, now, asked = opened(), T0, 0
    while now < T0 + 3_600:
        if found.admits(now, 0.0):
            asked += 1
            probed(found, now, ok=False)
        now += 1
    assert asked <= 3_600 / 120 + 2, "meanwhile hardly anybody waits for it"
    back = now
    while not found.admits(now, 0.0):
        now += 1
    assert now <= back + 120
    for _ in range(3):
        probed(found, now)
    assert sum(found.admits(now, draw / 100) for draw in range(100)) == 10, "not all of them at once"
    assert found.state(now + 10) is ModelState.HEALTHY


def test_those_that_saw_the_same_do_not_come_back_at_once() -> None:
    assert opened(draw=0.0).ready_in(T0) == 30.0
    assert opened(draw=1.0).ready_in(T0) == 37.5


def test_when_it_recovers_the_requests_come_back_little_by_little() -> None:
    found = recovered(T0)
    assert found.state(T0) is ModelState.RECOVERING
    shares = [sum(found.admits(T0 + after, draw / 100) for draw in range(100)) for after in (0, 2, 5, 8)]
    assert shares == [10, 20, 50, 80]
    assert found.state(T0 + 10) is ModelState.HEALTHY
    assert found.admits(T0 + 10, 0.999)


def test_it_opens_for_longer_when_it_fails_while_it_recovers_and_not_when_it_had() -> None:
    soon, later = recovered(T0), recovered(T0)
    for _ in range(9):
        soon.failed(T0 + 5, 0.0, is_probe=False)
        later.failed(T0 + 20, 0.0, is_probe=False)
    assert soon.failed(T0 + 5, 0.0, is_probe=False) == Verdict(ModelState.OPEN, 60.0, 2)
    assert later.failed(T0 + 20, 0.0, is_probe=False) == Verdict(ModelState.OPEN, 30.0, 1)


def test_what_was_asked_before_it_opened_changes_nothing_any_more() -> None:
    found = opened()
    assert found.failed(T0 + 1, 0.0, is_probe=False) is None
    assert found.answered(T0 + 1, is_probe=False) is None
    assert found.ready_in(T0 + 1) == 29.0


def test_streams_that_break_off_count_as_failures_and_not_as_answers() -> None:
    found, verdict = breaker(), None
    for _ in range(10):
        found.begun(T0, is_probe=False)
        verdict = found.broke(T0, 0.0)
    assert verdict == Verdict(ModelState.OPEN, 30.0, 1)


def test_streams_that_all_break_off_are_failures_one_after_another_however_many_answers_there_were() -> None:
    found = breaker()
    for place in range(300):
        found.answered(T0 - 30 + place / 10, is_probe=False)
    verdicts = []
    for place in range(20):
        found.begun(T0 + place / 10, is_probe=False)
        verdicts.append(found.broke(T0 + place / 10 + 0.05, 0.0))
    assert [place for place, each in enumerate(verdicts) if each is not None] == [10], "after a second"
    assert verdicts[10] == Verdict(ModelState.OPEN, 30.0, 1)


def test_a_stream_that_comes_whole_is_an_answer_in_between() -> None:
    found = breaker()
    for place in range(300):
        found.answered(T0 - 30 + place / 10, is_probe=False)
    for place in range(40):
        at = T0 + place / 10
        found.begun(at, is_probe=False)
        if place % 8:
            assert found.broke(at + 0.05, 0.0) is None
        else:
            found.ended()
    assert found.state(T0 + 4) is ModelState.HEALTHY


def test_a_stream_that_probes_has_probed_once_it_says_something() -> None:
    found, verdict = opened(), None
    for _ in range(3):
        assert found.admits(T0 + 30, 0.0)
        verdict = found.begun(T0 + 30, is_probe=found.take(T0 + 30))
    assert verdict == Verdict(ModelState.RECOVERING)
    for _ in range(10):
        found.begun(T0 + 31, is_probe=False)
        verdict = found.broke(T0 + 31, 0.0)
    assert verdict == Verdict(ModelState.OPEN, 60.0, 2), "for twice as long"


def test_a_provider_is_left_alone_for_as_long_as_it_asks_within_bounds() -> None:
    found = breaker()
    assert found.cool_down(T0, 5.0) == Verdict(ModelState.COOLING_DOWN, 5.0)
    assert found.cool_down(T0, 2.0) is None, "it asked for more before"
    assert (found.state(T0 + 4), found.admits(T0 + 4, 0.0)) == (ModelState.COOLING_DOWN, False)
    assert found.admits(T0 + 5, 0.999)
    assert found.cool_down(T0 + 5, 86_400.0) == Verdict(ModelState.COOLING_DOWN, 300.0)


def test_by_force_one_goes_through_now_and_then() -> None:
    found = opened()
    assert found.admits_by_force(T0)
    is_probe = found.take(T0, by_force=True)
    assert not found.admits_by_force(T0 + 60), "one is under way"
    assert found.failed(T0 + 0.1, 0.0, is_probe=is_probe) is None
    assert found.ready_in(T0 + 0.1) == pytest.approx(29.9), "it is open for no longer than before"
    assert not found.admits_by_force(T0 + 0.2)
    assert found.admits_by_force(T0 + FORCED_EVERY_S)


def test_a_probe_by_force_that_is_answered_lets_others_follow() -> None:
    found = opened()
    found.answered(T0 + 1, is_probe=found.take(T0, by_force=True))
    assert found.state(T0 + 1) is ModelState.HALF_OPEN


@pytest.mark.parametrize(
    ("answers", "believes"),
    [(0, True), (9, True), (10, False)],
)
def test_others_are_believed_by_who_does_not_know_better(answers: int, *, believes: bool) -> None:
    found = breaker()
    for _ in range(answers):
        found.answered(T0, is_probe=False)
    found.hear(T0, Verdict(ModelState.OPEN, 20.0, 1))
    assert (found.state(T0) is ModelState.OPEN) is believes
    if believes:
        assert found.ready_in(T0) == 20.0


def test_what_others_find_holds_here() -> None:
    found = opened()
    found.hear(T0 + 31, Verdict(ModelState.OPEN, 60.0, 2))
    assert found.ready_in(T0 + 31) == 60.0, "their probe has failed"
    found.hear(T0 + 40, Verdict(ModelState.RECOVERING))
    assert found.state(T0 + 40) is ModelState.RECOVERING
    found.hear(T0 + 60, Verdict(ModelState.COOLING_DOWN, 7.0))
    assert found.ready_in(T0 + 60) == 7.0


def test_no_word_of_others_closes_it_for_ever() -> None:
    found = breaker()
    found.hear(T0, Verdict(ModelState.OPEN, 1e9, 1))
    found.hear(T0, Verdict(ModelState.COOLING_DOWN, 1e9))
    assert found.ready_in(T0) <= 300.0


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_a_window_counts_what_is_in_it(events: list[tuple[float, bool]]) -> None:
    window, now, all_events = Window(10.0), T0, []
    for after, failed in events:
        now += after
        window.count(now, failed=failed)
        all_events.append((now, failed))
    requests, failures = window.sums(now)
    surely = [failed for at, failed in all_events if at > now - 9]
    perhaps = [failed for at, failed in all_events if at > now - 10 - 1e-6]
    assert len(surely) <= requests <= len(perhaps)
    assert sum(surely) <= failures <= sum(perhaps)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["ask", "force", "ok", "fail", "leave", "wait", "hear-open", "hear-closed", "cool"]
            ),
            st.floats(0, 40),
            st.floats(0, 1),
        ),
        max_size=80,
    )
)
def test_whatever_happens_it_can_be_asked_again(steps: list[tuple[str, float, float]]) -> None:
    found, now, under_way = breaker(), T0, list[bool]()
    for step, seconds, draw in steps:
        match step:
            case "ask" if found.admits(now, draw):
                under_way.append(found.take(now))
            case "force" if found.admits_by_force(now):
                under_way.append(found.take(now, by_force=True))
            case "ok" if under_way:
                found.answered(now, is_probe=under_way.pop())
            case "fail" if under_way:
                found.failed(now, draw, is_probe=under_way.pop())
            case "leave" if under_way:
                found.left(is_probe=under_way.pop())
            case "wait":
                now += seconds
            case "hear-open":
                found.hear(now, Verdict(ModelState.OPEN, seconds, 1))
            case "hear-closed":
                found.hear(now, Verdict(ModelState.RECOVERING))
            case "cool":
                found.cool_down(now, seconds)
    while under_way:
        found.left(is_probe=under_way.pop())
    now += found.ready_in(now)
    assert found.ready_in(now + 1e-6) == 0.0
    assert found.admits(now + 1e-6, 0.0)
