"""The tables that count tokens are there, and are tiktoken's own."""

import importlib.util
from pathlib import Path

import pytest
import tiktoken

from tests.dataplane.core.test_budgeting import MODEL
from tollway_dataplane.adapters import tiktoken_tokenizers
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizer, TiktokenTokenizers
from tollway_dataplane.core.tokens import Encoding

TEXTS = (
    "How do I reset my password? I'VE tried 12345 times…\r\n\r\n   And it doesn't work!",
    "def f(x):\n    return {'a': [1, 2, 3]}  # größer als 漢字 und हिन्दी 🦊\t \n",
    "HTTPServer's camelCase_name/path//to",
)


@pytest.mark.parametrize("encoding", Encoding)
def test_it_counts_as_tiktoken_does(encoding: Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    litellm = importlib.util.find_spec("litellm")
    assert litellm is not None
    assert litellm.origin is not None
    monkeypatch.setenv(
        "TIKTOKEN_CACHE_DIR", str(Path(litellm.origin).parent / "litellm_core_utils/tokenizers")
    )
    theirs, ours = tiktoken.get_encoding(encoding), TiktokenTokenizer(encoding, 1.0)
    assert [ours.count(text) for text in TEXTS] == [len(theirs.encode_ordinary(text)) for text in TEXTS]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_its_tokens_and_those_in_the_middle_of_a_character_are_empty(text: str) -> None:
    tokenizer = TiktokenTokenizer(Encoding.O200K, 1.0)
    pieces = tokenizer.pieces(text)
    assert "".join(pieces) == text
    assert len(pieces) == tokenizer.count(text)


async def test_a_long_prompt_is_counted_as_a_short_one_is() -> None:
    tokenizers = TiktokenTokenizers()
    await tokenizers.load([MODEL])
    tokenizer = tokenizers.of(MODEL)
    assert await tokenizer.count_prompt("hello " * 10_000) == pytest.approx(10_000, abs=2)
    assert await tokenizer.count_prompt("\ud800 alone") > 0, "half a surrogate pair, as JSON may have it"


def test_without_a_table_every_byte_is_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    uncached = tiktoken_tokenizers._table.__wrapped__
    monkeypatch.setattr(tiktoken_tokenizers, "_table", uncached)
    monkeypatch.setitem(tiktoken_tokenizers._FILES, Encoding.CL100K, "gone")
    tokenizer = TiktokenTokenizer(Encoding.CL100K, 1.0)
    assert tokenizer.count("größer") == 8
    assert tokenizer.pieces("größe") == ["g", "r", "", "ö", "", "ß", "e"]
