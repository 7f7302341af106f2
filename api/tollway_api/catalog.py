"""The model catalogue: prices, context windows and providers by model id, carried as package data so that
neither plane needs the network or LiteLLM to check a policy. `tools/generate_model_catalog.py` writes it
from the pinned LiteLLM's table.

Called by the compiler, which gets it as an argument.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from tollway_api.routing_policy import Capability
from tollway_api.snapshot import Price, Variant

DATA_FILE: Final = "model_catalog.json"


class ModelMode(StrEnum):
    CHAT = "chat"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What is known of one model. A price that is None is unknown, never free."""

    provider: str
    mode: ModelMode
    price: Price | None
    context_window: int | None
    max_output_tokens: int | None
    lacks: tuple[Capability, ...] = ()  # what it surely cannot
    unproven: tuple[Capability, ...] = ()  # what is not said of it, where other things are


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    entries: Mapping[str, CatalogEntry]
    providers: frozenset[str]
    # Of LiteLLM itself, but for those of AWS, which begin with `aws_`.
    arguments: frozenset[str] = frozenset()

    def find(self, model_id: str) -> CatalogEntry | None:
        """The entry of a LiteLLM model id, with or without its provider's prefix."""
        if (entry := self.entries.get(model_id)) is not None:
            return entry
        provider, _, bare = model_id.partition("/")
        entry = self.entries.get(bare)
        return entry if entry is not None and entry.provider == provider else None

    def provider_of(self, model_id: str) -> str | None:
        """Who serves a model id: its prefix when that names a provider, else what the catalogue says."""
        prefix, slash, _ = model_id.partition("/")
        if slash and prefix in self.providers:
            return prefix
        entry = self.find(model_id)
        return entry.provider if entry else None

    def similar(self, model_id: str) -> str | None:
        """The known id a person most likely meant."""
        return next(iter(get_close_matches(model_id, self.entries, n=1, cutoff=0.75)), None)


@cache
def bundled() -> ModelCatalog:
    """The catalogue shipped with this package: a constant, decoded once."""
    return decode(resources.files(__package__).joinpath(DATA_FILE).read_bytes())


def decode(data: bytes) -> ModelCatalog:
    """Reads the form `tools/generate_model_catalog.py` writes: one row of values per model."""
    table = json.loads(data)
    entries = {
        model_id: CatalogEntry(
            provider, ModelMode(mode), _price(prices), window, output, *map(_capabilities, incapable)
        )
        for model_id, (provider, mode, prices, window, output, *incapable) in table["models"].items()
    }
    return ModelCatalog(entries, frozenset(table["providers"]), frozenset(table["arguments"]))


def _capabilities(names: str) -> tuple[Capability, ...]:
    return tuple(map(Capability, names.split()))


def _price(rows: Sequence[Sequence[Any]] | None) -> Price | None:
    """The usual one, then those that hold instead: tier, least prompt, price."""
    if rows is None:
        return None
    usual, *others = rows
    variants = tuple(Variant(tier, above, Price(*numbers)) for tier, above, *numbers in others)
    return replace(Price(*usual), variants=variants)
