"""Many objects at once, for `bench.convergence`: written to a real API server over many connections."""

import asyncio
import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx

from tests.apiserver import ApiServer
from tests.installation import PLURALS

Body = Mapping[str, Any]
_CONNECTIONS = 16
_OURS = "/apis/tollway.dev/v1alpha1/namespaces/default"


def policies(count: int, provider: str, priority: int) -> Iterator[Body]:
    for number in range(count):
        models = [{"name": "cheap", "model": "openai/gpt-4o-mini", "endpoint": provider}]
        spec = {"match": {"models": [f"model-{number}"]}, "priority": priority, "models": models}
        yield _object("RoutingPolicy", f"policy-{number}", spec)


def budgets(count: int, amount: str = "100") -> Iterator[Body]:
    """Each with a key of its own, in a Secret of its own, which comes first."""
    for number in range(count):
        name = f"tenant-{number}"
        key = base64.b64encode(f"key-of-{name}".encode()).decode()
        metadata = {"name": name, "namespace": "default"}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"api-key": key}}
        limits = [{"name": "monthly", "amount": amount, "window": {"calendar": "Month"}}]
        yield _object("TenantBudget", name, {"apiKeys": [{"secretRef": {"name": name}}], "limits": limits})


def _object(kind: str, name: str, spec: Body) -> Body:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "tollway.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


async def write(server: ApiServer, objects: Iterable[Body]) -> None:
    """By server-side apply, so that writing again edits."""
    turns = iter(objects)
    async with _client(server) as client:

        async def work() -> None:
            for body in turns:
                reply = await client.patch(
                    f"{_collection(body['kind'])}/{body['metadata']['name']}",
                    params={"fieldManager": "bench", "force": "true"},
                    json=body,
                    headers={"content-type": "application/apply-patch+yaml"},
                )
                assert reply.is_success, reply.text

        await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))


async def unprogrammed(server: ApiServer, kind: str) -> int:
    """How many are not programmed at their newest generation."""
    async with _client(server) as client:
        items = (await client.get(_collection(kind))).json()["items"]
    return sum(not _is_programmed(item) for item in items)


def _is_programmed(item: Body) -> bool:
    generation = item["metadata"]["generation"]
    return any(
        each["type"] == "Programmed" and each["status"] == "True" and each["observedGeneration"] == generation
        for each in item.get("status", {}).get("conditions", [])
    )


def _collection(kind: str) -> str:
    return "/api/v1/namespaces/default/secrets" if kind == "Secret" else f"{_OURS}/{PLURALS[kind]}"


def _client(server: ApiServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url,
        headers={"authorization": f"Bearer {server.token}"},
        verify=str(server.ca),
        limits=httpx.Limits(max_connections=_CONNECTIONS),
        timeout=60,
    )
