"""`make bench-operator`: from an edit to the last pod's acknowledgement, on a real API server, with the real operator
and many pods that acknowledge over HTTP; and what thousands of objects cost. Everything runs on this machine, so the
pods and the API server take their share of its cores.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx

from bench import crowd
from bench.light_pods import addresses
from tests.apiserver import api_server
from tests.installation import NAMESPACE, Installation, Operator
from tests.processes import Process, started, wait_for
from tests.servers import redis_servers
from tests.with_apiserver.conftest import apply_definitions
from tollway_api import parts
from tools.cluster_tools import find

RESULTS = Path(__file__).parent / "results"
PROVIDER = "http://127.0.0.1:9/v1"
Figures = dict[str, float]
Found = TypeVar("Found")
# As in production, and not as in tests, which do not like to wait.
SETTINGS = {"resync_s": "30", "usage_refresh_s": "5", "pod_poll_s": "15", "secret_refresh_s": "30"}
GOALS = {"edit_to_last_ack_p99_s": 2.0, "rss_above_idle_mb": 150.0}
LABELS = {
    "edit_to_last_ack_p50_s": "an edit of one policy to the last of {pods} pods' acknowledgement, p50, s",
    "edit_to_last_ack_p99_s": "… p99, s",
    "policies_written_s": "{policies} policies edited at once: the API server has taken them, s",
    "policies_converged_s": "… every one is Programmed in {pods} pods, s",
    "first_publish_s": "start with {budgets} TenantBudgets to the first publication, s",
    "settled_s": "… to every one's status, s",
    "compile_s": "a full compilation of them, s",
    "snapshot_mb": "their snapshot, MB",
    "snapshot_packed_mb": "… compressed, MB",
    "snapshot_secrets": "… in so many Secrets",
    "one_edit_to_ack_s": "an edit of one among them to the acknowledgement of {few} pods, s",
    "one_edit_to_status_s": "… to its status, s",
    "one_edit_writes": "… writes to the API server, the Lease aside",
    "idle_rss_mb": "kopf alone, RSS, MB",
    "rss_mb": "the operator with them, RSS, MB",
    "rss_above_idle_mb": "… above kopf alone, MB",
    "peak_rss_mb": "… at its highest, MB",
}


class Pods:
    """The process of the light pods, and what it has told."""

    def __init__(self, process: Process, count: int) -> None:
        self._process = process
        self._count = count

    def acknowledged(self, known: str) -> tuple[str, float] | None:
        """A revision other than `known` that every pod has acknowledged last, and when the last one did."""
        last: dict[str, dict[str, object]] = {}
        for line in self._process.output.splitlines():
            if line.endswith("}"):
                told = json.loads(line)
                # The first time of each: pods are asked again now and then.
                if last.get(told["pod"], {}).get("revision") != told["revision"]:
                    last[told["pod"]] = told
        revisions = {str(told["revision"]) for told in last.values()}
        if len(last) < self._count or len(revisions) != 1 or revisions == {known}:
            return None
        return revisions.pop(), max(float(str(told["at"])) for told in last.values())


@contextmanager
def light_pods(installation: Installation, count: int) -> Iterator[Pods]:
    url = f"/api/v1/namespaces/{NAMESPACE}/secrets/tollway-admin-token"
    until(lambda: installation.admin.get(url).is_success or None, "there is an admin token", 300)
    installation.mount(installation.folder)
    kubeconfig = installation.server.kubeconfig("dataplane", installation.token("tollway-dataplane"))
    secret, tokens = f"{NAMESPACE}/tollway-snapshot", str(installation.folder / "token")
    arguments = (str(count), str(installation.admin_port), secret, tokens)
    with ExitStack() as stack:
        log = installation.folder / f"pods-{time.monotonic_ns()}.log"
        env = {"KUBECONFIG": str(kubeconfig)}
        process = stack.enter_context(started(log, "bench.light_pods", *arguments, env=env))
        last = f"http://{addresses(count)[-1]}:{installation.admin_port}/livez"
        wait_for(lambda: httpx.get(last).is_success, "the pods listen", 60)
        for number, address in enumerate(addresses(count)):
            stack.enter_context(installation.pod(f"light-{number}", address))
        pods = Pods(process, count)
        until(lambda: pods.acknowledged(""), "every pod has acknowledged", 300)
        yield pods


def alone(log: Path, module: str, env: Mapping[str, str]) -> AbstractContextManager[Process]:
    return started(log, module, env=env)


@contextmanager
def fresh_installation(title: str) -> Iterator[Installation]:
    """An API server of its own, with Redis and our kinds and roles."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print(f"{title}: starting an API server …", flush=True)
        server = stack.enter_context(api_server(folder / "apiserver", find("apiserver", "helm")))
        cache, ledger = stack.enter_context(redis_servers(folder))
        admin = stack.enter_context(server.client())
        apply_definitions(admin)
        # A process of its own: one that is forked has the memory of what forked it.
        installation = Installation(server, admin, folder, cache, ledger, process=alone)
        installation.prepare()
        yield installation


def measure_edits(pod_count: int, edits: int, policies: int) -> Figures:
    with (
        fresh_installation("edits") as installation,
        installation.operator(**SETTINGS) as operator,
        ExitStack() as stack,
    ):
        server = installation.server
        asyncio.run(crowd.write(server, crowd.policies(1, PROVIDER, 0)))
        pods = stack.enter_context(light_pods(installation, pod_count))
        took: list[float] = []
        revision, _ = until(lambda: pods.acknowledged(""), "the first", 60)
        for number in range(edits):
            began = time.time()
            asyncio.run(crowd.write(server, crowd.policies(1, PROVIDER, number + 1)))
            known = revision
            revision, at = until(lambda known=known: pods.acknowledged(known), "every pod has it", 60)  # type: ignore[misc]  # mypy does not type a lambda with a default
            took.append(at - began)
            if number % 10 == 9:
                print(f"  edit {number + 1}/{edits}: p50 {statistics.median(took):.2f} s", flush=True)
            time.sleep(0.5)
        print(f"  {policies} policies at once …", flush=True)
        asyncio.run(crowd.write(server, crowd.policies(policies, PROVIDER, 1)))
        _until_programmed(installation, "RoutingPolicy")
        began = time.time()
        asyncio.run(crowd.write(server, crowd.policies(policies, PROVIDER, 2)))
        written = time.time() - began
        _until_programmed(installation, "RoutingPolicy")
        converged = time.time() - began
        assert operator.process.process.poll() is None
    return {
        "edit_to_last_ack_p50_s": statistics.median(took),
        "edit_to_last_ack_p99_s": statistics.quantiles(took, n=100, method="inclusive")[98],
        "policies_written_s": written,
        "policies_converged_s": converged,
    }


def measure_scale(budgets: int, few: int) -> Figures:
    with fresh_installation("many objects") as installation, ExitStack() as stack:
        server = installation.server
        idle = _idle_rss_mb(installation)
        print(f"  kopf alone: {idle:.0f} MB; writing {budgets} budgets and their Secrets …", flush=True)
        asyncio.run(crowd.write(server, crowd.budgets(budgets)))
        began = time.time()
        operator = stack.enter_context(installation.operator(**SETTINGS))
        until(installation.head, "the first publication", 300)
        first = time.time() - began
        print(f"  first publication after {first:.1f} s; statuses …", flush=True)
        pods = stack.enter_context(light_pods(installation, few))
        _until_programmed(installation, "TenantBudget", pause_s=10)
        settled = time.time() - began
        head = installation.head()
        assert head is not None
        packed = [_part(installation, name) for name in _secrets_of(head)]
        raw = len(parts.join(head, packed))
        print(f"  settled after {settled:.1f} s; one edit …", flush=True)
        time.sleep(10)
        found = until(lambda: pods.acknowledged(""), "all run the same", 120)
        since, compiled = server.audit_log.stat().st_size, _step(operator, "compile")
        began = time.time()
        asyncio.run(crowd.write(server, crowd.budgets(1, amount="200")))
        _, at = until(lambda: pods.acknowledged(found[0]), "every pod has it", 120)
        until(lambda: _programmed(installation, "tenant-0") or None, "its status", 60)
        said = time.time() - began
        time.sleep(10)
        requests = server.audited(since, "tollway-operator")
        writes = sum(each.writes and each.resource != "leases" for each in requests)
        one = _step(operator, "compile")
        rss, peak = _memory_mb(operator.process.process.pid)
    return {
        "first_publish_s": first,
        "settled_s": settled,
        "compile_s": (one[0] - compiled[0]) / max(1, one[1] - compiled[1]),
        "snapshot_mb": raw / 1e6,
        "snapshot_packed_mb": sum(map(len, packed)) / 1e6,
        "snapshot_secrets": len(packed),
        "one_edit_to_ack_s": at - began,
        "one_edit_to_status_s": said,
        "one_edit_writes": writes,
        "idle_rss_mb": idle,
        "rss_mb": rss,
        "rss_above_idle_mb": rss - idle,
        "peak_rss_mb": peak,
    }


def _secrets_of(head: parts.Head) -> list[str]:
    return ["tollway-snapshot", *(f"tollway-snapshot-{name}" for name in head.overflow)]


def _part(installation: Installation, secret: str) -> bytes:
    reply = installation.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret}")
    return base64.b64decode(reply.json()["data"][parts.FIRST_PART])


def _idle_rss_mb(installation: Installation) -> float:
    kubeconfig = installation.server.kubeconfig("idle")
    with started(
        installation.folder / "idle.log", "bench.idle_kopf", env={"KUBECONFIG": str(kubeconfig)}
    ) as idle:
        time.sleep(8)
        assert idle.process.poll() is None, idle.output
        return _memory_mb(idle.process.pid)[0]


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident now, and at its highest."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = {
        name: int(kb) / 1024 for name, kb in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE)
    }
    return found["VmRSS"], found["VmHWM"]


def _step(operator: Operator, name: str) -> tuple[float, float]:
    """Seconds and times of a step so far."""
    text = operator.metrics()
    pattern = rf'^tollway_operator_step_seconds_{{}}{{{{step="{name}"}}}} (\S+)$'
    total, count = (re.search(pattern.format(what), text, re.MULTILINE) for what in ("sum", "count"))
    assert total is not None
    assert count is not None
    return float(total[1]), float(count[1])


def _programmed(installation: Installation, name: str) -> bool:
    return installation.condition("TenantBudget", name, "Programmed").get("status") == "True"


def _until_programmed(installation: Installation, kind: str, pause_s: float = 0.5) -> None:
    def left() -> bool | None:
        count = asyncio.run(crowd.unprogrammed(installation.server, kind))
        return None if count else True

    # Not often: a list of ten thousand costs the API server seconds, and shares its cores.
    until(left, f"every {kind} is programmed", 900, pause_s=pause_s)


def until(look: Callable[[], Found | None], what: str, seconds: float, pause_s: float = 0.05) -> Found:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause_s)
    return found


def report_of(sizes: dict[str, int], figures: Figures) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": [round(each, 1) for each in os.getloadavg()],
        "command": "python -m bench.convergence " + " ".join(sys.argv[1:]),
        "when": time.strftime("%Y-%m-%d"),
        "sizes": sizes,
        "figures": {name: round(value, 3) for name, value in figures.items()},
    }


def as_markdown(report: dict[str, object], sizes: dict[str, int], figures: Figures) -> str:
    lines = [
        "# From an edit to every pod, and what many objects cost",
        "",
        f"Commit {report['commit']}, {report['machine']}, load {report['load']} at the end, {report['when']};",
        f"`{report['command']}`. API server, operator and pods share the machine.",
        "",
        "| | | goal |",
        "|---|---:|---:|",
    ]
    for name, label in LABELS.items():
        if name in figures:
            goal = f"< {GOALS[name]:g}" if name in GOALS else ""
            lines.append(f"| {label.format(**sizes)} | {figures[name]:,.4g} | {goal} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=100, help="that acknowledge edits")
    parser.add_argument("--edits", type=int, default=60)
    parser.add_argument("--policies", type=int, default=1_000, help="that are edited at once")
    parser.add_argument("--budgets", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=2, help="pods beside so many budgets")
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    arguments = parser.parse_args()
    sizes = {name: getattr(arguments, name) for name in ("pods", "edits", "policies", "budgets", "few")}
    figures = {
        **measure_edits(arguments.pods, arguments.edits, arguments.policies),
        **measure_scale(arguments.budgets, arguments.few),
    }
    report = report_of(sizes, figures)
    text = as_markdown(report, sizes, figures)
    print(f"\n{text}")
    if arguments.save:
        (RESULTS / "convergence.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "convergence.md").write_text(text, encoding="utf-8")
    missed = [name for name, goal in GOALS.items() if figures[name] >= goal]
    for name in missed:
        print(f"misses its goal of {GOALS[name]:g}: {name} is {figures[name]:.2f}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
