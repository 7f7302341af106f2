"""The compiler by file pairs: `golden/NAME.in.yaml` compiles to `golden/NAME.out.yaml`. `make generate` rewrites the
expected halves; read the difference before you commit it.
"""

import json
import os
from pathlib import Path

import pytest
import yaml

from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import parse_inventory
from tollway_api.reach import OWN
from tollway_api.snapshot import decode, encode

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml"))


def outcome(source: str) -> str:
    """Problems as users read them, and the snapshot without what never varies."""
    inventory, parse_problems = parse_inventory(list(yaml.safe_load_all(source)))
    compilation = compile_snapshot(inventory, bundled(), reach=OWN)
    problems = [f"{problem.severity} {problem}" for problem in (*parse_problems, *compilation.problems)]
    encoded = encode(compilation.snapshot)
    assert decode(encoded) == compilation.snapshot
    snapshot = json.loads(encoded)
    return yaml.safe_dump(
        {"problems": problems, "snapshot": snapshot}, sort_keys=True, allow_unicode=True, width=110
    )


@pytest.mark.parametrize("name", NAMES)
def test_objects_compile_to_what_is_expected(name: str) -> None:
    source = (GOLDEN / f"{name}.in.yaml").read_text(encoding="utf-8")
    expected = GOLDEN / f"{name}.out.yaml"
    found = outcome(source)
    if os.environ.get("TOLLWAY_REWRITE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_there_are_pairs_for_every_cross_check() -> None:
    assert len(NAMES) >= 16
