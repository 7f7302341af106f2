"""A real Redis Cluster for tests: three primaries with vector search on free loopback ports, whose module has no
coordinator, so that each knows its own shard only.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis

from tests.processes import free_port, wait_for
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole

_SLOTS = (0, 5_461, 10_923, 16_384)


@dataclass(frozen=True)
class Cluster:
    nodes: list[EmbeddedRedis]

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def command(self, number: int, *words: str | int) -> Any:
        """Of one node; keys of other nodes are refused."""
        with Redis("127.0.0.1", port=self.nodes[number].port, protocol=2) as client:
            return client.execute_command(*words)

    def indexes(self) -> list[list[bytes]]:
        """What each primary has."""
        return [self.command(number, "FT._LIST") for number in self.primaries]

    def follows(self, number: int) -> bool:
        role = self.command(number, "ROLE")
        return bool(role[0] == b"slave" and role[3] == b"connected")

    @property
    def primaries(self) -> list[int]:
        return [number for number in range(len(self.nodes)) if self.command(number, "ROLE")[0] == b"master"]

    def primaries_by(self, number: int, flag: str = "master") -> list[int]:
        """Those that one node takes for primaries, of such a kind, which it learns from the others."""
        known = self.command(number, "CLUSTER NODES")
        ports = {
            int(address.rpartition(":")[2])
            for address, each in known.items()
            if each["slots"] and {"master", flag} <= set(each["flags"].split(","))
        }
        return [place for place, node in enumerate(self.nodes) if node.port in ports]

    def knows_replicas(self, number: int, count: int) -> bool:
        """Whether a node has heard of so many, which it hears from the others."""
        known = self.command(number, "CLUSTER NODES")
        return sum("slave" in each["flags"].split(",") for each in known.values()) == count

    def sees(self, number: int, state: str) -> bool:
        return state in " ".join(
            f"{name}:{value}" for name, value in self.command(number, "CLUSTER INFO").items()
        )


@contextlib.contextmanager
def redis_cluster(
    folder: Path, replicas: Sequence[int] = (2,), more: Sequence[str] = ()
) -> Iterator[Cluster]:
    """After the three primaries, a replica of each that is listed. `more` are further arguments of each server."""
    with contextlib.ExitStack() as stack:
        count = 3 + len(replicas)
        nodes: list[EmbeddedRedis] = []
        buses: list[int] = []
        for number in range(count):
            # Chosen when it is taken: meanwhile somebody else might have it.
            buses.append(free_port())
            own = ["--cluster-enabled", "yes", "--cluster-port", str(buses[-1])]
            node = EmbeddedRedis(RedisRole.CACHE, folder / f"node-{number}", more=[*own, *more])
            nodes.append(stack.enter_context(node))
        cluster = Cluster(nodes)
        for number, (first, after) in enumerate(pairwise(_SLOTS)):
            cluster.command(number, "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        for number in range(1, count):
            cluster.command(number, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
        for number in range(count):
            for state in ("cluster_state:ok", f"cluster_known_nodes:{count}"):
                wait_for(lambda number=number, state=state: cluster.sees(number, state), state)  # type: ignore[misc]  # mypy does not type a lambda with a default
        for number, of in enumerate(replicas, start=3):
            cluster.command(number, "CLUSTER", "REPLICATE", cluster.command(of, "CLUSTER", "MYID").decode())
            wait_for(partial(cluster.follows, number), "the replica follows")
        for number in range(count):
            wait_for(partial(cluster.knows_replicas, number, len(replicas)), "each node has heard of it")
        yield cluster
