"""The shape of the house: sizes, doors, containers, locks, and a README that can be believed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTAINERS = ("api", "operator", "dataplane", "cli")
SOURCES = sorted(
    path
    for folder in (*CONTAINERS, "tests", "examples", "bench", "tools")
    for path in (ROOT / folder).rglob("*.py")
)
# Each third party has one door, or one for each plane.
DOORS = {
    "litellm": {"adapters/litellm_upstream.py"},
    "onnxruntime": {"adapters/local_embedder.py"},
    "tokenizers": {"adapters/local_embedder.py", "adapters/wordllama_embedder.py"},
    "tiktoken": {"adapters/tiktoken_tokenizers.py"},
    "aiohttp": {
        "tollway_http/confined.py", "adapters/http_exchange.py", "adapters/openai_upstream.py",
        "adapters/worker_ports.py",
        "tollway_operator/notify.py", "tollway_operator/probes.py", "tollway_operator/app.py",
        "tollway_operator/admin_port.py", "tollway_operator/alerts.py",
    },
    "kopf": {"tollway_operator/handlers.py"},
    "lightkube": {"tollway_operator/kube.py", "adapters/snapshot_secrets.py"},
    "opentelemetry": {"adapters/otel_tracer.py"},
    "cachetools": {"adapters/near_cache.py"},
    "prometheus_client": {
        "tollway_dataplane/app.py", "edge/admin.py", "edge/probes.py", "tollway_operator/probes.py",
        "metrics.py", "health_metrics.py", "route_metrics.py", "tenant_metrics.py", "upstream_metrics.py",
        "vector_metrics.py", "worker_metrics.py",
    },
    "redis": {
        "tollway_redis/connecting.py", "tollway_redis/cluster.py", "tollway_redis/direct.py",
        "adapters/redis_client.py", "adapters/redis_cache.py", "adapters/redis_ledger.py",
        "adapters/redis_memory.py", "adapters/redis_batch.py", "adapters/redis_faults.py",
        "adapters/redis_forgetter.py", "adapters/redis_claims.py", "adapters/redis_labels.py",
        "adapters/redis_health.py", "adapters/redis_fleet.py",
        "adapters/redis_reembedding.py", "adapters/redis_history.py",
        "tollway_operator/redis_store.py", "tollway_cli/embedded_redis.py",
    },
}  # fmt: skip


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(path: Path) -> set[str]:
    """First parts of the names a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_over_600_lines_and_no_function_over_80(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno + 1 <= 80, function.name


def test_containers_are_no_packages() -> None:
    assert [name for name in CONTAINERS if (ROOT / name / "__init__.py").exists()] == []


@pytest.mark.parametrize("library", DOORS)
def test_each_third_party_has_its_doors(library: str) -> None:
    ours = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in CONTAINERS]
    users = {str(path.relative_to(ROOT)) for path in ours if library in imported(path)}
    if library == "litellm":  # loaded by name, late
        users = {
            str(path.relative_to(ROOT)) for path in ours if 'import_module("litellm")' in path.read_text()
        }
    used = {door for door in DOORS[library] if any(user.endswith(f"/{door}") for user in users)}
    assert DOORS[library] - used == set()
    strangers = [user for user in users if not any(user.endswith(f"/{door}") for door in used)]
    assert strangers == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name != "__init__.py"
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_every_module_can_be_found_in_the_architecture_and_every_file_named_there_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(\w+\.(?:py|lua))`", page))
    files = {path.name for folder in (*CONTAINERS, "tests", "tools") for path in (ROOT / folder).rglob("*.*")}
    modules = {
        path.name
        for folder in CONTAINERS
        for each in ("*.py", "*.lua")
        for path in (ROOT / folder).rglob(each)
    }
    assert {each for each in modules - named if not each.startswith("__")} == set()
    assert named - files == set()


def test_nothing_is_global() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_every_ignored_rule_has_a_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])$", line)
    ]
    assert bare == []


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").glob("*.txt")), ids=lambda path: path.name)
def test_locks_are_hashed_and_name_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.findall(r"^[a-z0-9][^\s]*==[^\s]+", text, flags=re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_readmes_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^make ([a-z0-9-]+)", readme, flags=re.MULTILINE))
    assert verbs >= {"demo", "test"}
    assert {verb for verb in verbs if not re.search(rf"^{verb}:", makefile, flags=re.MULTILINE)} == set()
    commands = set(re.findall(r"^(?:\.venv/bin/)?tollway ([a-z]+)", readme, flags=re.MULTILINE))
    main = (ROOT / "cli/tollway_cli/__main__.py").read_text(encoding="utf-8")
    assert {name for name in commands if f"\ndef {name}(" not in main} == set()
