"""The judge's encoder and its lexicon, loaded when a snapshot first needs them: they are half of the memory of a data
plane that neither remembers answers nor routes by what prompts mean. Wired by `app`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from tollway_api.route import Classifier
from tollway_api.snapshot import Snapshot
from tollway_dataplane.errors import EmbedderFault, SnapshotFault
from tollway_dataplane.ports import ClosableEncoder
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.reading import Encoded


class LazyEncoder:
    """`load` is called once, if it succeeds."""

    def __init__(self, load: Callable[[], Awaitable[ClosableEncoder]]) -> None:
        self._load = load
        self._loading = asyncio.Lock()
        self._encoder: ClosableEncoder | None = None

    async def prepare(self, snapshot: Snapshot) -> None:
        """Before any request runs on it, so that none waits. Raises SnapshotFault where the encoder cannot be had."""
        if not needs_encoder(snapshot):
            return
        await asyncio.to_thread(english)
        try:
            await self._loaded()
        except EmbedderFault as exc:
            raise SnapshotFault(str(exc)) from exc

    async def embed(self, text: str, within_s: float = inf) -> Encoded:
        """Raises EmbedderFault."""
        encoder = self._encoder or await self._loaded()
        return await encoder.embed(text, within_s)

    async def aclose(self) -> None:
        if self._encoder is not None:
            await self._encoder.aclose()

    async def _loaded(self) -> ClosableEncoder:
        async with self._loading:
            if self._encoder is None:
                self._encoder = await self._load()
            return self._encoder


def needs_encoder(snapshot: Snapshot) -> bool:
    """Whether something is found by meaning, or routed by it. Whatever finds an index's candidates, the judge reads
    vectors of its own encoder.
    """
    return bool(snapshot.indexes) or any(
        policy.route.classifier is Classifier.EMBEDDING for policy in snapshot.policies
    )
