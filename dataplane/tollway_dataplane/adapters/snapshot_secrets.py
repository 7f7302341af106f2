"""The snapshot from the Kubernetes API: what a pod reads when it is told of a new one. The data plane's one door to
Kubernetes; no request ever waits for it.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.resources.core_v1 import Secret

from tollway_api import parts
from tollway_api.parts import Head
from tollway_api.snapshot import SnapshotError
from tollway_dataplane.errors import SnapshotFault

_DEADLINE_S: Final = 5.0


class SnapshotSecrets:
    """Make one with `open_snapshot_secrets`."""

    def __init__(self, client: AsyncClient, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._first = b""

    async def head(self) -> Head | None:
        data = await self._data(self._name)
        if data is None or parts.HEAD not in data:
            return None
        try:
            head = parts.decode_head(_bytes(data, parts.HEAD))
        except (SnapshotError, ValueError) as exc:
            raise SnapshotFault(f"Secret {self._name}: {exc}") from exc
        self._first = _bytes(data, parts.FIRST_PART)
        return head

    async def encoded(self, head: Head) -> bytes:
        """Of the head that was read last."""
        others = [await self._data(f"{self._name}-{name}") for name in head.overflow]
        try:
            return parts.join(head, [self._first, *(_bytes(data or {}, parts.FIRST_PART) for data in others)])
        except SnapshotError as exc:
            raise SnapshotFault(f"Secret {self._name}: {exc}") from exc

    async def _data(self, name: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                secret = await self._client.get(Secret, name, namespace=self._namespace)
        except ApiError as exc:
            if exc.response.status_code == 404:
                return None
            raise SnapshotFault(f"Secret {name}: the API server said {exc.response.status_code}") from exc
        except (httpx2.HTTPError, OSError, TimeoutError, ValueError) as exc:
            raise SnapshotFault(f"Secret {name}: {type(exc).__name__}") from exc
        return secret.data or {}


@asynccontextmanager
async def open_snapshot_secrets(reference: str) -> AsyncIterator[SnapshotSecrets]:
    """`reference` is `namespace/name`. Raises SnapshotFault where there is no cluster to be found."""
    namespace, _, name = reference.partition("/")
    try:
        # The API server is never behind the proxy that leads to the world.
        config = KubeConfig.from_env().get()
        client = AsyncClient(config, trust_env=False, timeout=httpx2.Timeout(_DEADLINE_S))
    except ConfigError as exc:
        raise SnapshotFault(f"TOLLWAY_SNAPSHOT_SECRET is set, but there is no cluster: {exc}") from exc
    try:
        yield SnapshotSecrets(client, namespace, name)
    finally:
        await client.close()


def _bytes(data: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(data.get(key, ""))
