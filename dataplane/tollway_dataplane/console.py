"""What the console shows, put together when somebody looks: of the fleet what its data planes say of themselves, of
this one its budgets, what is amiss, and its last decisions. Words and numbers ready to be shown, and nothing of a
prompt, an answer or a key.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tollway_api.routing_policy import ModelState
from tollway_api.snapshot import Limit, Rolling
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.fleet import Fleet
from tollway_dataplane.ports import Figures
from tollway_dataplane.spending.balances import Balances, share_taken
from tollway_dataplane.telemetry.recent import Decision, Recent

_MOST_BUDGETS: Final = 50
_FROM_MEMORY: Final = (Source.EXACT, Source.SEMANTIC)
_OUTCOMES: Final = (*Source, "refused", "failed", "none")  # in the order in which they are shown
_NEARLY: Final = 0.8


@dataclass(frozen=True, slots=True)
class Console:
    """`unfit` and `unwell` as the admin port tells them to the operator."""

    fleet: Fleet
    recent: Recent
    balances: Balances
    unfit: Callable[[], Mapping[str, str]]
    unwell: Callable[[], Mapping[str, Mapping[str, ModelState]]]

    async def state(self) -> dict[str, object]:
        known = await self.fleet.known()
        budgets = _budgets(self.balances)
        return {
            "name": self.fleet.own().name,
            "alone": known.alone,
            "amiss": [*_amiss(known.figures), *self._amiss_here()],
            "totals": _totals(known.figures),
            "requests": _requests(known.figures),
            "data_planes": [_data_plane(each) for each in known.figures],
            "budgets": budgets[:_MOST_BUDGETS],
            "more_budgets": max(0, len(budgets) - _MOST_BUDGETS),
            "decisions": [_decision(each) for each in self.recent.decisions()],
        }

    def _amiss_here(self) -> Iterable[str]:
        for index, why in self.unfit().items():
            yield f"Index {index} is not asked by meaning here: {why}"
        for policy, models in self.unwell().items():
            for model, state in models.items():
                yield f"Model {model} of {policy} is not asked with every request here: {state}"


def _amiss(figures: Sequence[Figures]) -> Iterable[str]:
    if len({each.revision for each in figures}) > 1:
        yield "Data planes run different revisions."
    for each in figures:
        if each.rejected:
            yield f"{each.name} does not run the newest snapshot: {each.rejected}"
        elif not each.revision:
            yield f"{each.name} has no snapshot yet, and so answers nobody."


def _totals(figures: Sequence[Figures]) -> dict[str, object]:
    requests = _sum(each.requests for each in figures)
    total = sum(requests.values())
    remembered = sum(requests[source] for source in _FROM_MEMORY)
    return {
        "in_flight": sum(each.in_flight for each in figures),
        "requests": total,
        "lately": sum(_sum(each.lately for each in figures).values()),
        "from_memory": f"{100 * remembered / total:.0f} %" if total else "",
        "spent_usd": as_usd(sum(each.spent_nano for each in figures)),
        "saved_usd": as_usd(sum(each.saved_nano for each in figures)),
        "saved_by_routing_usd": as_usd(sum(each.routed_nano for each in figures)),
    }


def _requests(figures: Sequence[Figures]) -> list[dict[str, object]]:
    """What there was none of is left out."""
    requests, lately = _sum(each.requests for each in figures), _sum(each.lately for each in figures)
    return [
        {"source": outcome, "lately": lately[outcome], "total": requests[outcome]}
        for outcome in sorted(requests, key=_place)
    ]


def _place(outcome: str) -> int:
    """Another version of a data plane may know others."""
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else len(_OUTCOMES)


def _sum(counted: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counted:
        total.update(each)
    return total


def _data_plane(figures: Figures) -> dict[str, object]:
    state = "draining" if figures.draining else "ready" if figures.revision else "no snapshot yet"
    return {
        "name": figures.name,
        "state": state,
        "revision": figures.revision,
        "since": _utc(figures.since_s, "%Y-%m-%d %H:%M"),
        "requests": sum(figures.requests.values()),
        "in_flight": figures.in_flight,
    }


def _budgets(balances: Balances) -> list[dict[str, object]]:
    """As full as the ledger said last that they are, the fullest first."""
    every = [(owner, *each) for owner, limits in balances.by_owner().items() for each in limits.values()]
    fullest = sorted(every, key=lambda each: share_taken(*each[1:]), reverse=True)
    return [_budget(*each) for each in fullest]


def _budget(owner: str, limit: Limit, taken: int) -> dict[str, object]:
    share, window = share_taken(limit, taken), limit.window
    return {
        "owner": owner or "shared",
        "limit": limit.title,
        "used": f"{_amount(limit, taken)} of {_amount(limit, limit.amount)} {limit.unit.noun}",
        "percent": f"{100 * share:.0f} %",
        "share": min(1.0, share),
        "state": "used up" if share >= 1 else "nearly used up" if share >= _NEARLY else "",
        "window": f"in {window.milliseconds // 1_000} s"
        if isinstance(window, Rolling)
        else f"this {window.period.lower()}",
    }


def _amount(limit: Limit, amount: int) -> str:
    return as_usd(amount) if limit.unit is Unit.USD else f"{amount:,}"


def _decision(decision: Decision) -> dict[str, object]:
    record = decision.record
    why = [record.refusal, record.limit, record.cache_reason, record.route_reason]
    if record.fallbacks:
        why.append(f"{record.fallbacks} fallback{'s' if record.fallbacks > 1 else ''}")
    if record.ended != "whole":
        why.append(record.ended)
    return {
        "at": _utc(decision.at_s, "%H:%M:%S"),
        "request_id": record.request_id,
        "tenant": record.tenant,
        "policy": record.policy,
        "source": decision.outcome,
        "status": record.status,
        "model": record.model,
        "why": ", ".join(str(each) for each in why if each),
        "ms": f"{decision.seconds * 1_000:.1f}",
        "cost_usd": as_usd(record.cost_nano),
        "saved_usd": as_usd(record.saved_nano),
    }


def _utc(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)
