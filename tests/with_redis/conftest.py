"""What several tests of the ledger need, and of the judges of answers."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.routing import Route

from tests.dataplanes import Setup
from tests.judges import ScriptedJudge
from tests.servers import served
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.cache import forgetting


@pytest.fixture
async def redis(ledger_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    """The ledger's, where a test has no other."""
    client = connect(ledger_redis.url, 2.0)
    yield client
    await client.aclose()


@pytest.fixture
def ledger(redis: Redis) -> RedisLedger:
    return RedisLedger(redis, 2.0)


@pytest.fixture
def judge() -> ScriptedJudge:
    return ScriptedJudge()


@pytest.fixture
def judged(setup: Setup, judge: ScriptedJudge) -> Iterator[Callable[..., Setup]]:
    """The plain setup with a bound, judged by a model, with everything sampled."""
    app = Starlette(routes=[Route("/v1/chat/completions", judge.complete, methods=["POST"])])
    with served(app) as url:

        def made(**accuracy: object) -> Setup:
            third = {"name": "judge", "model": "openai/gpt-4o", "endpoint": f"{url}/v1"}
            spec = {"maxErrorRate": "5%", "sampleRate": "100%", "judge": {"type": "Model", "model": "judge"}}
            return setup.but(
                index={"accuracy": {**spec, **accuracy}},
                policy={
                    "models": [*setup.models(), third],
                    "route": {"simpleModel": "cheap", "complexModel": "rich"},
                    "fallback": {"order": ["cheap", "rich"]},
                },
            )

        yield made


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of purges is trusted for as long as the test takes: where a processor is not to be had for seconds
    it would lapse, and a test that is not about that would find nothing remembered.
    """
    monkeypatch.setattr(forgetting, "TRUSTED_S", 600.0)
