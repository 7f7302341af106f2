"""How many tokens a text has, without a tokenizer: an upper bound for holding money, and an estimate for fitting
a context window. Byte-level BPE tokenizers, which all common chat models use, never make more tokens than
bytes.
"""

import math
from collections.abc import Sequence
from typing import Final

from tollway_dataplane.core.facts import JsonObject, JsonValue

# What a provider adds around each message and around the whole, generously.
TOKENS_PER_MESSAGE: Final = 8
TOKENS_PER_REQUEST: Final = 16
# Most models bill less for one image at full detail; for those that bill more see ARCHITECTURE.md, "Budgets".
TOKENS_PER_IMAGE: Final = 3_000
BYTES_PER_TOKEN: Final = 4
FEWEST_BYTES_PER_TOKEN: Final = 2.5


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


def estimate_text(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)


def _content_bytes(content: JsonValue) -> int:
    """Bytes of a message's content. A picture counts as its tokens, not as the bytes of its encoding."""
    if not isinstance(content, list):
        return _bytes(content)
    total = 0
    for part in content:
        is_picture = isinstance(part, dict) and part.get("type") == "image_url"
        total += TOKENS_PER_IMAGE if is_picture else _bytes(part)
    return total


def _bytes(value: JsonValue) -> int:
    """Bytes of all text in a value, names included, with a few for each piece of punctuation."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
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
