"""Files to a snapshot, with each finding's place in them: what `tollway serve` runs and `tollway validate` shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tollway_api import snapshot, wire
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import Inventory, SecretKey, parse_inventory
from tollway_api.meta import Identity, TenantName
from tollway_api.problems import Problem, ProblemReason, Severity
from tollway_api.reach import OWN, Reach
from tollway_api.snapshot import Snapshot
from tollway_operator.manifests import Location, Manifests, read_manifests
from tollway_operator.references import secrets_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and where to mend it."""

    problem: Problem
    location: Location | None

    def __str__(self) -> str:
        return f"{self.location}: {self.problem}" if self.location else str(self.problem)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the files compile to. `broken` when some file could not be read at all: then what others say is not the
    whole state, and must not replace what runs.
    """

    snapshot: Snapshot
    encoded: bytes = field(repr=False)
    findings: tuple[Finding, ...]
    broken: bool
    # Those of our kinds, and where each stands.
    objects: Mapping[Identity, Location] = field(default_factory=dict)
    # For each tenant whose key is a reference to the environment: that reference, as a shell would read it.
    key_references: Mapping[TenantName, str] = field(default_factory=dict)
    # For each tenant whose key stands in a file: the key.
    literal_keys: Mapping[TenantName, str] = field(default_factory=dict, repr=False)

    @property
    def revision(self) -> str:
        return snapshot.revision(self.encoded)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.problem.severity is Severity.ERROR]


def gather(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    installation_namespace: str,
    default_namespace: str = "default",
    *,
    secrets_elsewhere: bool = False,
    reach: Reach = OWN,
) -> Gathered:
    """Reads and compiles; changes nothing. `secrets_elsewhere`: a Secret that is in no file is taken to be there.
    `reach`: where endpoints may be.
    """
    manifests = read_manifests(paths, environ, default_namespace)
    inventory, parse_problems = parse_inventory(manifests.objects, default_namespace)
    if secrets_elsewhere:
        inventory = replace(inventory, secrets={**_elsewhere(inventory), **inventory.secrets})
    compilation = compile_snapshot(
        inventory, bundled(), installation_namespace, is_of_files=True, reach=reach
    )
    unreadable = [problem for _, problem in manifests.unreadable]
    problems = [*unreadable, *manifests.problems, *parse_problems]
    if not unreadable:
        # Otherwise much of what is missing only stands where it could not be read.
        problems += map(_of_files, compilation.problems)
    return Gathered(
        snapshot=compilation.snapshot,
        encoded=snapshot.encode(compilation.snapshot),
        findings=tuple(Finding(problem, manifests.locate(problem)) for problem in problems),
        broken=bool(unreadable),
        objects=manifests.ours,
        key_references=dict(_key_references(inventory, manifests)),
        literal_keys=dict(_literal_keys(inventory, manifests)),
    )


class _Elsewhere(Mapping[str, str]):
    """A Secret that is not to be seen: whatever is asked for is there, and like nothing else."""

    def __init__(self, secret: SecretKey) -> None:
        self._secret = secret

    def __getitem__(self, key: str) -> str:
        return "/".join((*self._secret, key))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _elsewhere(inventory: Inventory) -> dict[SecretKey, _Elsewhere]:
    resources = (*inventory.indexes, *inventory.budgets, *inventory.policies)
    return {named: _Elsewhere(named) for resource in resources for named in secrets_of(resource)}


def _of_files(problem: Problem) -> Problem:
    """In a cluster what is named may come later; files are all there is, so there it is misspelled."""
    is_misspelled = problem.reason is ProblemReason.UNKNOWN_REFERENCE
    return replace(problem, severity=Severity.ERROR) if is_misspelled else problem


def _key_references(inventory: Inventory, manifests: Manifests) -> Iterator[tuple[TenantName, str]]:
    for budget in inventory.budgets:
        for api_key in budget.spec.api_keys:
            secret = (budget.identity.namespace, api_key.secret_ref.name, api_key.secret_ref.key)
            if (reference := manifests.references.get(secret)) is not None:
                yield TenantName(budget.spec.tenant or budget.identity.name), reference


def _literal_keys(inventory: Inventory, manifests: Manifests) -> Iterator[tuple[TenantName, str]]:
    for budget in inventory.budgets:
        for api_key in budget.spec.api_keys:
            namespace, ref = budget.identity.namespace, api_key.secret_ref
            key = inventory.secrets.get((namespace, ref.name), {}).get(ref.key, "").strip()
            is_digest = key.startswith(wire.DIGEST_PREFIX)
            if key and not is_digest and (namespace, ref.name, ref.key) not in manifests.references:
                yield TenantName(budget.spec.tenant or budget.identity.name), key
