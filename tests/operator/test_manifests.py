"""YAML files to objects, and every problem to its line."""

from pathlib import Path

import pytest

from tollway_api.problems import ProblemReason
from tollway_operator.gather_files import gather

POLICY = """apiVersion: tollway.dev/v1alpha1
kind: RoutingPolicy
metadata:
  name: chat
spec:
  models:
    - name: cheap
      model: gpt-4o-mni
    - name: rich
      model: gpt-4o
      timeout: 5
"""
KEYED = """apiVersion: tollway.dev/v1alpha1
kind: TenantBudget
metadata: {name: acme}
spec: {apiKeys: [{secretRef: {name: key}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData:
  api-key: VALUE
"""


def findings(tmp_path: Path, text: str, **environ: str) -> list[str]:
    """Each finding, its path relative to the folder."""
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    gathered = gather([tmp_path], environ, "tollway-system")
    return [str(finding).replace(f"{tmp_path}/", "") for finding in gathered.findings]


def test_a_schema_error_says_file_and_line(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, f"# a comment\n---\n{POLICY}")
    assert finding.startswith("a.yaml:13: RoutingPolicy default/chat: spec.models[1].timeout: must be text")


def test_an_error_across_objects_says_file_and_line(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, POLICY.replace("timeout: 5", "timeout: 5s"))
    assert finding.startswith("a.yaml:8: RoutingPolicy default/chat: spec.models[0].model: unknown model id")


def test_a_missing_field_is_shown_at_what_should_hold_it(tmp_path: Path) -> None:
    (finding,) = findings(
        tmp_path, POLICY.replace("- name: cheap\n      ", "- ").replace("timeout: 5", "timeout: 5s")
    )
    assert finding.startswith("a.yaml:7: RoutingPolicy default/chat: spec.models[0].name: is required")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: b\n  c: d\n", 2, "not valid YAML"),
        ("kind: X\nkind: Y\n", 2, "'kind' is given twice"),
        ("- a\n- b\n", 1, "must be a mapping"),
        ("a: &x 1\nb: *x\n", 2, "aliases"),
        ("a: [1, 2\n", 2, "not valid YAML"),
        ("a: \x00\n", 1, "not valid YAML"),
        ("a: " + "[" * 3_000 + "]" * 3_000, 1, "nested too deeply"),
        ("a: 0x_\n", 1, "not valid YAML"),
        ("kind: List\nitems: 3\n", 2, "items must be a list"),
        ("\nspec: {models: []}\n", 2, "a document must say its apiVersion and kind"),
        ("apiVersion: v1\nkind: 5\n", 1, "a document must say its apiVersion and kind"),
        (f"{KEYED.partition('---')[0]}---\nkind: [\n", 7, "not valid YAML"),
    ],
    ids=[
        *("indent", "duplicate", "list", "alias", "unclosed", "control", "deep", "number", "items"),
        *("nameless", "odd", "after another with a mistake"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    gathered = gather([tmp_path], {}, "tollway-system")
    assert gathered.broken
    (finding,) = gathered.findings
    assert finding.location is not None
    assert finding.location.line == line
    assert words in finding.problem.message


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    gathered = gather([tmp_path / "nowhere"], {}, "tollway-system")
    assert gathered.broken
    assert str(gathered.findings[0]).startswith(f"{tmp_path}/nowhere: File {tmp_path}/nowhere: no such file")


def test_the_second_of_two_definitions_is_the_one_to_mend(tmp_path: Path) -> None:
    good = POLICY.replace("mni", "mini").replace("5", "5s")
    (finding,) = findings(tmp_path, f"{good}---\n{good}")
    assert finding.startswith("a.yaml:16: RoutingPolicy default/chat: metadata.name: is defined twice")


@pytest.mark.parametrize(
    ("value", "environ", "ok"),
    [
        ("${KEY}", {"KEY": "k"}, True),
        ("${KEY:-fallback}", {}, True),
        ("Bearer ${KEY}", {"KEY": "k"}, True),
        ("${KEY}", {}, False),
        ("plain", {}, True),
    ],
)
def test_a_secret_may_come_from_the_environment(
    tmp_path: Path, value: str, environ: dict[str, str], ok: bool
) -> None:
    found = findings(tmp_path, KEYED.replace("VALUE", value), **environ)
    assert (found == []) == ok
    if not ok:
        assert (
            "a.yaml:10: Secret default/key: stringData.api-key: environment variable KEY is not set"
            in found[0]
        )


def test_a_kubernetes_list_and_json_are_read_too(tmp_path: Path) -> None:
    text = '{"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "tollway.dev/v1alpha1", "kind": "SemanticCacheIndex", "metadata": {"name": "x"}, "spec": {}}]}'  # noqa: E501 - one line is what this is about
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert list(gather([tmp_path], {}, "tollway-system").snapshot.indexes) == ["default/x"]


def test_only_our_own_reasons_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(POLICY, encoding="utf-8")
    gathered = gather([tmp_path], {}, "tollway-system")
    assert {finding.problem.reason for finding in gathered.findings} <= set(ProblemReason)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: acme", "name: pölicy", "metadata.name: 'pölicy' is not an object's name"),
        ("name: acme", "name: 'a b'", "metadata.name: 'a b' is not an object's name"),
        ("name: acme", "name: acme, namespace: 5", "metadata.namespace: must be text, not 5"),
        ("metadata: {name: acme}", "metadata: acme", "metadata: must be a mapping"),
        ("apiVersion: tollway.dev/v1alpha1\n", "", "apiVersion: is required: tollway.dev/v1alpha1"),
        ("tollway.dev/v1alpha1", "tolway.dev/v1alpha1", "unknown version 'tolway.dev/v1alpha1'"),
        ("apiVersion: v1\n", "", "Secret default/key: apiVersion: is required: v1"),
        ("stringData:\n  api-key: VALUE", "stringData: [1]", "stringData: must be a mapping"),
        ("  api-key: VALUE", "  1: abc\n  b: c", "must be text, and its name too"),
        ("VALUE", "sha256:ABC", "a digest that is not sha256: and 64 hex digits"),
        ("VALUE", '"two\\nlines"', "a key no caller can send"),
        ("VALUE", '" "', "nothing under 'api-key'; there is none"),
        ("apiKeys:", "alertThresholdPercent: true, apiKeys:", "alertThresholdPercent"),
        ("spec: {apiKeys: [{secretRef: {name: key}}]}", "spec: false", "spec"),
        ("kind: TenantBudget\n", "", "kind: is required; one of"),
        ("kind: TenantBudget\n", "kind: [TenantBudget]\n", "unknown kind"),
        ("kind: TenantBudget\n", "kind: {}\n", "unknown kind"),
    ],
)
def test_what_looks_right_and_is_not_is_said(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in KEYED
    assert words in "\n".join(findings(tmp_path, KEYED.replace(old, new)))


def test_a_secret_that_is_defined_twice_is_said(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, KEYED + "---" + KEYED.partition("---")[2])
    assert finding.startswith("a.yaml:14: Secret default/key: metadata.name: is defined twice")


def test_an_upper_case_digest_is_the_digest_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(KEYED.replace("VALUE", f"sha256:{'AB' * 32}"), encoding="utf-8")
    (tenant,) = gather([tmp_path], {}, "tollway-system").snapshot.tenants.values()
    assert list(tenant.key_digests.values()) == ["ab" * 32]
