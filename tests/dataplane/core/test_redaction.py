"""What of a provider's sentence reaches a caller."""

import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator

import pytest

from tollway_dataplane.core.redaction import MOST_SAID, REMOVED, without_secrets


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abc…",
        "sk-proj-4f9a8b7c6d",
        "sk-ant-api03-xyz_ABC",
        "sk-ab*******************yz",
        "gsk_A1b2C3d4",
        "org-SECRET123",
        "proj_a1B2c3D4",
        "AIzaSyA-1234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abc.def",
        "8f14e45f-ceea-467f-a0e6-5d2d7c5d9b1a",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_what_looks_like_a_key_or_an_account_is_taken_out(secret: str) -> None:
    assert without_secrets(f"Not allowed for {secret}, sorry") == f"Not allowed for {REMOVED}, sorry"


@pytest.mark.parametrize(
    "sentence",
    [
        "max_tokens: 9000 > 8192, which is the maximum number of output tokens for claude-3-5-haiku-20241022",
        "messages.0.content: tool_call_id 'call_1' has no response",
        "Unsupported value: 'temperature' does not support 0.2 with gpt-5-mini-2025-08-07.",
        "Invalid schema for response_format 'answer': additionalProperties must be false",
        "this is an org-level setting of the organization",
        "You asked for the task-force of 2024",
    ],
)
def test_what_helps_a_caller_stays(sentence: str) -> None:
    assert without_secrets(sentence) == sentence


def test_our_own_key_is_taken_out_whatever_it_looks_like() -> None:
    assert without_secrets("no such key: plain words", ["plain words"]) == f"no such key: {REMOVED}"


@pytest.mark.parametrize(
    "form",
    [
        *("a+b/c d", "a%2Bb/c%20d", "a%2Bb%2Fc%20d", "a%2Bb%2Fc+d", "a%2bb%2fc%20d", "a+b%2fc d"),
        *("a%252Bb%252Fc%2520d", r"a+b\/c d", r"a\u002bb\u002Fc d"),
        *("a&#43;b&#x2F;c d", r"a\\u002bb\\/c d"),
    ],
)
def test_our_own_key_is_taken_out_of_an_address_as_well(form: str) -> None:
    assert (
        without_secrets(f"no: https://x/?key={form}&n=1", ["a+b/c d"]) == f"no: https://x/?key={REMOVED}&n=1"
    )


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("name", ["", ":", "u:", "us:", "user:", "someone@example.com:"])
@pytest.mark.parametrize("key", ["plain-words", "a?b>c~d~~e", "k\u00e4se-und-brot"])
def test_our_own_key_is_taken_out_of_base64(key: str, name: str, encode: Callable[[bytes], bytes]) -> None:
    """As in a header of the scheme Basic, with a name before it or none."""
    for after in ("", ":", ":x", ":xyz"):
        told = without_secrets(f"not valid: {encode((name + key + after).encode()).decode()}", [key])
        left = told.removeprefix("not valid: ").replace(REMOVED, "")
        assert REMOVED in told
        assert not any(part in key for part in decoded(left) if len(part) > 1)


def decoded(signs: str) -> Iterator[str]:
    """What can be read of it, wherever it was cut."""
    for start in range(4):
        data = signs[start:].encode()
        for each in re.findall(rb"[ -~]+", urlsafe_b64decode(data[: len(data) // 4 * 4])):
            yield each.decode()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("Bearer correct-horse", "correct-horse"),
        ("Api-Key correct.horse", "correct.horse"),
        ("Token correct-horse", "Y29ycmVjdC1ob3JzZQ=="),
        ("Basic dXNlcjpjb3JyZWN0LWhvcnNl", "dXNlcjpjb3JyZWN0LWhvcnNl"),
        ("Basic dXNlcjpjb3JyZWN0LWhvcnNl", "user:correct-horse"),
        ("Basic dXNlcjpjb3JyZWN0LWhvcnNl", "correct-horse"),
        ("Basic not+base64", "not+base64"),
    ],
)
def test_what_stands_behind_a_scheme_is_taken_out_by_itself(secret: str, said: str) -> None:
    assert without_secrets(f"no such key: '{said}'", [secret]) == f"no such key: '{REMOVED}'"


def test_of_a_key_at_the_end_of_a_long_sentence_no_part_is_left() -> None:
    for length in range(MOST_SAID + 5):
        told = without_secrets(f"{'.' * length} plain words", ["plain words"])
        assert len(told) <= MOST_SAID
        assert "pl" not in told


def test_a_key_that_begins_with_another_is_taken_out_whole() -> None:
    assert without_secrets("no: plain-words", ["plain", "plain-words"]) == f"no: {REMOVED}"
