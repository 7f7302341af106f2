"""The real servers that tests run against: Redis in both roles, and two simulated providers. Started once per run, on
free loopback ports, and stopped by whoever started them.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from starlette.types import ASGIApp

from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_cli.simulator.app import SimulatorSettings, create_simulator
from tollway_dataplane.server import listen
from tollway_dataplane.settings import Address


@contextlib.contextmanager
def redis_servers(folder: Path) -> Iterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    """The cache and the ledger."""
    with (
        EmbeddedRedis(RedisRole.CACHE, folder / "cache") as cache,
        EmbeddedRedis(RedisRole.LEDGER, folder / "ledger") as ledger,
    ):
        yield cache, ledger


@contextlib.contextmanager
def served(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """An application in a thread with an event loop of its own; yields its base URL."""
    socket = listen(Address(host, port))
    config = uvicorn.Config(
        app, lifespan="auto", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    def run() -> None:
        asyncio.run(server.serve(sockets=[socket]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://{host}:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()


@dataclass(frozen=True)
class Provider:
    """A simulated provider, with what tests want of it."""

    name: str
    url: str
    http: httpx.Client = field(default_factory=httpx.Client, repr=False)

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1"

    def fail(self, *kinds: str, times: int | None = None, share: float = 1.0, **more: object) -> None:
        faults = [{"kind": kind, "times": times, "probability": share} for kind in kinds]
        self.http.put(f"{self.url}/control/faults", json={"faults": faults, **more}).raise_for_status()

    def seen(self) -> dict[str, object]:
        report: dict[str, object] = self.http.get(f"{self.url}/control/requests").json()
        return report

    @property
    def total(self) -> int:
        total = self.seen()["total"]
        assert isinstance(total, int)
        return total

    def last_body(self) -> dict[str, object]:
        last = self.seen()["last"]
        assert isinstance(last, list)
        body: dict[str, object] = last[-1]["body"]
        return body

    def last_headers(self) -> dict[str, str]:
        last = self.seen()["last"]
        assert isinstance(last, list)
        headers: dict[str, str] = last[-1]["headers"]
        return headers

    def reset(self) -> None:
        self.http.delete(f"{self.url}/control/faults").raise_for_status()
        self.http.delete(f"{self.url}/control/requests").raise_for_status()


@contextlib.contextmanager
def provider(name: str, **settings: object) -> Iterator[Provider]:
    simulator = create_simulator(SimulatorSettings(name=name, **settings))  # type: ignore[arg-type]  # a test may give anything
    # It would read every authority of the world, for which it takes 40 ms.
    with served(simulator) as url, httpx.Client(verify=False) as http:  # noqa: S501 - nothing here is encrypted
        yield Provider(name, url, http)
