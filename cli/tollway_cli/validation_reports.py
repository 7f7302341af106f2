"""What `tollway validate` found, for programs: JSON, JUnit XML, and the commands by which GitHub Actions shows a
finding beside its line.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from tollway_api.meta import Identity
from tollway_api.problems import Severity
from tollway_operator.gather_files import Finding, Gathered
from tollway_operator.manifests import Location

# What XML 1.0 cannot say, not even as a reference.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_GITHUB: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_GITHUB_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def as_json(gathered: Gathered) -> str:
    """The names of these fields are stable."""
    found = gathered.snapshot
    report = {
        "revision": gathered.revision,
        "accepted": {
            "policies": len(found.policies),
            "tenants": len(found.tenants),
            "sharedBudgets": len(found.shared),
            "indexes": len(found.indexes),
        },
        "errors": len(gathered.errors),
        "warnings": len(gathered.findings) - len(gathered.errors),
        "problems": [_problem(finding) for finding in gathered.findings],
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def _problem(finding: Finding) -> dict[str, object]:
    problem, location = finding.problem, finding.location
    return {
        "severity": problem.severity,
        "reason": problem.reason,
        "kind": problem.identity.kind,
        "namespace": problem.identity.namespace,
        "name": problem.identity.name,
        "field": problem.field,
        "file": str(location.file) if location else None,
        "line": (location.line or None) if location else None,
        "message": problem.message,
    }


def as_junit(gathered: Gathered) -> str:
    """A test case for each object, and for each file that cannot be read. One fails by its errors; its warnings are its
    output. What each is: https://github.com/testmoapp/junitxml
    """
    cases = [
        _case(identity, location, [each for each in gathered.findings if each.problem.identity == identity])
        for identity, location in _judged(gathered)
    ]
    failures = sum(case.find("failure") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    ET.SubElement(suites, "testsuite", {"name": "tollway validate", **counts}).extend(cases)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode")


def _judged(gathered: Gathered) -> Iterator[tuple[Identity, Location | None]]:
    yield from gathered.objects.items()
    others = {
        each.problem.identity: each.location
        for each in gathered.findings
        if each.problem.identity not in gathered.objects
    }
    yield from others.items()


def _case(identity: Identity, location: Location | None, findings: Sequence[Finding]) -> ET.Element:
    place = {"file": str(location.file), "line": str(location.line or 1)} if location else {}
    named = {"classname": identity.kind, "name": identity.path, **place}
    case = ET.Element("testcase", {key: _in_xml(value) for key, value in named.items()})
    errors = [each for each in findings if each.problem.severity is Severity.ERROR]
    for tag, those in (
        ("failure", errors),
        ("system-out", [each for each in findings if each not in errors]),
    ):
        if those:
            said = ET.SubElement(case, tag)
            said.text = "\n".join(_in_xml(str(each)) for each in those)
    if errors:
        first = errors[0].problem
        case[0].attrib.update({"type": first.reason, "message": _in_xml(first.message)})
    return case


def _in_xml(text: str) -> str:
    return _NOT_IN_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def as_github(gathered: Gathered) -> str:
    """A workflow command for each finding:
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return "\n".join(map(_command, gathered.findings))


def _command(finding: Finding) -> str:
    problem, location = finding.problem, finding.location
    properties = {"title": f"{problem.identity.kind} {problem.identity.path}"}
    if location:
        properties = {"file": str(location.file), "line": str(location.line or 1), **properties}
    said = ",".join(f"{key}={value.translate(_IN_GITHUB_PROPERTY)}" for key, value in properties.items())
    where = f"{problem.field}: " if problem.field else ""
    message = f"{where}{problem.message} ({problem.reason})".translate(_IN_GITHUB)
    return f"::{'error' if problem.severity is Severity.ERROR else 'warning'} {said}::{message}"
