"""Counts tokens by OpenAI's own tables, which lie in LiteLLM's distribution: nothing is fetched, and LiteLLM is not
imported for them. Where one is missing, every byte is a token.

A table takes 0.3 to 0.7 seconds to build, of which Python stands still for up to 0.4, and 20 to 50 MB. So it is built
before the first snapshot that needs it is run, once in a process.
"""

import asyncio
import codecs
import importlib.util
from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import tiktoken

from tollway_api.snapshot import Model
from tollway_dataplane.core.tokens import Encoding, spelling_of
from tollway_dataplane.heap import growing

# As tiktoken names its cached files: SHA-1 of where it would fetch them.
_FILES: Final = {
    Encoding.CL100K: "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    Encoding.O200K: "fb374d419588a4632f3f557e76b4b70aebbca790",
}
_LETTERS: Final = r"\p{Lm}\p{Lo}\p{M}"
_ENDING: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# How a text is cut into words before tokens are made of them: tiktoken_ext/openai_public.py, which is not asked because
# it would fetch the table.
_WORDS: Final = {
    Encoding.CL100K: (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    Encoding.O200K: (
        rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{_LETTERS}]*[\p{{Ll}}{_LETTERS}]+{_ENDING}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{_LETTERS}]+[\p{{Ll}}{_LETTERS}]*{_ENDING}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
# A thousand characters take a third of a millisecond, and a call of a thread a tenth.
_LONG: Final = 1_000


@dataclass(frozen=True, slots=True)
class TiktokenTokenizer:
    encoding: Encoding
    safety: float

    def count(self, text: str) -> int:
        table = _table(self.encoding)
        return (
            len(text.encode("utf-8", "surrogatepass")) if table is None else len(table.encode_ordinary(text))
        )

    def pieces(self, text: str) -> list[str]:
        """The text as a model writes it, a token each; a token in the middle of a character is empty."""
        table = _table(self.encoding)
        words = (
            [bytes([byte]) for byte in text.encode("utf-8", "replace")]
            if table is None
            else table.decode_tokens_bytes(table.encode_ordinary(text))
        )
        reader = codecs.getincrementaldecoder("utf-8")("replace")
        return [reader.decode(word) for word in words]

    async def count_prompt(self, text: str) -> int:
        return await asyncio.to_thread(self.count, text) if len(text) > _LONG else self.count(text)


class TiktokenTokenizers:
    async def load(self, models: Iterable[Model]) -> None:
        """Makes ready what counts for them."""
        for encoding in {spelling_of(model.upstream_id).encoding for model in models}:
            await asyncio.to_thread(_table, encoding)

    def of(self, model: Model) -> TiktokenTokenizer:
        return TiktokenTokenizer(*spelling_of(model.upstream_id))


@lru_cache
@growing()
def _table(encoding: Encoding) -> tiktoken.Encoding | None:
    litellm = importlib.util.find_spec("litellm")  # which imports nothing
    if litellm is None or litellm.origin is None:
        return None
    file = Path(litellm.origin).parent / "litellm_core_utils/tokenizers" / _FILES[encoding]
    try:
        with file.open("rb") as lines:
            ranks = {a2b_base64(word): int(rank) for word, rank in map(bytes.split, lines)}
    except OSError:
        return None
    table = tiktoken.Encoding(encoding, pat_str=_WORDS[encoding], mergeable_ranks=ranks, special_tokens={})
    ranks.clear()  # which it keeps, although it has made its own of them and asks no more: 25 MB
    return table
