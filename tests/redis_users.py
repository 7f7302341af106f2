"""Redis servers that know the users of `deploy/redis/*.acl`, besides one for the test itself, who may do all."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole

FILES = Path(__file__).parents[1] / "deploy" / "redis"
DATAPLANE, OPERATOR = "tollway-dataplane", "tollway-operator"
PASSWORD = "a-password"


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def allowed(role: RedisRole, user: str) -> list[str]:
    """The commands that a user may give."""
    text = (FILES / f"{role.value}.acl").read_text()
    (line,) = [each for each in text.splitlines() if each.startswith(f"user {user} ")]
    return re.findall(r" \+(\S+)", line)


@dataclass(frozen=True)
class Guarded:
    server: EmbeddedRedis

    def url(self, user: str, password: str = PASSWORD) -> str:
        return f"redis://{user}:{password}@127.0.0.1:{self.server.port}/0"

    def command(self, *words: str | int) -> Any:
        with Redis("127.0.0.1", port=self.server.port, protocol=2) as client:
            return client.execute_command(*words)

    def refused(self) -> list[str]:
        """Of whom what was refused."""
        with Redis("127.0.0.1", port=self.server.port, protocol=2) as client:
            return [f"{each['username']}: {each['reason']} {each['object']}" for each in client.acl_log()]

    def given(self) -> set[str]:
        """Commands that were given since `CONFIG RESETSTAT`, by anybody and in scripts."""
        with Redis("127.0.0.1", port=self.server.port, protocol=2) as client:
            stats: Any = client.info("commandstats")
        return {name.removeprefix("cmdstat_").lower() for name in stats}


def users_file(role: RedisRole, folder: Path) -> Path:
    text = (FILES / f"{role.value}.acl").read_text().replace("SHA256-OF-ITS-PASSWORD", digest(PASSWORD))
    folder.mkdir(parents=True)
    users = folder / "users.acl"
    users.write_text(re.sub(r"user default .*", "user default on nopass ~* &* +@all", text))
    return users


@contextlib.contextmanager
def guarded(role: RedisRole, folder: Path, more: Sequence[str] = ()) -> Iterator[Guarded]:
    users = users_file(role, folder)
    with EmbeddedRedis(role, folder / "data", more=[*more, "--aclfile", str(users)]) as server:
        yield Guarded(server)
