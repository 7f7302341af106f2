"""`tollway budget`: what tenants have used of their limits, and when they used it. Reads the ledger's Redis, or what
the operator has written into the statuses of a cluster; changes nothing.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from tollway_api import tenant_budget
from tollway_api.conditions import moment
from tollway_api.snapshot import Snapshot
from tollway_api.tenant_budget import LimitStatus, TenantBudgetStatus, Unit
from tollway_operator.budget_status import amount, limit_status
from tollway_operator.kube import open_kube
from tollway_operator.redis_store import open_store
from tollway_operator.usage import read_usage

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_SHOWN: Final = 10  # characters of a bar in a table
_CHART: Final = 40
# A terminal's height.
_MOST_ROWS: Final = 30


@dataclass(frozen=True, slots=True)
class Use:
    """Of one limit. `budget` is its tenant's name, or NAMESPACE/NAME of a shared budget."""

    budget: str
    limit: LimitStatus


async def uses_in_ledger(url: str, snapshot: Snapshot) -> list[Use]:
    """Of those that have limits and whose account makes sense. Raises OperatorError."""
    async with open_store(url, "ledger") as ledger:
        read = await read_usage(ledger, snapshot)
    return [Use(account, limit_status(each, None)) for account, usages in read.items() for each in usages]


async def uses_in_cluster(namespace: str) -> list[Use]:
    """As the operator has written it; "*" is every namespace. Raises OperatorError."""
    async with open_kube() as kube:
        bodies = await kube.bodies(tenant_budget.KIND, namespace)
    found = []
    for body in bodies:
        try:
            status = TenantBudgetStatus.model_validate(body.get("status") or {})
        except ValidationError:
            continue  # of another version of Tollway
        name, in_namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        found += [Use(status.tenant or f"{in_namespace}/{name}", each) for each in status.limits]
    return found


async def spent_in_ledger(url: str, budget: str) -> Mapping[bytes, bytes]:
    """What was spent of a budget, by limit and time slice, as the ledger keeps it. Raises OperatorError."""
    async with open_store(url, "ledger") as ledger:
        (recorded,) = await ledger.spent([budget])
    return recorded or {}


def uses_table(uses: Sequence[Use]) -> Table:
    """The fullest first."""
    table = Table()
    for column in ("Budget", "Limit", "Used", "Held", "Remaining", "%", "", "Resets at"):
        is_number = column in {"Used", "Held", "Remaining", "%"}
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for each in sorted(uses, key=lambda use: (-use.limit.percent, use.budget, use.limit.name)):
        limit = each.limit
        style = "bold red" if limit.percent >= 100 else "yellow" if limit.percent >= 80 else ""
        table.add_row(
            # As text, because what a user wrote may look like markup.
            Text(each.budget),
            Text(limit.name),
            f"{limit.used} {limit.unit.noun}",
            limit.held,
            limit.remaining,
            Text(str(limit.percent), style),
            Text(bar(limit.percent, 100, _SHOWN), style),
            limit.resets_at or "rolls",
        )
    return table


def as_json(uses: Sequence[Use]) -> str:
    """The same for programs. The names of these fields are those of the status."""
    found = [{"budget": each.budget, **each.limit.model_dump(mode="json", by_alias=True)} for each in uses]
    return json.dumps(found, indent=2)


def histories(spent: Mapping[bytes, bytes]) -> dict[tuple[str, Unit], list[tuple[int, int]]]:
    """By limit and unit, when slices began (milliseconds since the epoch) and what was used in them, in order of time.
    What makes no sense is left out.
    """
    found = defaultdict[tuple[str, Unit], list[tuple[int, int]]](list)
    for field, used in spent.items():
        counted_as, _, start = field.decode(errors="replace").rpartition("|")
        name, _, unit = counted_as.rpartition(":")
        if unit in set(Unit) and start.isdecimal() and used.isdigit():
            found[name, Unit(unit)].append((int(start), int(used)))
    return {key: sorted(slices) for key, slices in sorted(found.items())}


def merged(slices: Sequence[tuple[int, int]], most: int = _MOST_ROWS) -> list[tuple[int, int]]:
    """The same in no more than so many slices of one length, those in which nothing was used among them."""
    starts = [start for start, _ in slices]
    between = [later - earlier for earlier, later in pairwise(starts)]
    first, span = starts[0], starts[-1] - starts[0]
    length = max(min(between, default=1), span // most + 1)
    used = [0] * (span // length + 1)
    for start, each in slices:
        used[(start - first) // length] += each
    return [(first + place * length, each) for place, each in enumerate(used)]


def history_table(name: str, unit: Unit, slices: Sequence[tuple[int, int]]) -> Table:
    """A bar for each slice of time."""
    rows = merged(slices)
    top = max(used for _, used in rows)
    table = Table(title=Text(f"{name}, in {unit.noun}"), box=None)
    for column in ("From", "Used", ""):
        table.add_column(column, justify="right" if column == "Used" else "left")
    for start, used in rows:
        table.add_row(moment(start), amount(used, unit), bar(used, top, _CHART))
    return table


def bar(part: int, whole: int, width: int) -> str:
    """Of full blocks, and an eighth or more of one at its end."""
    eighths = min(8 * width, 8 * width * part // whole) if whole else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
