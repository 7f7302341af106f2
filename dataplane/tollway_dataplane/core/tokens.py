"""How many tokens a text has. Without a tokenizer: an upper bound for holding money, and an estimate for fitting a
context window; byte-level BPE tokenizers, which all common chat models use, never make more tokens than bytes. And what
of a prompt a tokenizer is to count, where the bound would be too wide.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from tollway_dataplane.core.facts import JsonObject, JsonValue

# What a provider adds around each message and around the whole, generously.
TOKENS_PER_MESSAGE: Final = 8
TOKENS_PER_REQUEST: Final = 16
# Most models bill less for one image at full detail; for those that bill more see ARCHITECTURE.md, "Budgets".
TOKENS_PER_IMAGE: Final = 3_000
BYTES_PER_TOKEN: Final = 4
FEWEST_BYTES_PER_TOKEN: Final = 2.5
# What OpenAI adds around each message and around the whole (its cookbook, "How to count tokens with tiktoken").
USUAL_TOKENS_PER_MESSAGE: Final = 4
USUAL_TOKENS_PER_REQUEST: Final = 3
# For what a provider adds in rendering tools and roles, which it does not say.
RENDERING: Final = 1.1


def most_tokens(messages: Sequence[JsonObject], parameters: JsonValue) -> int:
    """More than the provider can count for this prompt."""
    total = TOKENS_PER_REQUEST + _bytes(parameters)
    for message in messages:
        total += TOKENS_PER_MESSAGE
        for name, value in message.items():
            total += _content_bytes(value) if name == "content" else _bytes(value)
    return total


def tokens_that_fit_beside(prompt_bytes: int, window: int) -> tuple[int, int]:
    """What a prompt leaves of a context window: surely, for nearly all text of people, and about, for English."""
    surely = window - math.ceil(prompt_bytes / FEWEST_BYTES_PER_TOKEN)
    return surely, window - math.ceil(prompt_bytes / BYTES_PER_TOKEN)


def estimate(message: JsonObject) -> int:
    """About what a tokenizer would count for English text."""
    text_bytes = sum(_content_bytes(v) if k == "content" else _bytes(v) for k, v in message.items())
    return TOKENS_PER_MESSAGE + math.ceil(text_bytes / BYTES_PER_TOKEN)


def estimate_prompt(messages: Sequence[JsonObject], parameters: JsonObject) -> int:
    """The same of a whole request. What is no text, such as speech, counts as a picture does."""
    total = TOKENS_PER_MESSAGE * len(messages)
    text_bytes = sum(_bytes(value) for name, value in parameters.items() if name not in _UNREAD)
    for message in messages:
        for name, value in message.items():
            if isinstance(value, str):
                text_bytes += _bytes(value)
                continue
            parts = value if name == "content" and isinstance(value, list) else [value]
            text_bytes += sum(_bytes(each) if _is_text(each) else TOKENS_PER_IMAGE for each in parts)
    return total + math.ceil(text_bytes / BYTES_PER_TOKEN)


def estimate_text(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)


def _content_bytes(content: JsonValue) -> int:
    """Bytes of a message's content. A picture counts as its tokens, not as the bytes of its encoding."""
    if not isinstance(content, list):
        return _bytes(content)
    total = 0
    for part in content:
        total += TOKENS_PER_IMAGE if _is_picture(part) else _bytes(part)
    return total


def _is_picture(part: JsonValue) -> bool:
    return isinstance(part, dict) and part.get("type") == "image_url"


def _is_text(part: JsonValue) -> bool:
    return not isinstance(part, dict) or "text" in part


def _bytes(value: JsonValue) -> int:
    """Bytes of all text in a value, names included, with a few for each piece of punctuation."""
    if isinstance(value, str):
        # Which Python knows of a text without looking at it.
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_bytes(name) + _bytes(inner) + 4 for name, inner in value.items())
    if isinstance(value, list | tuple):
        return sum(_bytes(inner) + 2 for inner in value)
    return 0 if value is None else len(str(value))


def most_tokens_of_inputs(inputs: JsonValue) -> int:
    """More than the provider can count for an embeddings request: bytes of text, or token ids one by one."""
    if isinstance(inputs, str):
        return TOKENS_PER_REQUEST + _bytes(inputs)
    if isinstance(inputs, list):
        return TOKENS_PER_REQUEST + sum(
            1 if isinstance(each, int) else most_tokens_of_inputs(each) for each in inputs
        )
    return TOKENS_PER_REQUEST


class Encoding(StrEnum):
    """A table of OpenAI's tokenizer, by its name in tiktoken."""

    CL100K = "cl100k_base"
    O200K = "o200k_base"


class Spelling(NamedTuple):
    """The table by which a model's tokens are counted, and how many times as many the model makes at most."""

    encoding: Encoding
    safety: float


_O200K_MODELS: Final = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "chatgpt-4o", "o1", "o3", "o4")
_CL100K_MODELS: Final = ("gpt-4", "gpt-3.5", "text-embedding-3", "text-embedding-ada-002")
_KNOWN: Final = 1.0
# Other vendors' tables are not public, or not here. Of English, code and most other languages they make at most half
# as many tokens again as the older and smaller of OpenAI's two.
_UNKNOWN: Final = 1.5


def spelling_of(upstream_id: str) -> Spelling:
    bare = upstream_id.rpartition("/")[2]
    if bare.startswith(_O200K_MODELS):
        return Spelling(Encoding.O200K, _KNOWN)
    return Spelling(Encoding.CL100K, _KNOWN if bare.startswith(_CL100K_MODELS) else _UNKNOWN)


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of a prompt."""

    most: int
    about: int


@dataclass(frozen=True, slots=True)
class Countable:
    """What of a prompt a tokenizer counts, and how much more there is."""

    text: str
    pictures: int
    messages: int

    def counted(self, tokens: int, safety: float, bound: int) -> Counted:
        """`tokens`: of the text. `bound`: what there surely are no more of."""
        pictures = TOKENS_PER_IMAGE * self.pictures
        around = USUAL_TOKENS_PER_REQUEST + USUAL_TOKENS_PER_MESSAGE * self.messages
        most = min(bound, math.ceil((safety * tokens + around) * RENDERING) + pictures)
        return Counted(most, min(most, tokens + around + pictures))


# Parameters that are about a request and not for the model.
_UNREAD: Final = frozenset(
    {"user", "safety_identifier", "metadata", "prompt_cache_key", "service_tier", "stop", "logit_bias"}
)


def countable(messages: Sequence[JsonObject], parameters: JsonObject) -> Countable:
    """What is to be counted of a chat: the texts of its messages, and the JSON of all else, such as tools and
    schemas.
    """
    texts: list[str] = []
    pictures = 0
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:
            if _is_picture(part):
                pictures += 1
            elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
                texts.append(text)
            elif part is not None:
                texts.append(part if isinstance(part, str) else _json(part))
        if len(message) > 2:
            texts.append(_json({name: value for name, value in message.items() if name != "content"}))
    read = {
        name: value
        for name, value in parameters.items()
        if isinstance(value, str | list | dict) and name not in _UNREAD
    }
    return Countable("\n".join([*texts, _json(read)] if read else texts), pictures, len(messages))


def countable_inputs(inputs: JsonValue) -> Countable | None:
    """What is to be counted of an embeddings request; None where it brings token ids, which need no counting."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        return None
    return Countable("\n".join(map(str, texts)), 0, len(texts))


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)
