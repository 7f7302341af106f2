"""The webhook of budgets: told once for each limit and window, tried a few times, and never over again."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.dataplanes import Setup, compiled
from tests.servers import served
from tollway_api.meta import TenantName
from tollway_api.reach import OWN, PUBLIC
from tollway_api.windows import Usage
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_operator import alerts
from tollway_operator.alerts import AlertWebhook, alerting
from tollway_operator.metrics import Metrics
from tollway_operator.redis_store import RedisStore, open_store

ACME = TenantName("acme")
LIMITS = {"limits": [{"name": "few", "unit": "Requests", "amount": "10", "window": {"rolling": "1h"}}]}
SNAPSHOT = compiled(Setup("http://a/v1", "http://b/v1", acme=LIMITS).objects())
(FEW,) = SNAPSHOT.tenants[ACME].limits


@dataclass
class Hook:
    """Somebody's server, which answers what it is told to."""

    answers: list[int] = field(default_factory=list)
    told: list[dict[str, object]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: Request) -> Response:
        self.told.append(json.loads(await request.body()))
        status = self.answers.pop(0) if self.answers else 200
        return (
            RedirectResponse("/elsewhere", status) if status in {302, 307} else Response(status_code=status)
        )


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    routes = [Route(path, made.take, methods=["POST", "GET"]) for path in ("/alerts", "/elsewhere")]
    with served(Starlette(routes=routes)) as url:
        made.url = f"{url}/alerts"
        yield made


@pytest.fixture
async def ledger(ledger_redis: EmbeddedRedis) -> AsyncIterator[RedisStore]:
    async with open_store(ledger_redis.url, "ledger") as store:
        yield store


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with alerting(OWN) as made:
        yield made


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_PAUSES_S", (0.0, 0.0))


def webhook(
    url: str, ledger: RedisStore, session: aiohttp.ClientSession, metrics: Metrics | None = None
) -> AlertWebhook:
    return AlertWebhook(session, url, OWN, ledger, metrics or Metrics())


async def test_each_of_alert_and_end_is_told_once_whoever_leads(
    hook: Hook, ledger: RedisStore, session: aiohttp.ClientSession
) -> None:
    first, next_leader = (webhook(hook.url, ledger, session) for _ in range(2))
    for used in (7, 8, 9, 9):
        await first.look(SNAPSHOT, {ACME: [Usage(FEW, used, 0, 0)]})
    assert [each["event"] for each in hook.told] == ["BudgetAlert"]
    for used in (9, 10, 10):
        await next_leader.look(SNAPSHOT, {ACME: [Usage(FEW, used, 0, 0)]})
    assert [each["event"] for each in hook.told] == ["BudgetAlert", "BudgetExceeded"]


async def test_it_is_tried_a_few_times_and_then_given_up(
    hook: Hook, ledger: RedisStore, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    metrics, usage = Metrics(), {str(ACME): [Usage(FEW, 9, 0, 0)]}
    telling = webhook(hook.url, ledger, session, metrics)
    hook.answers = [503, 429, 500]
    await telling.look(SNAPSHOT, usage)
    await telling.look(SNAPSHOT, usage)
    assert len(hook.told) == 3
    assert hook.url not in caplog.text
    (record,) = caplog.records
    assert vars(record)["reason"] == "it answered 500"
    hook.answers = [503]
    await telling.look(SNAPSHOT, {ACME: [Usage(FEW, 10, 0, 0)]})
    counted = {outcome: metrics.alerts.labels(outcome)._value.get() for outcome in ("failed", "delivered")}
    assert counted == {"failed": 1, "delivered": 1}


@pytest.mark.parametrize("status", [400, 404, 302, 307])
async def test_what_is_refused_or_sent_elsewhere_is_not_tried_again(
    hook: Hook, ledger: RedisStore, session: aiohttp.ClientSession, status: int
) -> None:
    hook.answers = [status]
    await webhook(hook.url, ledger, session).look(SNAPSHOT, {ACME: [Usage(FEW, 9, 0, 0)]})
    assert len(hook.told) == 1


async def test_a_server_that_is_not_there_holds_nothing_up(
    ledger: RedisStore, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "http://127.0.0.1:9/hooks/T0P-S3CR3T"
    await webhook(secret, ledger, session).look(SNAPSHOT, {ACME: [Usage(FEW, 9, 0, 0)]})
    assert "T0P-S3CR3T" not in caplog.text + str([vars(each) for each in caplog.records])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_webhook_at_an_address_that_may_not_be_asked_is_told_nothing(
    hook: Hook, ledger: RedisStore, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    url = hook.url.replace("127.0.0.1", host)
    async with alerting(PUBLIC) as session:
        telling = AlertWebhook(session, url, PUBLIC, ledger, Metrics())
        await telling.look(SNAPSHOT, {ACME: [Usage(FEW, 9, 0, 0)]})
    assert hook.told == []
    assert [vars(record)["reason"] for record in caplog.records] == ["ForbiddenAddressError"]


async def test_what_could_not_be_noted_is_told_later(
    hook: Hook, fault_redis: EmbeddedRedis, session: aiohttp.ClientSession
) -> None:
    async with open_store(fault_redis.url, "ledger") as store:
        telling = webhook(hook.url, store, session)
        fault_redis.kill()
        await telling.look(SNAPSHOT, {ACME: [Usage(FEW, 9, 0, 0)]})
        assert hook.told == []
        assert telling._told == {}
