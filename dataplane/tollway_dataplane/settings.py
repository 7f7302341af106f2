"""What a data plane is told at start, from the environment. `tollway serve` builds the same by hand."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PositiveFloat, PositiveInt

from tollway_api.environment import LedgerUrl, Opened, RedisUrl
from tollway_api.messages import admin_token
from tollway_api.reach import Reach
from tollway_api.wire import digest_in_secret


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads `127.0.0.1:8080`, `[::1]:8080` or `:8080` (every interface). Raises ValueError."""
        host, _, port = text.rpartition(":")
        if not port.isdigit() or not 0 <= int(port) <= 65_535:
            raise ValueError(f"{text!r} is not an address; write it like 127.0.0.1:8080")
        return cls(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - an empty host asks for it

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _address(value: object) -> object:
    return Address.parse(value) if isinstance(value, str) else value


AddressText = Annotated[Address, BeforeValidator(_address)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds and bytes; every field is an environment variable: `TOLLWAY_` and its name in capitals."""

    cache_redis_url: Annotated[RedisUrl, "URL of the Redis that remembers answers; required."]
    ledger_redis_url: Annotated[
        LedgerUrl, "URL of the Redis that counts what is spent. Default: the cache's."
    ]
    snapshot_dir: Annotated[Path, "Folder in which the Secret of the snapshot is mounted."] = Path(
        "/etc/tollway/snapshot"
    )
    snapshot_secret: Annotated[
        str, "namespace/name of that Secret, to read the newest from the Kubernetes API as well."
    ] = ""
    admin_token_dir: Annotated[
        Path, "Folder of the admin tokens: each file in it holds one that is valid."
    ] = Path("/etc/tollway/admin-token")
    admin_tls_dir: Annotated[
        Path | None,
        "Folder of tls.crt, tls.key and ca.crt, with which the admin port has TLS and asks callers for a certificate.",
    ] = None
    listen: Annotated[AddressText, "Address of the public port."] = Address("0.0.0.0", 8080)  # noqa: S104 - a pod's own address is not known beforehand
    admin_listen: Annotated[AddressText, "Address of probes and metrics."] = Address("0.0.0.0", 8081)  # noqa: S104 - nor here
    cache_replica_redis_url: Annotated[
        RedisUrl,
        "URL of replicas of the cache's Redis, to look up there; what they have not got yet is not found by "
        "meaning. Of a cluster, its own.",
    ] = ""
    allow_endpoints: Opened = ()
    cache_read_deadline_s: Annotated[
        float,
        "Seconds that a request may wait for the cache, over all it asks of it; a slower one is a miss.",
    ] = 0.05
    cache_write_deadline_s: Annotated[
        float, "Seconds that remembering an answer may take, behind the reply."
    ] = 0.5
    ledger_deadline_s: Annotated[float, "Seconds that one call of the ledger may take."] = 0.25
    embed_deadline_s: Annotated[
        float, "Seconds that embedding a prompt may take; a slower one is a miss."
    ] = 0.5
    coalesce_wait_s: Annotated[
        float,
        "Seconds that a request waits for the answer to the very same one that a data plane is asking for already; 0: "
        "none.",
    ] = 5.0
    metrics_tenants: Annotated[
        int,
        "Tenants that have metrics of their own, which are those that spend most; all others are counted as _other.",
    ] = 100
    near_cache_bytes: Annotated[int, "Bytes of answers kept in this process."] = 64 * 1024 * 1024
    most_body_bytes: Annotated[int, "Bytes that a request's body may have."] = 8 * 1024 * 1024
    body_deadline_s: Annotated[float, "Seconds in which a body must have arrived."] = 30.0
    drain_s: Annotated[float, "Seconds that requests under way have to end after SIGTERM."] = 60.0
    snapshot_poll_s: Annotated[float, "Seconds between two looks for a newer snapshot."] = 15.0
    workers: Annotated[
        PositiveInt,
        "Processes that share the public port, each of a CPU and a data plane's memory. A cluster has pods for that.",
    ] = 1
    identity: Annotated[
        str, "This data plane's name on the console. Default: the host's, which is its pod's."
    ] = field(default_factory=socket.gethostname)

    @property
    def reach(self) -> Reach:
        return Reach.of(self.allow_endpoints)


def _digests(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(digest_in_secret(key) for key in value.split(",") if key.strip())


@dataclass(frozen=True, slots=True)
class EmbedServerSettings:
    """The same of the embed server."""

    api_keys: Annotated[
        tuple[str, ...],
        BeforeValidator(_digests),
        "Keys that callers may use, with commas between them, or sha256:HEX of each. Without one, anybody may call.",
    ] = field(default=(), repr=False)  # as digests
    listen: Annotated[AddressText, "Address of the public port."] = Address("0.0.0.0", 8080)  # noqa: S104 - as of a data plane
    admin_listen: Annotated[AddressText, "Address of probes and metrics."] = Address("0.0.0.0", 8081)  # noqa: S104 - nor here
    threads: Annotated[PositiveInt, "Threads that share the work on a batch; about as many as CPUs."] = 1
    most_waiting_texts: Annotated[
        PositiveInt,
        "Texts that may wait to be embedded, over all requests; what would be more is refused (429). Also the most of "
        "one request.",
    ] = 2_048
    deadline_s: Annotated[
        PositiveFloat, "Seconds in which a request's texts must be embedded; else it is refused (503)."
    ] = 30.0
    most_body_bytes: Annotated[PositiveInt, "Bytes that a request's body may have."] = 8 * 1024 * 1024
    body_deadline_s: Annotated[PositiveFloat, "Seconds in which a body must have arrived."] = 30.0
    drain_s: Annotated[float, "Seconds that requests under way have to end after SIGTERM."] = 30.0


def read_tokens(folder: Path) -> list[str]:
    """The valid admin tokens: two while they are rotated. None where there are none, and then nobody is let in. What
    the operator could not send is passed over, so that it keeps nobody from being known by another.
    """
    if not folder.is_dir():
        return []
    values = (file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())
    return [token for token in map(admin_token, values) if token]
