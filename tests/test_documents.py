"""What people read: links lead somewhere, no page is left alone, and whatever goes wrong can be looked up."""

import re
from functools import cache
from pathlib import Path

import pytest

from tollway_api.conditions import ConditionReason, ConditionType
from tollway_api.problems import ProblemReason
from tollway_dataplane.errors import RefusalCode
from tollway_operator.provision import WarningReason
from tools.cluster_tools import HELM, KUBERNETES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"), *DOCS.rglob("*.md")))
REASONS = {*ConditionReason, *ProblemReason, *WarningReason} - set(ConditionType) - {ConditionReason.RESOLVED}


def links(page: Path) -> list[tuple[Path, str]]:
    """Those to files: which, and which heading of it."""
    targets = re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    parts = (target.partition("#") for target in targets)
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in parts]


@cache
def headings(page: Path) -> set[str]:
    """As GitHub names them in addresses."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    dead = [
        f"{target.relative_to(ROOT)}#{heading}"
        for target, heading in links(page)
        if not target.exists() or (heading and heading not in headings(target))
    ]
    assert dead == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, new = set[Path](), {ROOT / "README.md"}
    while new:
        reached |= new
        found = {target for page in new for target, _ in links(page) if target.suffix == ".md"}
        new = found - reached
    assert {str(page.relative_to(ROOT)) for page in set(DOCS.rglob("*.md")) - reached} == set()


def test_the_index_lists_every_page_but_runbooks_which_are_listed_by_their_alerts() -> None:
    listed = {target for target, _ in links(DOCS / "README.md")}
    alerts = {target for target, _ in links(DOCS / "operations.md")}
    assert set(DOCS.glob("*.md")) - listed == {DOCS / "README.md"}
    assert set(DOCS.glob("runbooks/*.md")) <= alerts


def test_whatever_a_status_or_an_error_says_can_be_looked_up_by_it() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert {str(each) for each in REASONS if f"`{each}`" not in page} == set()
    assert {str(each) for each in RefusalCode if f"`{each}`" not in page} == set()


def test_the_page_of_versions_names_those_that_are_pinned() -> None:
    """In the row of each; what a Go module is called by others may begin otherwise."""
    rows = (DOCS / "compatibility.md").read_text(encoding="utf-8").splitlines()
    locked = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks/dev.txt").read_text("utf-8"), re.MULTILINE)
    )
    required = {
        module.parent.name: dict(re.findall(r"^\s+(\S+) v(\S+)", module.read_text("utf-8"), re.MULTILINE))
        for module in ROOT.glob("tools/cluster/*/go.mod")
    }
    prometheus = re.sub(
        r"^0\.(\d)(\d\d)\.", r"\1.\2.", required["prometheus"]["github.com/prometheus/prometheus"]
    )
    pinned = {
        "Kubernetes": KUBERNETES.removeprefix("v"), "Helm": HELM.removeprefix("v"), "Prometheus": prometheus,
        "etcd": required["etcd"]["go.etcd.io/etcd/server/v3"],
        "Argo CD": required["argocd"]["github.com/argoproj/argo-cd/v3"],
        "metrics-server": required["metrics-server"]["sigs.k8s.io/metrics-server"],
        "redis-py": locked["redis"], "`openai`": locked["openai"], "LiteLLM": locked["litellm"],
        "kopf": locked["kopf"], "OpenTelemetry": locked["opentelemetry-sdk"],
    }  # fmt: skip
    wrong = {
        name: version
        for name, version in pinned.items()
        if not any(re.match(rf"\| {re.escape(name)}[ ,]", row) and version in row for row in rows)
    }
    assert wrong == {}
