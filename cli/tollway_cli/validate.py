"""`tollway validate`: the checks of a cluster's operator, without a cluster."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from tollway_api.problems import Severity
from tollway_operator.gather_files import Finding, Gathered

_STYLE: Mapping[Severity, str] = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


def findings_table(findings: Sequence[Finding]) -> Table:
    """One row a problem, with where to mend it."""
    table = Table(show_lines=False, expand=False)
    for column in ("", "Object", "Where", "Field", "What is wrong"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        problem = finding.problem
        table.add_row(
            Text(problem.severity, _STYLE[problem.severity]),
            # As text, because what a user wrote may look like markup.
            Text(f"{problem.identity.kind}\n{problem.identity.path}"),
            Text(str(finding.location or "")),
            Text(problem.field),
            Text(f"{problem.message} ({problem.reason})"),
        )
    return table


def summary(gathered: Gathered) -> str:
    """One line: what is right, and how much is not."""
    found = gathered.snapshot
    warnings = len(gathered.findings) - len(gathered.errors)
    shared = f", {len(found.shared)} shared budgets" if found.shared else ""
    right = (
        f"{len(found.policies)} policies, {len(found.tenants)} tenants{shared}, "
        f"{len(found.indexes)} cache indexes accepted"
    )
    return f"{right}; {len(gathered.errors)} errors, {warnings} warnings; revision {gathered.revision}"
