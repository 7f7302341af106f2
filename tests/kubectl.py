"""kubectl as a person uses it, against the cluster of a kubeconfig."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conditions import until_reason

KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class Kubectl:
    kubeconfig: Path

    def __call__(self, *arguments: str, given: str = "", check: bool = True, seconds: float = 120) -> str:
        """What it prints. `given` is its standard input."""
        done = subprocess.run(  # noqa: S603 - our own tool
            [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=given, capture_output=True, text=True, timeout=seconds, check=False,
            # It remembers there what kinds there are, and ends before there is anything to collect.
            env={"HOME": str(self.kubeconfig.parent), "PATH": os.environ["PATH"], "GOGC": "off", "GOMAXPROCS": "1"},
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def open(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """One that goes on meanwhile; its standard input is held open, and what it prints is one stream."""
        with subprocess.Popen(  # noqa: S603 - our own tool
            [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def apply(self, *objects: Mapping[str, Any], namespace: str = "default") -> None:
        self("apply", "--namespace", namespace, "-f", "-", given=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Empty when there is none."""
        text = self("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else {}

    def list(self, kind: str, namespace: str, selector: str = "") -> "list[dict[str, Any]]":
        text = self("get", kind, "-n", namespace, "-l", selector, "-o", "json")
        return list(json.loads(text)["items"])

    def until(
        self, kind: str, name: str, type_: str, reason: str, namespace: str = "default", seconds: float = 60
    ) -> dict[str, Any]:
        return until_reason(lambda: self.get(kind, name, namespace), type_, reason, seconds)
