"""Every query of the dashboard returns data of a system that does all that it shows, from a real Prometheus."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from time import time_ns

import openai
import pytest
from redis.asyncio import Redis

from tests.callers import callers
from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, SharedEmbedder
from tests.embed_servers import Served, serving
from tests.judges import PARAPHRASE, PASSWORD, newest_key, patient, primed
from tests.processes import free_port
from tests.prometheus import Prometheus, eventually, prometheus
from tests.servers import Provider
from tollway_api import wire
from tollway_api.error_control import POINTS, Label, Scale, label_field
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.settings import EmbedServerSettings
from tollway_operator.metrics import Metrics as OperatorMetrics
from tollway_operator.probes import serving as serving_operator
from tools.dashboard import ROWS
from tools.generate_dashboard import of_installation

QUERIES = [(panel.title, query.expression) for row in ROWS for panel in row.panels for query in panel.queries]
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
HARD = "Compare optimistic and pessimistic locking, and prove which of them is fair:"


def asked_by_runbooks() -> Iterator[str]:
    """A query a line, in the blocks that are no shell's."""
    for page in RUNBOOKS.glob("*.md"):
        for block in page.read_text(encoding="utf-8").split("```text\n")[1:]:
            yield from block.partition("```")[0].strip().splitlines()


def filled_in(expression: str) -> str:
    """As Grafana does it."""
    asked = of_installation(expression)
    for name, value in (("$namespace", ".*"), ("$__rate_interval", "5s"), ("$__range", "1m")):
        asked = asked.replace(name, value)
    assert "$" not in asked
    return asked


@asynccontextmanager
async def operator(revision: str) -> AsyncIterator[tuple[OperatorMetrics, str]]:
    """Its metrics on a port of its own, as if it led one data plane and a mistake of a user's."""
    metrics, port = OperatorMetrics(), free_port()
    metrics.leads.set(1)
    metrics.watch_age.labels("RoutingPolicy").set(0.5)
    metrics.observe_objects({"RoutingPolicy": 1, "TenantBudget": 2}, {"Warning": 1})
    metrics.observe_pods({revision: 1})
    async with serving_operator("127.0.0.1", port, metrics, lambda: "", lambda: ""):
        yield metrics, f"http://127.0.0.1:{port}"


@pytest.fixture
def limited(judged: Callable[..., Setup]) -> Setup:
    """Hits by meaning are bounded in their errors and judged, and so are the simple model's answers; money is limited,
    and so are requests.
    """
    limits = [{"name": "money", "amount": "1.00"}, {"name": "many", "unit": "Requests", "amount": "100000"}]
    setup = judged()
    judge = {"type": "Model", "model": "judge"}
    route = {
        "simpleModel": "cheap",
        "complexModel": "rich",
        "complexity": {"classifier": "Embedding"},
        "minQuality": {"least": "60%", "sampleRate": "100%", "judge": judge},
    }
    return setup.but(acme={"limits": limits}, policy={**setup.policy, "route": route})


async def labelled(gateway: Running, redis: Redis) -> None:
    """As if much had been judged before: so many hits are right that nearly all are served, and so many answers of the
    simple model that it is given nearly everything.
    """
    sample = wire.choices_of(gateway.snapshot.policies[0])
    assert sample is not None
    answers = wire.label_keys(sample, time_ns() // 1_000_000)[0]
    await redis.hset(answers, label_field(Scale.EASE, len(Scale.EASE.points) - 1, Label.RIGHT), "5000")
    hits = newest_key(gateway)
    await redis.hset(hits, label_field(Scale.PROBABILITY, POINTS.index(0.95), Label.RIGHT), "5000")


async def ask_for_everything(gateway: Running, cheap: Provider, number: int) -> None:
    """One of each of what the dashboard tells apart."""
    await asyncio.gather(
        gateway.ask(PASSWORD),
        gateway.ask(PARAPHRASE),
        gateway.ask(f"What is {number}?"),
        gateway.ask(f"{HARD} {number}"),
        gateway.ask(f"Who was {number}?", stream=True),
        gateway.ask("What is a fjord?", key="nobody's"),
    )
    for fault in ("server-error", "silent", "dear", "rate-limit"):
        await asyncio.to_thread(cheap.fail, fault, times=1)
        await gateway.ask(f"When was {number}, {fault}?", max_tokens=8)


async def ask_for_vectors(vectors: Served) -> None:
    await vectors.client.embeddings.create(model="all-MiniLM-L6-v2", input=["What is a fjord?", HARD])
    with pytest.raises(openai.NotFoundError):
        await vectors.client.embeddings.create(model="another", input="What is a fjord?")


async def test_every_query_returns_data(
    start: Start,
    embedder: SharedEmbedder,
    limited: Setup,
    cheap: Provider,
    cache_redis: EmbeddedRedis,
    tmp_path: Path,
) -> None:
    gateway, numbers = await patient(start)(limited), count()
    await primed(gateway)
    async with Redis.from_url(cache_redis.url, protocol=2) as redis:
        await labelled(gateway, redis)

    async with (
        operator(str(gateway.dataplane.live.revision)) as (metrics, operator_url),
        serving(embedder, EmbedServerSettings()) as vectors,
    ):

        async def work() -> None:
            with metrics.step("gather"):
                await ask_for_everything(gateway, cheap, next(numbers))
                await ask_for_vectors(vectors)
            metrics.succeeded()

        scraped = [gateway.admin_url, operator_url, vectors.admin_url]
        with prometheus(tmp_path / "prometheus", scraped) as watching:
            async with callers(work):
                # One after the other, they would wait for what others wait for as well.
                await asyncio.gather(
                    *(
                        eventually(partial(_has_data, watching, expression), f"{title}: {expression}")
                        for title, expression in QUERIES
                    )
                )
            expressions = list(asked_by_runbooks())
            assert len(expressions) > 30
            for expression in expressions:
                await asyncio.to_thread(watching.query, expression)  # it is understood
    async with gateway.http.get(f"{gateway.admin_url}/metrics") as response:
        text = await response.text()
    for private in (ACME_KEY, BETA_KEY, "reset my password", "pessimistic", "nobody's"):
        assert private not in text


def _has_data(watching: Prometheus, expression: str) -> bool:
    samples = watching.query(filled_in(expression))
    values = [float(sample["value"][1]) for sample in samples]
    return any(math.isfinite(value) for value in values)
