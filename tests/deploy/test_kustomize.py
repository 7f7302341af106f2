"""deploy/kustomize: what each environment comes to is what `tollway validate` accepts, and they get along."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubectl import KUBECTL
from tests.processes import run

OVERLAYS = Path(__file__).parents[2] / "deploy" / "kustomize" / "overlays"
ENVIRONMENTS = sorted(path.name for path in OVERLAYS.iterdir())


@functools.cache
def rendered(environment: str) -> str:
    """By kubectl, without a cluster."""
    done = subprocess.run(  # noqa: S603 - our own tool
        [str(KUBECTL), "kustomize", str(OVERLAYS / environment)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def specs(environment: str) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each["spec"] for each in yaml.safe_load_all(rendered(environment))}


@pytest.mark.parametrize("environments", [["staging"], ["production"], ENVIRONMENTS], ids="-".join)
def test_what_they_come_to_is_valid(environments: list[str], tmp_path: Path) -> None:
    for each in environments:
        (tmp_path / f"{each}.yaml").write_text(rendered(each), encoding="utf-8")
    done = run("tollway_cli", "validate", "--secrets-elsewhere", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(environments)} tenants" in done.stdout
    assert "0 warnings" in done.stdout


def test_environments_differ_where_they_say_so() -> None:
    staging, production = specs("staging"), specs("production")
    assert staging["RoutingPolicy"] == production["RoutingPolicy"]
    assert staging["SemanticCacheIndex"]["ttl"] != production["SemanticCacheIndex"]["ttl"]
    (limit,) = production["TenantBudget"]["limits"]
    assert (limit["name"], limit["amount"], limit["window"]["calendar"]) == ("daily", "250.00", "Day")
    assert production["TenantBudget"]["onExceeded"] == {"action": "Degrade", "model": "cheap"}
