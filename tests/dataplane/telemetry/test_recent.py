"""What a process remembers of requests for its console."""

from tollway_dataplane.core.decision import Source
from tollway_dataplane.record import JUDGING, Record
from tollway_dataplane.telemetry.recent import Recent


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_requests_are_counted_by_where_their_answers_came_from() -> None:
    recent = Recent(Clock())
    for source in (Source.LIVE, Source.EXACT, Source.LIVE):
        recent.observe(Record("r", "chat", source=source, cost_nano=5, saved_nano=2, routed_nano=1), 0.1)
    recent.observe(Record("r", "chat", status=429, refusal="BudgetExceeded"), 0.1)
    recent.observe(Record("r", "chat", source=Source.LIVE, status=502, refusal="UpstreamFailed"), 0.1)
    recent.observe(Record("r", "chat", status=499), 0.1)
    assert recent.requests == {"live": 2, "exact": 1, "refused": 1, "failed": 1, "none": 1}
    assert (recent.spent_nano, recent.saved_nano, recent.routed_nano) == (15, 6, 3)


def test_lately_is_the_last_minute() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.observe(Record("r", "chat", source=Source.LIVE), 0.1)
    clock.now += 30.5
    recent.observe(Record("r", "chat", source=Source.EXACT), 0.1)
    assert recent.lately() == {"live": 1, "exact": 1}
    clock.now += 31
    assert recent.lately() == {"exact": 1}
    clock.now += 3_600
    assert recent.lately() == {}
    assert recent.requests.total() == 2


def test_the_last_fifty_decisions_are_kept_the_newest_first() -> None:
    recent = Recent(Clock())
    for number in range(70):
        recent.observe(Record(str(number), "chat"), 0.1)
    kept = [each.record.request_id for each in recent.decisions()]
    assert kept == [str(number) for number in range(69, 19, -1)]


def test_what_is_asked_behind_a_reply_costs_and_is_no_request() -> None:
    recent = Recent(Clock())
    recent.observe(Record("r", JUDGING, source=Source.LIVE, cost_nano=7), 0.1)
    assert (recent.spent_nano, recent.requests.total(), list(recent.decisions())) == (7, 0, [])
