"""What `tollway validate` says to other programs: every finding, at its line, whatever a name or a message holds."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.processes import run
from tollway_cli.validation_reports import as_github, as_junit
from tollway_operator.gather_files import Gathered, gather

ROOT = Path(__file__).parents[2]
HEAD = "apiVersion: tollway.dev/v1alpha1\n"
GOOD = HEAD + "kind: SemanticCacheIndex\nmetadata: {name: answers}\nspec: {}\n"
BAD = (
    HEAD
    + "kind: RoutingPolicy\nmetadata: {name: chat}\nspec:\n  models:\n    - {name: a, model: gpt-4o-mni}\n"
)
BUDGET = HEAD + "kind: TenantBudget\nmetadata: {name: acme}\nspec:\n  apiKeys: [{secretRef: {name: key}}]\n"


def gathered(folder: Path, **files: str) -> Gathered:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return gather([folder], {}, "tollway-system")


def cases(found: Gathered) -> dict[str, ET.Element]:
    """Read as strictly as XML is, and held against what its readers expect."""
    suites = ET.fromstring(as_junit(found).encode())  # noqa: S314 - our own
    (suite,) = suites
    read = list(suite)
    assert (suites.tag, suite.tag, {each.tag for each in read}) == ("testsuites", "testsuite", {"testcase"})
    for counting in (suites, suite):
        assert counting.attrib["tests"] == str(len(read))
        assert counting.attrib["failures"] == str(sum(each.find("failure") is not None for each in read))
    return {f"{each.attrib['classname']} {each.attrib['name']}": each for each in read}


def test_each_object_is_a_test_case_and_fails_by_its_errors(tmp_path: Path) -> None:
    found = cases(gathered(tmp_path, good=GOOD, bad=BAD, missing=BUDGET))
    assert set(found) == {
        "SemanticCacheIndex default/answers",
        "RoutingPolicy default/chat",
        "TenantBudget default/acme",
    }
    assert len(found["SemanticCacheIndex default/answers"]) == 0
    policy = found["RoutingPolicy default/chat"]
    assert policy.attrib["file"] == str(tmp_path / "bad.yaml")
    (failure,) = policy
    assert failure.attrib["type"] == "UnknownModel"
    assert f"{tmp_path}/bad.yaml:6" in (failure.text or "")


def test_a_file_that_cannot_be_read_is_a_test_case_too(tmp_path: Path) -> None:
    found = cases(gathered(tmp_path, broken="a: ["))
    (failure,) = found[f"File {tmp_path}/broken.yaml"]
    assert failure.attrib["type"] == "Unreadable"


def test_github_shows_each_finding_at_its_line(tmp_path: Path) -> None:
    said = as_github(gathered(tmp_path, good=GOOD, bad=BAD)).splitlines()
    (line,) = said
    place = (
        f"::error file={tmp_path}/bad.yaml,line=6,title=RoutingPolicy default/chat::spec.models[0].model: "
    )
    assert line.startswith(place)
    assert line.endswith("(UnknownModel)")


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    shared = "{scope: Namespace, selector: {matchLabels: {stage: x}}, limits: [{name: a, amount: '1'}]}"
    found = gathered(tmp_path, shared=f"{HEAD}kind: TenantBudget\nmetadata: {{name: team}}\nspec: {shared}\n")
    (case,) = cases(found).values()
    assert [each.tag for each in case] == ["system-out"]
    assert as_github(found).startswith(f"::warning file={tmp_path}/shared.yaml,line=4,")


@pytest.mark.parametrize(
    "name",
    [r"a\r\n::error::b", "100%25,file=x::y", r"a\0b", r"\ud83d", r"<&>]]>", r"\ufffe"],
    ids=["lines", "properties", "null", "surrogate", "markup", "noncharacter"],
)
def test_nothing_that_a_manifest_says_is_taken_for_more(tmp_path: Path, name: str) -> None:
    found = gathered(tmp_path, bad=BAD.replace("name: chat", f'name: "{name}"').replace("mni", 'mn%i::"'))
    (case,) = cases(found).values()
    assert case.find("failure") is not None
    for line in as_github(found).split("\n"):
        assert re.fullmatch(r"::error file=[^,:]+,line=\d+,title=[^,:\r]*::[^\r]+", line)


def test_the_forms_are_options_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    for form, begins in (("junit", "<?xml "), ("github", "::error file=")):
        done = run("tollway_cli", "validate", str(tmp_path), "--output", form)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.startswith(begins)


def test_secrets_may_be_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "budget.yaml").write_text(BUDGET, encoding="utf-8")
    assert run("tollway_cli", "validate", str(tmp_path)).returncode == 1
    done = run("tollway_cli", "validate", str(tmp_path), "--secrets-elsewhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 tenants" in done.stdout
    # The same key for two tenants is a mistake wherever it is.
    twice = BUDGET + "---\n" + BUDGET.replace("name: acme", "name: trial")
    (tmp_path / "budget.yaml").write_text(twice, encoding="utf-8")
    done = run("tollway_cli", "validate", str(tmp_path), "--secrets-elsewhere", "--output", "github")
    assert done.returncode == 1
    assert "(Conflict)" in done.stdout


def test_the_hook_for_pre_commit_is_a_command_of_ours(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["additional_dependencies"] == [".[cli]"], "an extra of pyproject.toml"
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    program, *arguments = hook["entry"].split()
    assert program == "tollway"
    assert run("tollway_cli", *arguments, str(tmp_path)).returncode == 0
    assert re.search(hook["files"], "manifests/policy.yml")
    assert not hook["pass_filenames"], "objects name one another"
