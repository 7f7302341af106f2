"""Turns prompts into vectors by a table: wordllama's 256 dimensions, the mean of each text's token vectors. A prompt
takes a fraction of a millisecond, so it stays in the event loop. Of the package only its files are used, because its
code sets up logging for the whole process and may download.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tollway_api.snapshot import Embedding
from tollway_dataplane.errors import EmbedderFault, TextRefused
from tollway_dataplane.ports import Vector

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL: Final = "wordllama"
_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_SHA256: Final = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR: Final = "embedding.weight"
_MOST_TOKENS: Final = 512


class WordLlamaEmbedder:
    """Make one with `load`."""

    def __init__(self, table: npt.NDArray[np.float16], tokenizer: "Tokenizer") -> None:
        self._table = table  # (tokens, dimensions)
        self._tokenizer = tokenizer

    @classmethod
    async def load(cls, _: Embedding) -> "WordLlamaEmbedder":
        """Raises EmbedderFault when the model's files are missing or are not the ones we know."""
        return await asyncio.to_thread(cls._load)

    @classmethod
    def _load(cls) -> "WordLlamaEmbedder":
        spec = find_spec(MODEL)
        places = (spec.submodule_search_locations or []) if spec else []
        folder = next((Path(place) for place in places if (Path(place) / _WEIGHTS).is_file()), None)
        if folder is None:
            raise EmbedderFault("the files of wordllama are missing; install tollway[dataplane]")
        data = (folder / _WEIGHTS).read_bytes()
        if hashlib.sha256(data).hexdigest() != _SHA256:
            raise EmbedderFault(f"{_WEIGHTS} is damaged; reinstall the package wordllama")
        from tokenizers import Tokenizer  # noqa: PLC0415 - not every data plane has a use for it

        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(_MOST_TOKENS)
        return cls(_table(data), tokenizer)

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]:
        vectors = []
        for text in texts:
            vectors.append(self._vector(text))
            await asyncio.sleep(0)  # each is short, and requests have their turn between two
        return vectors

    def _vector(self, text: str) -> Vector:
        try:
            tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, ValueError) as exc:  # a lone surrogate, for one
            raise TextRefused("the text has no tokens") from exc
        mean = self._table[tokens].astype(np.float32).sum(axis=0)
        length = float(np.linalg.norm(mean))
        if not length:
            raise TextRefused("the text has no tokens")
        vector: Vector = mean / np.float32(length)
        return vector


def _table(data: bytes) -> npt.NDArray[np.float16]:
    """The one tensor of a safetensors file: eight bytes with the length of a JSON head, the head, the numbers."""
    size = int.from_bytes(data[:8], "little")
    tensor = json.loads(data[8 : 8 + size])[_TENSOR]
    begin, end = (8 + size + offset for offset in tensor["data_offsets"])
    return np.frombuffer(data[begin:end], np.float16).reshape(tensor["shape"])
