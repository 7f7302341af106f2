"""What the charts of deploy/helm render, by the real Helm."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tools.cluster_tools import find

CHARTS = Path(__file__).parents[1] / "deploy" / "helm"
CHART = CHARTS / "tollway"
PROMISED = Path(__file__).parent / "golden" / "promised_chart"
NAMESPACE = "tollway-system"
PRODUCTION = ("--set", "redis.existingSecret=tollway-redis")
TRIAL = ("--values", str(CHART / "values-trial.yaml"))


def helm(*arguments: str, given: str = "", environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Its exit status, and what it prints. Raises BuildError where it has not been built."""
    done = subprocess.run(  # noqa: S603 - what we built
        [str(find("helm")["helm"]), *arguments],
        input=given, capture_output=True, text=True, check=False, timeout=300, env=environ,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def promised(chart: str) -> Path:
    """One of the charts as it was released last, packed."""
    (found,) = PROMISED.glob(f"{chart}-[0-9]*.tgz")
    return found


@functools.cache
def rendered(*options: str, chart: Path = CHART) -> str:
    """As it is installed in our namespace."""
    status, text, error = helm("template", "tollway", str(chart), "--namespace", NAMESPACE, *options)
    assert status == 0, error
    return text


def objects(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def roles() -> list[dict[str, Any]]:
    """The accounts, and what they may do where Tollway is; and what the operator may in every namespace."""
    template = ("--show-only", "templates/rbac.yaml")
    return [*objects(rendered(*PRODUCTION, *template)), *watching()]


def watching(*namespaces: str) -> list[dict[str, Any]]:
    """What the operator may do where objects are, in these namespaces or in all."""
    options = ("--set", f"operator.watchNamespaces={{{','.join(namespaces)}}}") if namespaces else ()
    return objects(rendered(*PRODUCTION, *options, "--show-only", "templates/watching.yaml"))
