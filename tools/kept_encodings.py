"""What is made of the encoder's reading of each text. Encoding is slow, so it is kept in a file."""

import asyncio
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.prompts.reading import Encoded

Made = TypeVar("Made")


class KeptEncodings(Generic[Made]):
    """`batch` texts are encoded at once."""

    def __init__(self, file: Path, make: Callable[[str, Encoded], Made], batch: int) -> None:
        self._file = file
        self._make = make
        self._batch = batch
        self._known: dict[str, Made] = {}
        if file.exists():
            self._known = pickle.loads(file.read_bytes())  # noqa: S301 - it wrote the file itself

    def __getitem__(self, text: str) -> Made:
        """Of a text that was added."""
        return self._known[text]

    def add(self, texts: Iterable[str]) -> None:
        missing = sorted(set(texts) - self._known.keys(), key=lambda text: (len(text), text))
        if not missing:
            return
        print(f"encoding {len(missing)} texts", flush=True)
        embedder = asyncio.run(LocalEmbedder.load())
        for start in range(0, len(missing), self._batch):
            batch = missing[start : start + self._batch]
            for text, encoded in zip(batch, embedder.encode(batch), strict=True):
                self._known[text] = self._make(text, encoded)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(pickle.dumps(self._known, protocol=5))
