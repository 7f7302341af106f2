"""What Argo CD makes of an object, by Argo's own Lua and its own diff (tools/cluster/argocd)."""

import difflib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.cluster_tools import find

FOLDER = Path(__file__).parents[1] / "deploy" / "argocd"
GOLDEN = Path(__file__).parent / "golden" / "argocd"
MANAGER = "argocd-controller"  # as Argo CD's own field manager is called


def ask(verb: str, **question: object) -> Any:
    """Raises AssertionError with what Argo says where it says no."""
    done = subprocess.run(  # noqa: S603 - what we built
        [str(find("argocd")["argocd"]), verb],
        input=json.dumps(question), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def customization(of: str, found: Mapping[str, Any]) -> str:
    """ "health" or "actions" of an object's kind, as our part of argocd-cm has it."""
    config = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))
    group = found["apiVersion"].partition("/")[0]
    return str(config["data"].get(f"resource.customizations.{of}.{group}_{found['kind']}", ""))


def health(found: Mapping[str, Any]) -> dict[str, str]:
    return dict(ask("health", object=found, health=customization("health", found)))


def actions(found: Mapping[str, Any]) -> list[str]:
    """Those that can be chosen."""
    listed = ask("discovery", object=found, actions=customization("actions", found))
    return [each["name"] for each in listed if not each.get("disabled")]


def acted(found: Mapping[str, Any], action: str) -> dict[str, Any]:
    """As what Argo would patch it to be."""
    return dict(ask("action", object=found, actions=customization("actions", found), action=action))


def difference(wanted: Mapping[str, Any], live: Mapping[str, Any], predicted: str = "") -> str:
    """What Argo would show as out of sync, "" where nothing is: by server-side diff where it is given what a dry run
    predicts, otherwise by its own three-way diff.
    """
    found = ask("diff", config=wanted, live=live, predicted=predicted)
    if not found["modified"]:
        return ""
    live_text, wanted_text = (
        json.dumps(found[side], indent=1, sort_keys=True).splitlines() for side in ("live", "predicted")
    )
    return "\n".join(difflib.unified_diff(live_text, wanted_text, "live", "wanted", n=1, lineterm=""))
