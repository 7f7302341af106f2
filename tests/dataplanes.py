"""A whole data plane for a test: manifests compiled and provisioned as in production, served on loopback ports in the
test's own event loop.
"""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tollway_api.catalog import bundled
from tollway_api.compiler import Compilation, compile_snapshot
from tollway_api.inventory import RawObject, parse_inventory
from tollway_api.reach import OWN, OWN_NETWORKS
from tollway_api.snapshot import Snapshot, encode
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.app import DataPlane, open_dataplane
from tollway_dataplane.fallback.health import Health
from tollway_dataplane.logs import json_log
from tollway_dataplane.ports import Heard
from tollway_dataplane.server import Site, admin_tls, listen, serve
from tollway_dataplane.settings import Address, Settings
from tollway_operator.provision import provision

if TYPE_CHECKING:
    import openai

ACME_KEY = "acme-test-key"
BETA_KEY = "beta-test-key"


def compilation(manifests: str | list[RawObject]) -> Compilation:
    """Of manifests that have no error."""
    objects = (
        [each for each in yaml.safe_load_all(manifests) if each] if isinstance(manifests, str) else manifests
    )
    inventory, problems = parse_inventory(objects)
    made = compile_snapshot(inventory, bundled(), "default", reach=OWN)
    assert not problems, problems
    assert not made.problems, made.problems
    return made


def compiled(manifests: str | list[RawObject]) -> Snapshot:
    return compilation(manifests).snapshot


def manifest(kind: str, name: str, spec: Mapping[str, object]) -> RawObject:
    return {"apiVersion": "tollway.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def secret(name: str, key: str) -> RawObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"api-key": key}}


@dataclass(frozen=True)
class Setup:
    """Two tenants, one policy over two models, one index; each test changes what it is about."""

    cheap: str
    rich: str
    policy: Mapping[str, object] = field(default_factory=dict)
    acme: Mapping[str, object] = field(default_factory=dict)
    beta: Mapping[str, object] = field(default_factory=dict)
    index: Mapping[str, object] = field(default_factory=dict)
    cheap_model: Mapping[str, object] = field(default_factory=dict)
    rich_model: Mapping[str, object] = field(default_factory=dict)
    others: tuple[RawObject, ...] = ()

    def models(self) -> list[Mapping[str, object]]:
        cheap = {"name": "cheap", "model": "openai/gpt-4o-mini", "endpoint": self.cheap, **self.cheap_model}
        rich = {"name": "rich", "model": "openai/gpt-4o", "endpoint": self.rich, **self.rich_model}
        return [cheap, rich]

    def objects(self) -> list[RawObject]:
        policy = {"cache": {"indexRef": {"name": "answers"}}, "models": self.models(), **self.policy}
        return [
            manifest("SemanticCacheIndex", "answers", self.index),
            manifest("RoutingPolicy", "chat", policy),
            manifest("TenantBudget", "acme", {"apiKeys": [{"secretRef": {"name": "acme"}}], **self.acme}),
            manifest("TenantBudget", "beta", {"apiKeys": [{"secretRef": {"name": "beta"}}], **self.beta}),
            secret("acme", ACME_KEY),
            secret("beta", BETA_KEY),
            *self.others,
        ]

    def yaml(self) -> str:
        return str(yaml.safe_dump_all(self.objects()))

    def but(self, **changes: object) -> "Setup":
        return replace(self, **changes)  # type: ignore[arg-type]  # a test may give anything


class WithoutCache(Setup):
    """Nothing is remembered, so that nothing is compared by meaning."""

    def objects(self) -> list[RawObject]:
        policy = manifest("RoutingPolicy", "chat", {"models": self.models(), **self.policy})
        others = {"SemanticCacheIndex", "RoutingPolicy"}
        return [policy, *(each for each in super().objects() if each["kind"] not in others)]


@dataclass(frozen=True)
class Running:
    """A served data plane and its callers."""

    dataplane: DataPlane
    snapshot: Snapshot
    url: str
    admin_url: str
    http: aiohttp.ClientSession
    log: io.BytesIO
    stop: asyncio.Event
    acme: "openai.AsyncOpenAI"
    beta: "openai.AsyncOpenAI"

    async def ask(
        self, prompt: str, key: str = ACME_KEY, more: Mapping[str, object] | None = None, **fields: object
    ) -> "Reply":
        """One chat completion, raw."""
        messages = [{"role": "user", "content": prompt}]
        body = {"model": "auto", "messages": messages, **(more or {}), **fields}
        return await self.post("/v1/chat/completions", json.dumps(body).encode(), key)

    async def post(
        self, path: str, body: bytes, key: str | None = ACME_KEY, headers: Mapping[str, str] | None = None
    ) -> "Reply":
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        async with self.http.post(f"{self.url}{path}", data=io.BytesIO(body), headers=sent) as response:
            received = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, received, await response.read())

    async def swap(self, setup: Setup) -> str:
        return await self.dataplane.live.offer(encode(compiled(setup.objects())))

    async def metrics(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Samples by name and sorted labels."""
        async with self.http.get(f"{self.admin_url}/metrics") as response:
            text = await response.text()
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    async def lookups(self, reason: str) -> float:
        counted = (await self.metrics()).get("ai_cache_lookups_total", {})
        return sum(value for labels, value in counted.items() if ("reason", reason) in labels)

    async def stored(self, count: int = 1) -> None:
        """Waits until so many answers have reached Redis, or were given up."""
        for _ in range(1_000):
            stores = (await self.metrics()).get("tollway_cache_stores_total", {})
            if sum(stores.values()) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"fewer than {count} answers were stored")

    def log_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def requests(self) -> list[dict[str, object]]:
        """Their lines alone: on a busy machine there may be others, of Redis that was slow."""
        return [line for line in self.log_lines() if line["event"] == "request"]


async def until(met: Callable[[], bool]) -> None:
    """Waits until a condition of some server is met; it is asked in a thread, because it may do I/O."""
    for _ in range(6_000):
        if await asyncio.to_thread(met):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within a minute")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.body)
        return value

    @property
    def content(self) -> str:
        choices = self.json["choices"]
        assert isinstance(choices, list)
        return str(choices[0]["message"]["content"])

    @property
    def source(self) -> str:
        return self.headers["x-tollway-source"]

    @property
    def error(self) -> dict[str, str]:
        error = self.json["error"]
        assert isinstance(error, dict)
        return error


class NoNews:
    """Of a data plane that has no others to tell."""

    async def exchange(self, _: object) -> dict[tuple[str, bool], Heard]:
        return {}


def lone_health() -> Health:
    return Health(NoNews(), time.monotonic, lambda: 0.0)


class SharedEmbedder(LocalEmbedder):
    """The real model, loaded once for the whole run: closing it is the run's business."""

    async def aclose(self) -> None:
        return None


@asynccontextmanager
async def running(
    setup: Setup,
    cache_url: str,
    ledger_url: str,
    embedder: LocalEmbedder,
    operators: tuple[str, str] | None = None,
    **settings: object,
) -> AsyncIterator[Running]:
    """`operators`: the two URLs with which it provisions, where they are its own."""
    snapshot = compiled(setup.objects())
    await provision(snapshot, *(operators or (cache_url, ledger_url)))
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    environ = settings.pop("environ", {})
    assert isinstance(environ, Mapping)
    patient = {
        "cache_read_deadline_s": 1.0,
        "embed_deadline_s": 5.0,
        "allow_endpoints": OWN_NETWORKS,
        "drain_s": 5.0,
    }
    chosen = Settings(cache_url, ledger_url, **{**patient, **settings})  # type: ignore[arg-type]  # a test may give anything

    # Half of what it takes to import this file, and hardly anybody needs it. And before the data plane is there:
    # otherwise it is imported when it is first used, which may block the loop for longer than epochs are trusted.
    import openai.resources.chat  # noqa: PLC0415 - see above

    async def load() -> LocalEmbedder:
        return embedder

    async with (
        json_log(stream) as log,
        open_dataplane(chosen, log, load, environ) as dataplane,
        aiohttp.ClientSession() as http,
    ):
        await dataplane.live.offer(encode(snapshot))
        public = Site(dataplane.public, listen(Address("127.0.0.1", 0)))
        admin = Site(dataplane.admin, listen(Address("127.0.0.1", 0)), admin_tls(chosen, log))
        stop = asyncio.Event()
        # Each by itself, so that neither waits for the other to end: that is 0.2 s of every test.
        serving = asyncio.gather(
            *(serve([site], stop, chosen.drain_s, dataplane.draining) for site in (public, admin))
        )
        url = f"http://{public.address}"
        # Clients like their own, but without every authority of the world: those take 40 ms to read.
        plain = [openai.DefaultAsyncHttpxClient(verify=False) for _ in range(2)]  # nothing here is encrypted
        clients = [
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http_client)
            for key, http_client in zip((ACME_KEY, BETA_KEY), plain, strict=True)
        ]
        try:
            buffer = stream.buffer
            assert isinstance(buffer, io.BytesIO)
            admin_url = f"{'https' if admin.tls else 'http'}://{admin.address}"
            yield Running(dataplane, snapshot, url, admin_url, http, buffer, stop, *clients)
        finally:
            for client in clients:
                await client.close()
            await http.close()
            stop.set()
            await serving
