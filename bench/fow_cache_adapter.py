"""Lets the public benchmark fow-cache (Mabon ap Gwyn; MIT, data CC BY 4.0) score this cache's judgement through its own
command: `fow-cache eval --check bench.fow_cache_adapter:served`. bench/README.md says how to install it.
"""

import asyncio
from dataclasses import replace
from functools import cache
from typing import Final, NamedTuple

from tollway_api.semantic_cache_index import CriticalCheck, Match
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.judgement.identity import turns_of
from tollway_dataplane.judgement.judge import View, shipped
from tollway_dataplane.judgement.verification import verify

Prompt = str | list[dict[str, str]]


class _Demands(NamedTuple):
    """What an index asks for when nothing is said."""

    threshold: float
    strict_threshold: float
    checks: tuple[CriticalCheck, ...]


_MATCH: Final = Match()
_DEFAULTS: Final = _Demands(float(_MATCH.threshold), float(_MATCH.strict_threshold), tuple(CriticalCheck))


@cache
def embedder() -> LocalEmbedder:
    return asyncio.run(LocalEmbedder.load())


@cache
def view(text: str) -> View:
    (encoded,) = embedder().encode([text])
    return shipped().view_of(text, encoded)


def served(cached: Prompt, new: Prompt) -> bool:
    """Whether an index as it is by default would serve the cached answer."""
    return verify(_seen(new), _seen(cached), _DEFAULTS, shipped()).serves


def _seen(prompt: Prompt) -> View:
    if isinstance(prompt, str):
        return view(prompt)
    return replace(view(prompt[-1]["content"]), turns=turns_of(prompt))
