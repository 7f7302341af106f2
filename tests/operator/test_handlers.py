"""What kopf is told to do, and when it is begun anew."""

import asyncio
from collections.abc import Iterable

from kopf._cogs.structs.references import Insights, Resource  # neither has a public name

from tollway_api.crds import DEFINITIONS
from tollway_api.meta import GROUP, VERSION
from tollway_operator.handlers import Definitions, _settings, until_overlooked
from tollway_operator.namespaces import Namespaces
from tollway_operator.objects import Objects

KINDS = {each.kind: Resource(GROUP, VERSION, each.plural, each.kind) for each in DEFINITIONS}


def test_kopf_does_not_end_the_process_because_its_watching_began_anew() -> None:
    assert _settings(namespaced=False).process.ultimate_exiting_timeout is None


async def test_it_begins_anew_when_a_kind_is_back_that_kopf_has_not_noticed() -> None:
    defined, asked, told = set(KINDS), asyncio.Event(), asyncio.Event()

    async def listable(kinds: Iterable[str], namespace: str) -> frozenset[str]:
        assert namespace == "*"
        asked.set()
        return frozenset(defined.intersection(kinds))

    async def known(_: str) -> frozenset[str]:
        return frozenset(defined)

    insights = Insights(watched_resources=set(KINDS.values()))
    insights.ready_resources.set()
    namespaces = Namespaces(None, Objects(), (), told.set)  # type: ignore[arg-type]  # where none is listed nobody is asked
    definitions = Definitions(known, listable)
    overlooked = asyncio.create_task(until_overlooked(definitions, namespaces, insights, told.set))
    await told.wait()
    assert not asked.is_set(), "while kopf watches everything nobody need be asked"
    # Two are gone, and kopf hears of that; one is back, and of that it does not.
    told.clear()
    for kind in ("RoutingPolicy", "TenantBudget"):
        defined.remove(kind)
        insights.watched_resources.remove(KINDS[kind])
    await asked.wait()
    assert told.is_set(), "those who compare are told"
    assert not overlooked.done()
    defined.add("TenantBudget")
    await asyncio.wait_for(overlooked, 10)
