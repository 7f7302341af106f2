"""The threat model names tests that there are, and no threat goes without one or without a word."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
THREATS = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
NAMED = re.compile(r"^- `(tests/[\w/]+\.py)::(\w+)`$", re.MULTILINE)


def test_threats_have_ids_in_order_and_severities() -> None:
    heads = [re.match(r"T(\d\d) .+ \((Critical|High|Medium|Low)\)\n", each) for each in THREATS]
    assert [int(head[1]) for head in heads if head] == list(range(1, len(THREATS) + 1))


def test_each_is_shown_by_a_test_or_accepted() -> None:
    assert [each for each in THREATS if not NAMED.search(each) and "*Accepted" not in each] == []


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) == TEXT.count("\n- `tests/")
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        found = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in found, f"{path}::{name}"


def test_every_threat_that_is_referred_to_is_there() -> None:
    assert {int(number) for number in re.findall(r"\bT(\d\d)\b", TEXT)} <= set(range(1, len(THREATS) + 1))
