"""What the simulated model says: a function of its name, the model asked for and the prompt. And how it counts: as the
model asked for does, by OpenAI's own tables.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizer
from tollway_dataplane.core.tokens import (
    USUAL_TOKENS_PER_MESSAGE,
    USUAL_TOKENS_PER_REQUEST,
    spelling_of,
)

_FILLER: Final = (
    "the answer depends on what you want to do with it and in most cases the simple way is the right one "
    "so start small look at what happens and change one thing at a time until it does what it should"
).split()
_LEAST_WORDS: Final = 8
_MOST_WORDS: Final = 60


def answer_for(name: str, model: str, prompt: str) -> str:
    """`[name/model] About "first words of the prompt": some words. #12345678`, the same for the same prompt."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
    length = _LEAST_WORDS + digest[0] % (_MOST_WORDS - _LEAST_WORDS)
    start = digest[1] % len(_FILLER)
    words = [_FILLER[(start + place) % len(_FILLER)] for place in range(length)]
    about = " ".join(prompt.split()[:8])
    return f'[{name}/{model}] About "{about}": {" ".join(words)}. #{digest.hex()[:8]}'


def tokens(model: str, text: str) -> list[str]:
    """The text in the model's tokens; joining them gives it back."""
    return TiktokenTokenizer(*spelling_of(model)).pieces(text)


def count_tokens(model: str, text: str) -> int:
    return len(tokens(model, text))


def prompt_tokens(model: str, messages: Sequence[object], extra: Sequence[str] = ()) -> int:
    """What the prompt counts: every text of every message, and a little for each message and for the whole."""
    texts = [*(text for message in messages for text in _texts(message)), *extra]
    counted = sum(count_tokens(model, text) for text in texts)
    return counted + USUAL_TOKENS_PER_MESSAGE * len(messages) + USUAL_TOKENS_PER_REQUEST


def last_prompt(messages: Sequence[object]) -> str:
    """The text of the last user message; of the last message when there is none."""
    users = [
        message for message in messages if isinstance(message, Mapping) and message.get("role") == "user"
    ]
    last = users[-1] if users else (messages[-1] if messages else "")
    return " ".join(_texts(last))


def _texts(message: object) -> Iterator[str]:
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]
