"""Whom a webhook is told of, and what of."""

from dataclasses import replace

import pytest

from tests.tenants import shared, tenant
from tollway_api.snapshot import Calendar, Limit, Rolling
from tollway_api.tenant_budget import CalendarPeriod, Unit
from tollway_api.windows import Usage
from tollway_operator.alerts import alerts_of

NOW_MS = 1_767_225_600_000  # the first second of 2026
DAY = 86_400_000
MONEY = Limit("money", Unit.USD, 5_000_000_000, Calendar(CalendarPeriod.DAY, "UTC"))
FEW = Limit("few", Unit.REQUESTS, 10, Rolling(3_600_000))


def test_an_alert_says_all_there_is_to_say_and_no_secret() -> None:
    acme = replace(tenant(MONEY), key_digests={"acme/api-key": "ab" * 32})
    (alert,) = alerts_of(acme, [Usage(MONEY, 4_250_000_000, 900, NOW_MS + DAY)], NOW_MS)
    assert alert.body == {
        "event": "BudgetAlert",
        "tenant": "acme",
        "sharedBudget": None,
        "namespace": "default",
        "limit": "money",
        "unit": "USD",
        "amount": "5",
        "used": "4.25",
        "remaining": "0.75",
        "percent": 85,
        "alertThresholdPercent": 80,
        "resetsAt": "2026-01-02T00:00:00Z",
        "at": "2026-01-01T00:00:00Z",
        "text": "acme has used 85 % of its limit money: 4.25 of 5 USD, until 2026-01-02T00:00:00Z",
    }
    assert alert.lasts_ms == DAY


def test_an_alert_of_a_shared_budget_names_it_and_no_tenant() -> None:
    (alert,) = alerts_of(shared("team/all", FEW), [Usage(FEW, 9, 0, 0)], NOW_MS)
    assert (alert.body["tenant"], alert.body["sharedBudget"]) == (None, "team/all")
    assert str(alert.body["text"]).startswith("team/all has used 90 %")


@pytest.mark.parametrize(
    ("used", "events"),
    [(7, []), (8, ["BudgetAlert"]), (9, ["BudgetAlert"]), (10, ["BudgetExceeded"]), (11, ["BudgetExceeded"])],
)
def test_it_is_told_from_the_threshold_on_and_when_nothing_is_left(used: int, events: list[str]) -> None:
    assert [each.body["event"] for each in alerts_of(tenant(FEW), [Usage(FEW, used, 5, 0)], NOW_MS)] == events


@pytest.mark.parametrize(("used", "events"), [(9, ["BudgetExceeded"]), (5, [])])
def test_that_requests_are_refused_is_told_before_all_is_used(used: int, events: list[str]) -> None:
    usage = Usage(FEW, used, 0, 0, refused=True)
    told = alerts_of(replace(tenant(FEW), alert_threshold_percent=100), [usage], NOW_MS)
    assert [each.body["event"] for each in told] == events


def test_each_limit_and_window_is_told_by_itself() -> None:
    other = replace(FEW, name="other")
    usages = [Usage(FEW, 9, 0, 0), Usage(other, 9, 0, 0)]
    keys = {each.key for each in alerts_of(tenant(FEW, other), usages, NOW_MS)}
    days = [Usage(MONEY, MONEY.amount, 0, NOW_MS + day * DAY) for day in (1, 2)]
    keys |= {each.key for usage in days for each in alerts_of(tenant(MONEY), [usage], NOW_MS)}
    assert len(keys) == 4
    (rolling,) = alerts_of(tenant(FEW), [Usage(FEW, 9, 0, 0)], NOW_MS)
    assert rolling.lasts_ms == 3_600_000
    assert rolling.body["resetsAt"] is None
