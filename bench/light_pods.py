"""Many data-plane pods in one process and one event loop, each with the admin port alone on a loopback address of its
own: they read the snapshot from the API server, check it, swap it, and acknowledge over HTTP, and serve no requests.
Run as a process by `bench.convergence`; prints a line of JSON for every acknowledgement.
"""

import argparse
import asyncio
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

import lightkube
import prometheus_client
from lightkube.config.kubeconfig import KubeConfig
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollway_api import messages
from tollway_api.snapshot import Snapshot
from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.adapters.snapshot_secrets import SnapshotSecrets
from tollway_dataplane.cache.forgetting import Forgetting
from tollway_dataplane.edge.admin import Admin, create_admin_app
from tollway_dataplane.following import Following
from tollway_dataplane.live import Live
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.server import Site, listen, serve, stop_on_signals
from tollway_dataplane.settings import Address, read_tokens


def addresses(count: int) -> list[str]:
    return [f"127.0.{2 + number // 250}.{1 + number % 250}" for number in range(count)]


class Telling:
    """Tells when an acknowledgement has left the pod."""

    def __init__(self, app: ASGIApp, live: Live, address: str) -> None:
        self._app = app
        self._live = live
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app(scope, receive, sending)
        if scope.get("path") == messages.PATH and status == 200:
            told = {"pod": self._address, "revision": self._live.revision, "at": time.time()}
            print(json.dumps(told), flush=True)


def _pod(address: str, port: int, client: lightkube.AsyncClient, secret: str, tokens: Path) -> Site:
    async def prepare(_: Snapshot) -> None:
        return None

    def current() -> Sequence[str]:
        return read_tokens(tokens)

    live = Live(prepare, lambda _: None, lambda: None)
    namespace, _, name = secret.partition("/")
    log = JsonLog(io.BytesIO())
    following = Following(live, [SnapshotSecrets(client, namespace, name)], log)
    forgetting = Forgetting(LocalNearCache(0), RedisForgetter(connect("redis://127.0.0.1:9", 0.1), 0.1), log)
    registry = prometheus_client.CollectorRegistry()
    admin = Admin(live, following, forgetting, registry, dict, lambda: False, current)
    return Site(Telling(create_admin_app(admin), live, address), listen(Address(address, port)))


async def run(count: int, port: int, secret: str, tokens: Path) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    # As every pod would have it, but for the connections, of which one pool serves all.
    client = lightkube.AsyncClient(config=KubeConfig.from_env(), trust_env=False)
    try:
        sites = [_pod(address, port, client, secret, tokens) for address in addresses(count)]
        await serve(sites, stop, 1.0, asyncio.Event())
    finally:
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("port", type=int)
    parser.add_argument("secret", help="namespace/name of the snapshot's")
    parser.add_argument("tokens", type=Path, help="a folder of admin tokens")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.count, arguments.port, arguments.secret, arguments.tokens))


if __name__ == "__main__":
    main()
