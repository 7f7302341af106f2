"""A primary, its replica, and three sentinels that make the replica the primary where it is gone."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.processes import free_port, wait_for
from tests.redis_users import DATAPLANE, PASSWORD, Guarded, guarded
from tollway_cli.embedded_redis import RedisRole, _server_binary

PRIMARY = "the-primary"
SENTINELS_PASSWORD = "of-the-sentinels"


@dataclass
class Watched:
    primary: Guarded
    replica: Guarded
    ports: list[int]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def url(self, user: str = DATAPLANE) -> str:
        sentinels = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{user}:{PASSWORD}@{sentinels}/{PRIMARY}/0?sentinel_password={SENTINELS_PASSWORD}"

    def ask(self, number: int, *words: str) -> Any:
        client = Redis("127.0.0.1", port=self.ports[number], password=SENTINELS_PASSWORD, protocol=2)
        with client:
            return client.execute_command("SENTINEL", *words, PRIMARY)  # type: ignore[no-untyped-call]  # the library does not type it

    def _is_sound(self, number: int) -> bool:
        with contextlib.suppress(RedisError):
            ask = self.ask(number, "MASTER")
            words = {bytes(name).decode(): value for name, value in zip(ask[::2], ask[1::2], strict=True)}
            return int(words["num-slaves"]) == 1 and int(words["num-other-sentinels"]) == 2
        return False

    def until_sound(self) -> None:
        for number in range(3):
            wait_for(partial(self._is_sound, number), "sentinels know each other and the replica", 60)

    def fail_over(self) -> None:
        """Kills the primary; returns when the sentinels have another."""
        self.primary.server.kill()
        self.until_another()

    def until_another(self) -> None:
        for number in range(3):
            wait_for(partial(self._names_the_replica, number), "it is another", 60)

    def _names_the_replica(self, number: int) -> bool:
        return int(self.ask(number, "GET-MASTER-ADDR-BY-NAME")[1]) == self.replica.server.port


@contextlib.contextmanager
def watched(role: RedisRole, folder: Path) -> Iterator[Watched]:
    at_once = ["--repl-diskless-sync-delay", "0"]
    with guarded(role, folder / "primary", at_once) as primary:
        follows = [*at_once, "--replicaof", "127.0.0.1", str(primary.server.port)]
        with guarded(role, folder / "replica", follows) as replica:
            made = Watched(primary, replica, [free_port() for _ in range(3)])
            try:
                for port in made.ports:
                    made.processes.append(_sentinel(folder / f"sentinel-{port}", port, primary.server.port))
                made.until_sound()
                yield made
            finally:
                for process in made.processes:
                    process.kill()
                    process.wait()


def _sentinel(folder: Path, port: int, primary: int) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile sentinel.log\n"
        f"requirepass {SENTINELS_PASSWORD}\nsentinel sentinel-pass {SENTINELS_PASSWORD}\n"
        f"sentinel monitor {PRIMARY} 127.0.0.1 {primary} 2\n"
        f"sentinel down-after-milliseconds {PRIMARY} 1500\nsentinel failover-timeout {PRIMARY} 5000\n"
    )
    return subprocess.Popen([str(_server_binary()), str(file), "--sentinel"])  # noqa: S603 - a binary of our own dependencies
