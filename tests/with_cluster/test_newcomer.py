"""What a newcomer does, command by command as it is written: README's "On Kubernetes", and of docs/install.md what
comes later. It begins on a cluster that has nothing of ours, and leaves nothing there.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubectl import KUBECTL
from tests.with_cluster.tollway import CALLERS, TEAM, Tollway, clear
from tools.cluster_tools import find
from tools.node.images import ROOT, VALUES

SECTIONS = (("README.md", "On Kubernetes"), ("docs/install.md", "Upgrade"), ("docs/install.md", "Uninstall"))
# What is run in place of what is written, because the node has neither Docker, nor a registry, nor the internet.
INSTEAD = {
    r"^docker .*$": "true",
    r"registry\.example\.com": "localhost",
    r"values-trial\.yaml": rf"\g<0> -f {VALUES} --set allowEndpoints={{provider.{CALLERS}}}",
    r"model: openai/": rf"endpoint: http://provider.{CALLERS}:9101/v1, \g<0>",
    # Who reads and types is slower than the operator, which asks the ledger every few seconds.
    r"^kubectl get tollway -n team-a$": (
        "until kubectl get -n team-a tenantbudget/acme -o jsonpath='{.status.limits[*].resetsAt}' | grep -q .; "
        "do sleep 1; done\n"
        r"\g<0>"
    ),
}
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEXT = "==> next"


def blocks() -> Iterator[tuple[str, str]]:
    """What a newcomer types at a time, and what is said to be printed then."""
    for page, title in SECTIONS:
        (section,) = re.findall(
            rf"^## {title}\n(.*?)(?=^## |\Z)", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        found = [(each[1], each[2], each.end()) for each in _FENCED.finditer(section)]
        for (language, text, _), (after, said, _) in zip(found, [*found[1:], ("", "", 0)], strict=True):
            if language == "sh":
                yield text, said if after in {"text", "json"} else ""


def as_pattern(said: str) -> str:
    """Numbers and the width of columns may be others, and … is anything."""
    pattern = re.sub(r"\d+(\\\.\d+)?", r"\\d+(\\.\\d+)?", re.escape(said.strip()))
    return re.sub(r"(\\\s)+", r"\\s+", pattern).replace("…", ".*")


@pytest.fixture
def newcomer(provided: Tollway) -> Iterator[Tollway]:
    """Whatever fails, the cluster is as before."""
    try:
        yield provided
    finally:
        provided.kubectl("delete", "namespace", TEAM, "--ignore-not-found", "--timeout=100s", check=False)
        clear(provided)


def test_what_the_documents_tell_a_newcomer_to_do_works(newcomer: Tollway, tmp_path: Path) -> None:
    written = list(blocks())
    commands = ["set -e", "trap 'kill $(jobs -p)' EXIT", *(f"{typed}echo '{_NEXT}'" for typed, _ in written)]
    script = "\n".join(commands)
    for pattern, replacement in INSTEAD.items():
        script, count = re.subn(pattern, replacement, script, flags=re.MULTILINE)
        assert count, f"nothing is {pattern} any more"
    tools = [KUBECTL.parent, find("helm")["helm"].parent]
    environ = {
        "PATH": os.pathsep.join([*map(str, tools), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "KUBECONFIG": str(newcomer.kubeconfig),
        "OPENAI_API_KEY": "simulated",
    }
    output = tmp_path / "terminal"
    with output.open("w", encoding="utf-8") as terminal:
        done = subprocess.run(  # noqa: S603 - what we tell everybody to run
            ["/bin/bash", "-c", script], cwd=ROOT, env=environ, stdin=subprocess.DEVNULL,
            stdout=terminal, stderr=terminal, timeout=300, check=False,
        )  # fmt: skip
    printed = output.read_text(encoding="utf-8").split(f"{_NEXT}\n")
    assert done.returncode == 0, printed[-1]
    for (typed, said), shown in zip(written, printed, strict=False):
        assert re.search(as_pattern(said), shown), f"{typed}\nprinted\n{shown}"
    left = newcomer.kubectl("get", "crd,clusterroles,clusterrolebindings,namespaces", "-o", "name").split()
    assert [each for each in left if "tollway" in each] == [f"namespace/{CALLERS}"]
