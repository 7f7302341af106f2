"""Fixtures for every folder: the servers live as long as the run, what is in them as long as a test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis as sync_redis

from tests.dataplane.providers.wire import Server, serving
from tests.dataplane.providers.wires import WIRES
from tests.dataplanes import Running, Setup, SharedEmbedder, running
from tests.processes import fork_from, load_for_all
from tests.servers import Provider, provider, redis_servers
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole

# The same examples in every run, so that a build fails only by what was changed; `--hypothesis-profile explore` looks
# for new ones. How long they take says how busy the machine is, and is no failure.
hypothesis.settings.register_profile(
    "steady",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("explore", max_examples=5_000)
hypothesis.settings.load_profile("steady")

Start = Callable[..., Awaitable[Running]]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of pytest-xdist, where each process of the test run is begun."""
    node.workerinput["loaded"] = load_for_all()


def pytest_configure(config: pytest.Config) -> None:
    if loaded := getattr(config, "workerinput", {}).get("loaded"):
        fork_from(loaded)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Given to the processes file by file, tests keep all of them busy to the end in this order: files with something
    that waits for long, others that wait, and those that work.
    """
    long = {item.path for item in items if item.get_closest_marker("long")}
    waiting = Path(__file__).parent / "with_redis"
    items.sort(key=lambda item: (item.path not in long, waiting not in item.path.parents))


@pytest.fixture(scope="session")
def redis_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    with redis_servers(tmp_path_factory.mktemp("redis")) as servers:
        yield servers


def _emptied(server: EmbeddedRedis) -> EmbeddedRedis:
    # Without a word about the library, whose version would be read from the disk.
    with sync_redis.Redis("127.0.0.1", port=server.port, driver_info=None) as client:
        client.flushall()
    return server


@pytest.fixture
def cache_redis(redis_pair: tuple[EmbeddedRedis, EmbeddedRedis]) -> EmbeddedRedis:
    """A real Redis with vector search, empty."""
    return _emptied(redis_pair[0])


@pytest.fixture
def ledger_redis(redis_pair: tuple[EmbeddedRedis, EmbeddedRedis]) -> EmbeddedRedis:
    """A real Redis that never evicts, empty."""
    return _emptied(redis_pair[1])


@pytest.fixture
def fault_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A cache server of the test's own, to pause or kill."""
    with EmbeddedRedis(RedisRole.CACHE, tmp_path / "fault") as server:
        yield server


@pytest.fixture(scope="session")
def providers() -> Iterator[tuple[Provider, Provider]]:
    with provider("cheap") as cheap, provider("rich") as rich:
        yield cheap, rich


@pytest.fixture
def cheap(providers: tuple[Provider, Provider]) -> Provider:
    providers[0].reset()
    return providers[0]


@pytest.fixture
def rich(providers: tuple[Provider, Provider]) -> Provider:
    providers[1].reset()
    return providers[1]


@pytest.fixture(scope="session")
def embedder() -> SharedEmbedder:
    """The real model. It belongs to no event loop while nobody waits for it."""
    loaded = asyncio.run(SharedEmbedder.load())
    assert isinstance(loaded, SharedEmbedder)
    return loaded


@pytest.fixture
def setup(cheap: Provider, rich: Provider) -> Setup:
    return Setup(cheap.endpoint, rich.endpoint)


@pytest.fixture
async def start(
    cache_redis: EmbeddedRedis, ledger_redis: EmbeddedRedis, embedder: SharedEmbedder
) -> AsyncIterator[Start]:
    """Starts data planes on the run's Redis; `cache_url` and settings may be given."""
    async with AsyncExitStack() as stack:

        async def begin(setup: Setup, **more: object) -> Running:
            urls = {"cache_url": cache_redis.url, "ledger_url": ledger_redis.url, **more}
            return await stack.enter_async_context(running(setup, embedder=embedder, **urls))  # type: ignore[arg-type]  # a test may give anything

        yield begin


@pytest.fixture
async def gateway(start: Start, setup: Setup) -> Running:
    """A data plane with the plain setup."""
    return await start(setup)


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.name)
def started(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One of each provider's wire format, for as long as a file's tests."""
    with serving(request.param) as server:
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    started.reset()
    return started
