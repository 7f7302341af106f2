"""What a provider says of its usage."""

import pytest

from tollway_dataplane.core.completions import usage_of
from tollway_dataplane.core.facts import JsonValue, Usage


@pytest.mark.parametrize(
    ("prompt", "answer", "usage"),
    [
        (3, 5, Usage(3, 5)),
        (0, 0, Usage(0, 0)),
        (3, None, None),
        (True, 5, None),
        (3.0, 5, None),
        (-1, 5, None),
        (9 * 10**18, 5, None),
    ],
)
def test_a_count_that_makes_no_sense_is_none(
    prompt: JsonValue, answer: JsonValue, usage: Usage | None
) -> None:
    assert usage_of({"usage": {"prompt_tokens": prompt, "completion_tokens": answer}}) == usage
