"""Prompts as the judge sees them, by the real encoder."""

from collections.abc import Callable

from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.judgement.judge import View, shipped

ViewOf = Callable[[str], View]


def view_of(text: str, embedder: LocalEmbedder) -> View:
    (encoded,) = embedder.encode([text])
    return shipped().view_of(text, encoded)
