"""A real Prometheus on a free loopback port, of our own building. Its rules are ours with minutes shortened, so that an
alert takes seconds.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests import loopback
from tests.processes import free_port, wait_for
from tools.cluster_tools import BuildError, find

RULES = Path(__file__).parents[1] / "deploy" / "helm" / "tollway" / "files" / "rules.yaml"
NAMESPACE = "tollway-system"
_EVERY = "250ms"
_MINUTES = re.compile(r"\b(\d+)m\b")
_START_S = 30.0
_PATIENCE_S = 45.0  # a machine that is busy with other tests


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant vector."""
        return list(self._get(f"/api/v1/query?{urlencode({'query': expression})}")["result"])

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """The labels of those of the last minute."""
        end = time.time()
        asked = urlencode({"query": expression, "start": end - 60, "end": end})
        reply = loopback.get(f"{self.url}/api/v1/query_exemplars?{asked}")
        assert reply.is_success, reply.text
        return [each["labels"] for series in reply.json()["data"] for each in series["exemplars"]]

    def firing(self, name: str) -> list[dict[str, Any]]:
        """The alerts of a name that go off at present, with their labels and annotations."""
        found = self._get("/api/v1/alerts")["alerts"]
        return [each for each in found if (each["labels"]["alertname"], each["state"]) == (name, "firing")]

    async def fires(self, name: str) -> dict[str, Any]:
        """Waits until an alert goes off."""
        found: list[dict[str, Any]] = []

        def is_firing() -> bool:
            found[:] = self.firing(name)
            return bool(found)

        await eventually(is_firing, f"{name} fires")
        (alert,) = found  # as it was then: it may be over a moment later
        # What cannot be filled in is said so in the text.
        assert "error expanding" not in str(alert["annotations"])
        assert "no value" not in str(alert["annotations"])
        return dict(alert)

    async def resolves(self, name: str) -> None:
        """Waits until it is over, which it also seems to be where nothing could be scraped."""

        def is_over() -> bool:
            return not self.firing(name) and not self.query("up == 0")

        await eventually(is_over, f"{name} is over")

    def _get(self, path: str) -> dict[str, Any]:
        reply = loopback.get(f"{self.url}{path}")
        assert reply.is_success, reply.text
        found: dict[str, Any] = reply.json()["data"]
        return found


async def eventually(met: Callable[[], bool], what: str) -> None:
    """It is asked in a thread, since what is scraped lives in this one."""
    deadline = time.monotonic() + _PATIENCE_S
    while not await asyncio.to_thread(met):
        assert time.monotonic() < deadline, f"not within {_PATIENCE_S} seconds: {what}"
        await asyncio.sleep(0.1)


def binaries() -> dict[str, Path]:
    """Prometheus and promtool. Skips the test, loudly, where they cannot be built; in CI that is a failure."""
    try:
        return find("prometheus")
    except BuildError as error:
        if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
            raise
        pytest.skip(f"NO PROMETHEUS, so nothing here was tested: {error}")


def groups() -> dict[str, Any]:
    """Our rules as Prometheus reads them."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return rules


def _hurried(minute_ms: int) -> dict[str, Any]:
    """The same, where a minute is shorter."""
    found = groups()
    for rule in (rule for group in found["groups"] for rule in group["rules"]):
        for name in {"expr", "for"} & rule.keys():
            rule[name] = _MINUTES.sub(lambda minutes: f"{int(minutes[1]) * minute_ms}ms", rule[name])
    return found


@contextlib.contextmanager
def prometheus(folder: Path, admin_urls: Sequence[str], minute_ms: int = 400) -> Iterator[Prometheus]:
    """One that scrapes these admin ports, each as a pod, and evaluates our rules four times a second."""
    folder.mkdir(parents=True, exist_ok=True)
    pods = [
        {
            "targets": [url.removeprefix("http://")],
            "labels": {"namespace": NAMESPACE, "pod": f"pod-{place}"},
        }
        for place, url in enumerate(admin_urls)
    ]
    config = {
        "global": {"scrape_interval": _EVERY, "scrape_timeout": _EVERY, "evaluation_interval": _EVERY},
        "rule_files": ["groups.yaml"],
        "scrape_configs": [{"job_name": "tollway", "static_configs": pods}],
    }
    (folder / "groups.yaml").write_text(yaml.safe_dump(_hurried(minute_ms)), encoding="utf-8")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    made = Prometheus(f"http://127.0.0.1:{free_port()}")
    command = [
        str(binaries()["prometheus"]),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={made.url.removeprefix('http://')}",
        "--log.level=warn",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "prometheus.log").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - what we built
        try:
            wait_for(lambda: loopback.get(f"{made.url}/-/ready").is_success, "Prometheus is ready", _START_S)
            yield made
        finally:
            process.kill()
            process.wait()
