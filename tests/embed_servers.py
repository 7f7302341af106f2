"""An embed server with the real model for a test, on loopback ports in the test's own event loop."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import openai
from prometheus_client.parser import text_string_to_metric_families

from tests.dataplanes import SharedEmbedder
from tollway_dataplane.embed_server import applications
from tollway_dataplane.logs import json_log
from tollway_dataplane.server import Site, listen, serve
from tollway_dataplane.settings import Address, EmbedServerSettings


@dataclass(frozen=True)
class Served:
    url: str
    admin_url: str
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession

    async def metrics(self) -> dict[str, float]:
        """Sums over labels."""
        found: dict[str, float] = {}
        async with self.http.get(f"{self.admin_url}/metrics") as response:
            text = await response.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found


@asynccontextmanager
async def serving(
    embedder: SharedEmbedder, settings: EmbedServerSettings, key: str = "none"
) -> AsyncIterator[Served]:
    stop, draining = asyncio.Event(), asyncio.Event()
    async with json_log(io.TextIOWrapper(io.BytesIO())) as log, aiohttp.ClientSession() as http:
        apps = applications(embedder, settings, log, draining)
        sites = [Site(app, listen(Address("127.0.0.1", 0))) for app in apps]
        running = asyncio.create_task(serve(sites, stop, 5, draining))
        url, admin_url = (f"http://{site.address}" for site in sites)
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            yield Served(url, admin_url, client, http)
        await http.close()
        stop.set()
        await running
