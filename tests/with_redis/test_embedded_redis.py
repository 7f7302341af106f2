"""The embedded Redis: as promised, durable, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from tollway_cli.embedded_redis import EmbeddedRedis, EmbeddedRedisError, RedisRole


@pytest.mark.parametrize(
    ("role", "eviction", "searches"),
    [(RedisRole.CACHE, "allkeys-lru", True), (RedisRole.LEDGER, "noeviction", False)],
)
def test_each_role_is_set_up_as_it_must_be(
    tmp_path: Path, role: RedisRole, eviction: str, searches: bool
) -> None:
    with (
        EmbeddedRedis(role, tmp_path, maxmemory="64mb") as server,
        Redis("127.0.0.1", port=server.port) as client,
    ):
        config = client.config_get("*")
        assert config["maxmemory-policy"] == eviction
        assert config["maxmemory"] == str(64 * 1024 * 1024)
        assert config["appendonly"] == "yes"
        assert config["bind"] == "127.0.0.1"
        assert (b"search" in {module[b"name"] for module in client.module_list()}) == searches


@pytest.mark.parametrize("orderly", [True, False])
def test_data_and_indexes_survive_a_restart_orderly_or_not(tmp_path: Path, orderly: bool) -> None:
    server = EmbeddedRedis(RedisRole.CACHE, tmp_path)
    server.start()
    with Redis("127.0.0.1", port=server.port) as client:
        client.execute_command("FT.CREATE", "i", "PREFIX", 1, "d:", "SCHEMA", "t", "TAG")
        client.hset("d:1", "t", "x")
        time.sleep(1.1)  # the append-only file is synced every second
    if orderly:
        server.stop()
    else:
        server.kill()
    server.start()
    try:
        with Redis("127.0.0.1", port=server.port, protocol=2) as client:
            reply = client.execute_command("FT.SEARCH", "i", "@t:{x}", "NOCONTENT")
            assert reply == [1, b"d:1"]
    finally:
        server.stop()


def test_a_folder_serves_one_server_at_a_time(tmp_path: Path) -> None:
    with (
        EmbeddedRedis(RedisRole.LEDGER, tmp_path),
        pytest.raises(EmbeddedRedisError, match="in use by another"),
    ):
        EmbeddedRedis(RedisRole.LEDGER, tmp_path).start()
    with EmbeddedRedis(RedisRole.LEDGER, tmp_path):
        pass


def test_a_port_that_is_taken_is_said_with_redis_own_words(tmp_path: Path) -> None:
    with EmbeddedRedis(RedisRole.LEDGER, tmp_path / "one") as first:
        second = EmbeddedRedis(RedisRole.LEDGER, tmp_path / "two", port=first.port)
        with pytest.raises(EmbeddedRedisError, match="Address already in use"):
            second.start()


def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole\n"
        "server = EmbeddedRedis(RedisRole.LEDGER, Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(200):
        try:
            os.kill(pid, signal.SIG_DFL)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"redis-server {pid} outlived its parent")
