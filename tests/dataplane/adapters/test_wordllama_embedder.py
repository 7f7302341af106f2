"""The table of word vectors: meaning, shape, and nothing written or fetched."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import Embedding
from tollway_dataplane.adapters.wordllama_embedder import WordLlamaEmbedder
from tollway_dataplane.errors import EmbedderFault

EMBEDDING = Embedding(EmbeddingProvider.LOCAL, "wordllama", 256)


@pytest.fixture(scope="module")
async def words() -> WordLlamaEmbedder:
    return await WordLlamaEmbedder.load(EMBEDDING)


async def test_alike_in_meaning_is_alike_in_direction(words: WordLlamaEmbedder) -> None:
    one, other, far = await words.vectors_of(
        ["How do I reset my password?", "How can I reset my password?", "What is the price of gold?"]
    )
    assert float(one @ other) > 0.9
    assert float(one @ far) < 0.4


async def test_a_vector_is_of_unit_length_and_the_promised_shape(words: WordLlamaEmbedder) -> None:
    for text in ("a", "x " * 5_000, "¿Qué? 東京", "🙂"):
        (vector,) = await words.vectors_of([text])
        assert vector.shape == (256,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text", ["", "\ud800"], ids=["empty", "half a surrogate pair"])
async def test_what_has_no_tokens_has_no_vector(words: WordLlamaEmbedder, text: str) -> None:
    with pytest.raises(EmbedderFault, match="no tokens"):
        await words.vectors_of([text])


def test_none_of_the_packages_code_runs_and_nothing_is_written(tmp_path: Path) -> None:
    """It would set up logging for the whole process, and may download."""
    code = (
        "import asyncio, logging, sys\n"
        "from tollway_dataplane.adapters.wordllama_embedder import WordLlamaEmbedder as E\n"
        "asyncio.run(E.load(None))\n"
        "assert 'wordllama' not in sys.modules and not logging.getLogger().handlers"
    )
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    home["PYTHONPATH"] = ":".join(sys.path)
    subprocess.run([sys.executable, "-c", code], env=home, check=True)  # noqa: S603 - our own code
    assert list(tmp_path.iterdir()) == []
