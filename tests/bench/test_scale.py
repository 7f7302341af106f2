"""How the parts of `bench.scale` are shown, and what they ask."""

import math

import orjson

from bench.scale import as_markdown, picture
from bench.scale_out import TENANTS, mix
from bench.scale_rig import Table
from bench.scale_size import text_of

STAMPED = {"commit": "c", "machine": "m", "when": "w", "busy": 0.1, "command": "python -m bench.scale"}
TABLE = Table(
    "Sizes",
    ("things", "ms", "first, ms"),
    [(10, 1.234, math.nan), (1_000, 1_234.5, 2.0)],
    {"Milliseconds": (1, 2)},
)


def test_a_table_has_large_numbers_whole_small_ones_short_and_nothing_where_nothing_was_measured() -> None:
    text = as_markdown("sizes", TABLE, STAMPED)
    assert "| 10 | 1.23 |  |" in text
    assert "| 1,000 | 1,234 | 2 |" in text
    assert "(scale-sizes.svg)" in text


def test_a_picture_leaves_out_what_was_not_measured() -> None:
    drawn = picture(TABLE)
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn


def test_a_body_is_as_long_as_it_is_meant_to_be_and_no_other() -> None:
    one, other = (text_of(10, seed) for seed in (1, 2))
    assert one != other
    assert 9_000 < len(one) <= 10_000


def test_of_the_mixed_load_a_third_is_new_in_each_turn() -> None:
    prompts = [
        [orjson.loads(each.body)["messages"][0]["content"] for each in mix(36, turn)] for turn in (0, 1)
    ]
    assert len({each for prompts_of in prompts for each in prompts_of if "ship" in each}) == 2 * 36 // 3
    assert len({each.key for each in mix(36, 0)}) == TENANTS
