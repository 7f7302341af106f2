"""What users read about statuses names what the operator writes."""

import re
from pathlib import Path

from tollway_api.conditions import ConditionReason, ConditionType
from tollway_api.problems import ProblemReason
from tollway_operator.provision import WarningReason

CONDITIONS = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_every_condition_and_every_reason_is_explained_and_no_other() -> None:
    text = CONDITIONS.read_text(encoding="utf-8")
    conditions, reasons = text.split("| reason |")
    types = set(re.findall(r"^\| `(\w+)`", conditions, flags=re.MULTILINE))
    explained = set(re.findall(r"^\| `(\w+)`", reasons, flags=re.MULTILINE))
    assert types == set(ConditionType)
    every = {*ConditionReason, *ProblemReason, *WarningReason}
    # Where all is well the reason is the condition's own name, but for one.
    assert explained == {str(each) for each in every} - types - {"Resolved"}
