"""Tells somebody's webhook when a limit of a budget comes near its end, and when it is used up: once for each limit and
window, whoever leads. What has been told is noted in the ledger's Redis before it is sent, so that no restart tells it
again; what could not be delivered in a few tries is given up, and counted. The webhook's address is a setting of the
operator's, so that nobody who may write a TenantBudget can have it call what they like, and bound as endpoints are. It
is never logged: it may be a secret itself.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tollway_api import wire
from tollway_api.conditions import ConditionReason, moment
from tollway_api.reach import Reach
from tollway_api.snapshot import Rolling, SharedBudget, Snapshot, Tenant
from tollway_api.windows import Usage
from tollway_http.confined import ConfinedResolver
from tollway_operator.budget_status import amount, is_exhausted, percent_used
from tollway_operator.errors import StoreFault
from tollway_operator.metrics import Metrics
from tollway_operator.redis_store import RedisStore

log = logging.getLogger(__name__)

_DEADLINE_S: Final = 5.0
_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0)  # between the tries, of which there is one more
_AT_ONCE: Final = 8
# Of replies, those after which the same may be taken later.
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Alert:
    key: str  # in Redis, the same for the same limit, window and event
    lasts_ms: int  # for which it is not told again
    body: Mapping[str, object] = field(repr=False)


def alerts_of(budget: Tenant | SharedBudget, usages: Iterable[Usage], now_ms: int) -> Iterator[Alert]:
    """What is to be told of a budget, whether it was told before or not. By what is used, like WithinBudget."""
    is_shared, account = isinstance(budget, SharedBudget), budget.account
    for usage in usages:
        limit, percent = usage.limit, percent_used(usage)
        is_over = percent >= 100 or is_exhausted(usage, budget)
        if percent < budget.alert_threshold_percent and not is_over:
            continue
        event = ConditionReason.BUDGET_EXCEEDED if is_over else ConditionReason.BUDGET_ALERT
        if isinstance(limit.window, Rolling):
            lasts_ms, resets_at = limit.window.milliseconds, None
        else:
            lasts_ms, resets_at = usage.resets_ms - now_ms, moment(usage.resets_ms)
        used, most = amount(usage.used, limit.unit), amount(limit.amount, limit.unit)
        text = f"{account} has used {percent} % of its limit {limit.name}: {used} of {most} {limit.unit.noun}"
        body = {
            "event": event,
            "tenant": None if is_shared else account,
            "sharedBudget": account if is_shared else None,
            "namespace": budget.namespace,
            "limit": limit.name,
            "unit": limit.unit,
            "amount": most,
            "used": used,
            "remaining": amount(max(0, limit.amount - usage.used), limit.unit),
            "percent": percent,
            "alertThresholdPercent": budget.alert_threshold_percent,
            "resetsAt": resets_at,
            "at": moment(now_ms),
            "text": f"{text}, until {resets_at}" if resets_at else text,
        }
        yield Alert(wire.alert_key(account, limit, usage.resets_ms, event), max(1_000, lasts_ms), body)


class ForbiddenAddressError(aiohttp.ClientError):
    """The webhook is at an address that may not be asked."""


def alerting(reach: Reach) -> aiohttp.ClientSession:
    """For webhooks alone, since pods are where those may not be."""
    resolver = ConfinedResolver(reach, ForbiddenAddressError)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver))


class AlertWebhook:
    """`url` may be "", and then nobody is told."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        reach: Reach,
        ledger: RedisStore,
        metrics: Metrics,
    ) -> None:
        self._session = session
        self._url = url
        self._is_forbidden = reach.forbids(urlsplit(url).hostname or "")
        self._ledger = ledger
        self._metrics = metrics
        self._told: dict[str, float] = {}  # by us or by others, until when

    async def look(self, snapshot: Snapshot, usage: Mapping[str, Sequence[Usage]]) -> None:
        """Tells what has not been told yet."""
        if not self._url:
            return
        now_ms = int(time() * 1_000)
        self._told = {key: until for key, until in self._told.items() if until > now_ms}
        alerts = [
            alert
            for budget in snapshot.budgets
            for alert in alerts_of(budget, usage.get(budget.account, ()), now_ms)
            if alert.key not in self._told
        ]
        turns = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._tell(alert, now_ms, turns) for alert in alerts))

    async def _tell(self, alert: Alert, now_ms: int, turns: asyncio.Semaphore) -> None:
        async with turns:
            try:
                is_ours = await self._ledger.note_alert(alert.key, alert.lasts_ms)
            except StoreFault:
                return  # which is said elsewhere, and then it is looked at again
            self._told[alert.key] = now_ms + alert.lasts_ms
            if not is_ours:
                return
            why = await self._delivered(alert.body)
            self._metrics.alerts.labels("failed" if why else "delivered").inc()
            if why:
                log.warning(
                    "a budget's alert could not be delivered", extra={"alert": alert.key, "reason": why}
                )

    async def _delivered(self, body: Mapping[str, object]) -> str:
        """ "" once it is taken; otherwise why it is given up."""
        why = ""
        for pause_s in (*_PAUSES_S, None):
            try:
                status = await self._post(body)
            except (aiohttp.ClientError, TimeoutError) as error:
                why = type(error).__name__  # whose words may hold the address
                if isinstance(error, ForbiddenAddressError):
                    return why
            else:
                if status < 300:
                    return ""
                why = f"it answered {status}"
                if status not in _PASSING:
                    return why
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        return why

    async def _post(self, body: Mapping[str, object]) -> int:
        if self._is_forbidden:
            raise ForbiddenAddressError
        limits = aiohttp.ClientTimeout(total=_DEADLINE_S)
        async with self._session.post(
            self._url, json=body, timeout=limits, allow_redirects=False
        ) as response:
            return response.status
