"""The rules as promtool sees them, each firing and not firing on series that are written down, and their runbooks."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests import prometheus
from tests.prometheus import binaries, groups
from tools.generate_metrics import planes

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
EXPECTED = Path(__file__).with_name("rules.test.yaml")
RULES = [rule for group in groups()["groups"] for rule in group["rules"]]
ALERTS = sorted({rule["alert"] for rule in RULES})


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "--lint=all", "--lint-fatal", str(prometheus.RULES)),
        ("test", "rules", str(EXPECTED)),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_promtool_finds_nothing_wrong(command: tuple[str, ...]) -> None:
    done = subprocess.run(  # noqa: S603 - what we built
        [str(binaries()["promtool"]), *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    expected = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    fire = str([each.get("exp_samples", each.get("exp_alerts")) for each in _expectations(expected)])
    fire += str([each["alertname"] for each in _expectations(expected) if "alertname" in each])
    assert [name for name in ALERTS if name not in fire] == []


def _expectations(expected: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[dict[str, str]]:
    return [
        each
        for test in expected["tests"]
        for kind in ("promql_expr_test", "alert_rule_test")
        for each in test.get(kind, [])
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text(encoding="utf-8")
    assert page.startswith(f"# {rule['alert']}\n")
    sections = [line for line in page.splitlines() if line.startswith("## ")]
    assert sections == ["## What it means", "## What callers see", "## How to look", "## How to mend it"]


def test_every_runbook_has_its_alert() -> None:
    named = {rule["annotations"]["runbook_url"] for rule in RULES}
    assert {str(page.relative_to(ROOT)) for page in RUNBOOKS.glob("*.md")} == named


def test_the_page_of_operations_lists_them() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in RULES:
        path = rule["annotations"]["runbook_url"].removeprefix("docs/")
        (line,) = [line for line in page.splitlines() if f"[{rule['alert']}]({path})" in line]
        assert rule["labels"]["severity"] in line


def test_rules_name_metrics_that_there_are() -> None:
    known = {each.name for several in planes().values() for each in several}
    for rule in RULES:
        words = {word for word in _words(str(rule["expr"])) if word.startswith(("ai_", "tollway_", "redis_"))}
        plain = {word.removesuffix("_count").removesuffix("_bucket") for word in words}
        assert plain <= known, rule["alert"]


def _words(expression: str) -> list[str]:
    return "".join(sign if sign.isalnum() or sign == "_" else " " for sign in expression).split()
