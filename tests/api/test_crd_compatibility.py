"""Whoever uses the kinds today can use them tomorrow. The kinds are compared with what was promised last, which lies
beside the golden files and changes with a release only, and, where there is a repository, with its last commit.

A difference that takes something away fails, unless `on_purpose.yaml` names it and says why.
"""

import copy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crd_compatibility import breaks
from tollway_api.crds import DEFINITIONS, Definition, custom_resource_definition

ROOT = Path(__file__).parents[2]
PROMISED = ROOT / "tests" / "golden" / "promised_crds"
ON_PURPOSE: dict[str, dict[str, str]] = (
    yaml.safe_load((PROMISED / "on_purpose.yaml").read_text("utf-8")) or {}
)

each_kind = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)


def unexplained(definition: Definition, old: Any) -> list[str]:
    known = ON_PURPOSE.get(definition.kind, {})
    return [each for each in breaks(old, custom_resource_definition(definition)) if each not in known]


@each_kind
def test_nothing_that_was_promised_is_taken_away(definition: Definition) -> None:
    promised = yaml.safe_load((PROMISED / f"{definition.plural}.yaml").read_text(encoding="utf-8"))
    assert unexplained(definition, promised) == []


@each_kind
def test_nothing_that_was_committed_last_is_taken_away(definition: Definition) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git to ask")
    shown = subprocess.run(  # noqa: S603 - our own repository
        ["git", "show", f"HEAD:deploy/crds/{definition.plural}.yaml"],  # noqa: S607 - as in any shell
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if shown.returncode != 0:
        pytest.skip("there is no repository to compare with")
    assert unexplained(definition, yaml.safe_load(shown.stdout)) == []


def test_every_break_that_was_made_on_purpose_says_why() -> None:
    assert set(ON_PURPOSE) <= {definition.kind for definition in DEFINITIONS}
    reasons = [why for each in ON_PURPOSE.values() for why in each.values()]
    assert [why for why in reasons if len(why) < 20] == []


Change = Callable[[dict[str, Any], dict[str, Any]], object]  # of the version, and of the spec's properties

TAKEN_AWAY: list[tuple[str, Change, str]] = [
    ("a field", lambda _, spec: spec.pop("priority"), ".priority is gone"),
    ("a type", lambda _, spec: spec["priority"].update(type="string"), ".priority type was 'integer'"),
    ("a lower bound", lambda _, spec: spec["priority"].update(minimum=-999), "minimum was -1000 and is -999"),
    ("an upper bound", lambda _, spec: spec["models"].update(maxItems=63), "maxItems was 64 and is 63"),
    (
        "a bound where there was none",
        lambda _, spec: spec["models"]["items"].update(maxProperties=1),
        ".models[] maxProperties was None and is 1",
    ),
    (
        "a pattern",
        lambda _, spec: spec["models"]["items"]["properties"]["name"].update(pattern="^a$"),
        ".models[].name pattern was",
    ),
    ("what may be left out", lambda version, _: _spec(version)["required"].append("cache"), "now required"),
    (
        "an enum's value",
        lambda _, spec: spec["cache"]["properties"]["mode"]["enum"].remove("ReadOnly"),
        ".cache.mode enum has lost ReadOnly",
    ),
    ("a default", lambda _, spec: spec["priority"].update(default=1), "default was 0 and is 1"),
    ("a default's absence", lambda _, spec: spec["cache"].update(default={}), "default was None"),
    (
        "what no rule forbade",
        lambda _, spec: spec["cache"].update({"x-kubernetes-validations": [{"rule": "self.mode != ''"}]}),
        ".cache there is a new rule: self.mode != ''",
    ),
    (
        "how a list merges",
        lambda _, spec: spec["models"].update({"x-kubernetes-list-type": "atomic"}),
        "x-kubernetes-list-type was 'map'",
    ),
    ("a column", lambda version, _: version["additionalPrinterColumns"].pop(0), "has lost Ready"),
    ("a selector", lambda version, _: version["selectableFields"].clear(), "selectableFields has lost"),
    ("the version", lambda version, _: version.update(served=False), "v1alpha1: it is no longer served"),
]


@pytest.mark.parametrize(("what", "change", "said"), TAKEN_AWAY, ids=[each[0] for each in TAKEN_AWAY])
def test_whatever_takes_something_away_is_found(what: str, change: Change, said: str) -> None:
    old = custom_resource_definition(DEFINITIONS[0])
    assert breaks(old, old) == []
    new = copy.deepcopy(old)
    (version,) = new["spec"]["versions"]
    change(version, _spec(version)["properties"])
    (found,) = breaks(old, new)
    assert said in found, what


def test_what_is_added_or_loosened_takes_nothing_away() -> None:
    old = custom_resource_definition(DEFINITIONS[0])
    new = copy.deepcopy(old)
    (version,) = new["spec"]["versions"]
    fields = _spec(version)["properties"]
    fields["new"] = {"type": "string", "maxLength": 5, "default": "a"}
    fields["models"]["maxItems"] = 128
    fields["cache"]["properties"]["mode"]["enum"].append("WriteOnly")
    fields["priority"]["description"] = "Other words."
    assert breaks(old, new) == []


def _spec(version: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec
