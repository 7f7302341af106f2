"""The words of decisions are documented."""

from itertools import takewhile
from pathlib import Path

from tollway_dataplane.core.decision import RouteReason

ROUTING = Path(__file__).parents[3] / "docs" / "routing.md"


def test_every_reason_for_a_model_is_in_the_table_and_no_other_is() -> None:
    _, _, table = ROUTING.read_text(encoding="utf-8").partition("| `x-tollway-route-reason` | |\n")
    rows = takewhile(lambda line: line.startswith("|"), table.splitlines())
    assert [row.split("`")[1] for row in rows if "`" in row] == list(RouteReason)
