"""Which of a policy's models the router chooses from, and in which order: by price, and never one that costs more and
is no better. Called by the compiler and its checks.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from tollway_api.catalog import ModelCatalog
from tollway_api.meta import ModelName
from tollway_api.routing_policy import Model
from tollway_api.snapshot import Price, Step


def pico_usd(per_million: str) -> int:
    """Per token: USD per million tokens are micro-USD, which is 10^6 pico-USD, per token."""
    return int(Decimal(per_million) * 10**6)


def price_of(model: Model, catalog: ModelCatalog) -> Price | None:
    """What a model costs: the user's word before the catalogue's; None when nobody says."""
    if (given := model.pricing) is not None:
        return Price(
            pico_usd(given.input),
            pico_usd(given.output),
            cached_input=pico_usd(given.cached_input or given.input),
            cache_write=pico_usd(given.cache_write or given.input),
            reasoning=pico_usd(given.reasoning or given.output),
        )
    entry = catalog.find(model.model)
    return entry.price if entry is not None else None


def worth_their_price(models: Sequence[Model], catalog: ModelCatalog) -> list[str]:
    """Names, the cheapest first; without those that are tried out on a share, and those that cost more than one that is
    said to be as good. Price alone says nothing of quality, so of models without a stated one nothing is known but that
    somebody listed them.
    """
    found: list[str] = []
    best: Decimal | None = None
    proven = [each for each in models if each.canary is None]
    for model in sorted(proven, key=lambda each: cost_of(each, catalog)):
        stated = None if model.quality is None else Decimal(model.quality)
        if stated is not None and best is not None and stated <= best:
            continue
        best = stated if best is None else max(best, stated or best)
        found.append(model.name)
    return found


def cost_of(model: Model, catalog: ModelCatalog) -> tuple[int, Decimal]:
    """Of two that cost the same the better one comes first."""
    price = price_of(model, catalog)
    return price.blended if price else 0, -Decimal(model.quality or 0)


class _Rung(NamedTuple):
    name: str
    price: float
    closed: float  # of the gap in quality between the simple model and the complex one


def steps(models: Sequence[Model], simple: str, hard: str, catalog: ModelCatalog) -> tuple[Step, ...]:
    """The models that are chosen from but the complex one, the cheapest first; () where there are no more than two.

    Of the simple model's answers that are not good enough one between is taken to mend as large a share as it closes of
    the stated gap in quality. Prompts go from one model to the next where what that costs more for each answer it mends
    is the same throughout (Lagrange's multiplier). So those above the lower convex hull of price over quality are left
    out: some of their prompts with the model below and the rest with the one above cost less for the same.
    """
    by_name = {each.name: each for each in models}
    order = worth_their_price(models, catalog)
    if not {simple, hard} <= set(order) or order.index(simple) >= order.index(hard):
        return ()
    ladder = [by_name[name] for name in order[order.index(simple) : order.index(hard) + 1]]
    if ladder[0].quality is None or ladder[-1].quality is None:
        return ()
    least = Decimal(ladder[0].quality)
    gap = Decimal(ladder[-1].quality) - least
    rungs = [
        _Rung(each.name, float(cost_of(each, catalog)[0]), float((Decimal(each.quality) - least) / gap))
        for each in ladder
        if each.quality is not None
    ]
    hull = _lower_hull(rungs)
    if len(hull) < 3:
        return ()
    rises = [_rise(below, above) for below, above in pairwise(hull)]
    return tuple(
        Step(ModelName(rung.name), round(1 - rung.closed, 6), round(rise / rises[-1], 6))
        for rung, rise in zip(hull, rises, strict=False)
    )


def _lower_hull(rungs: Sequence[_Rung]) -> list[_Rung]:
    """Andrew's monotone chain ("Another efficient algorithm for convex hulls in two dimensions", 1979)."""
    hull: list[_Rung] = []
    for rung in rungs:
        while len(hull) >= 2 and _rise(hull[-2], hull[-1]) >= _rise(hull[-1], rung):
            hull.pop()
        hull.append(rung)
    return hull


def _rise(below: _Rung, above: _Rung) -> float:
    """What it costs more to close the whole gap at this pace."""
    return (above.price - below.price) / (above.closed - below.closed)
