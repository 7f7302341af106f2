"""How a data plane connects to a real Redis."""

from importlib import metadata

import pytest

from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_redis.connecting import connect


async def test_a_connection_says_which_library_it_is_without_looking_that_up(
    ledger_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version("redis")

    def looked_up(name: str) -> str:
        raise AssertionError(f"the metadata of {name} was read from the disk")

    monkeypatch.setattr(metadata, "version", looked_up)
    client = connect(ledger_redis.url, 2.0)
    try:
        said = await client.client_info()
    finally:
        await client.aclose()
    assert (said["lib-name"], said["lib-ver"]) == ("redis-py", version)
