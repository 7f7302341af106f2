"""Prompts as the judge sees them, by the real encoder."""

from collections.abc import Callable

from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.core.judge import View, shipped
from tollway_dataplane.core.reading import read, word_vectors

ViewOf = Callable[[str], View]


def view_of(text: str, embedder: LocalEmbedder) -> View:
    (encoded,) = embedder.encode([text])
    reading = read(text)
    return shipped().view(reading, encoded.vector, word_vectors(reading, encoded.hidden, encoded.offsets))
