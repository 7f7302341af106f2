"""The URL of a Redis as a person writes it: of a server, of the sentinels that know which server is the primary, of
some servers of a cluster, or of a file that holds one of these, such as a mounted Secret. Used by both planes' settings
and by `tollway_redis`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

_SERVERS: Final = {"redis", "rediss", "unix"}
_WATCHED: Final = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_CLUSTERS: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_SENTINEL_PORT: Final = 26_379
_PORT: Final = 6_379
_UNUSABLE: Final = (
    "not the URL of a Redis; write it like redis://127.0.0.1:6379/0, rediss+sentinel://one:26379,other:26379/NAME/0, "
    "rediss+cluster://one:6379,other:6379, or file:///etc/tollway/redis/cache"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`server` is a URL as the client library reads it; where there are sentinels or a cluster's nodes its host is the
    first of them. It may hold a password.
    """

    server: str = field(repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    primary: str = ""  # what the sentinels call it
    nodes: tuple[tuple[str, int], ...] = ()  # some of a cluster, which know the others


def check_redis_url(url: str) -> str:
    """The URL itself. Raises ValueError for one of no use; never repeats its password."""
    read_redis_url(url)
    return url


def check_ledger_url(url: str) -> str:
    """The same for the ledger, all of whose keys are on one shard. Raises ValueError."""
    if read_redis_url(url).nodes:
        raise ValueError(
            "the URL of a Redis Cluster, and a ledger cannot be spread, since a request counts in several accounts at "
            "once. Give it a Redis of its own, behind sentinels where it must not be away"
        )
    return url


def read_redis_url(url: str) -> RedisAddress:
    """As it stands now, where it is of a file. Raises ValueError."""
    parts = _split(url)
    if parts.scheme != "file":
        return _address(url)
    try:
        inside = Path(parts.path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"no file that can be read: {parts.path}") from error
    try:
        return _address(inside)
    except ValueError as error:
        raise ValueError(f"what is in {parts.path} is {error}") from error


def _address(url: str) -> RedisAddress:
    parts = _split(url)
    if parts.scheme in _WATCHED:
        return _watched(parts)
    if parts.scheme in _CLUSTERS:
        return _spread(parts)
    if parts.scheme not in _SERVERS or not (_host(parts.netloc)[0] or parts.path):
        raise ValueError(_UNUSABLE)
    return RedisAddress(url)


def _watched(parts: SplitResult) -> RedisAddress:
    sentinels = _hosts(parts, _SENTINEL_PORT)
    primary, _, database = parts.path.strip("/").partition("/")
    if not sentinels or not primary:
        raise ValueError(_UNUSABLE)
    return RedisAddress(_of_the_first(parts, _WATCHED[parts.scheme], database), sentinels, primary)


def _spread(parts: SplitResult) -> RedisAddress:
    nodes = _hosts(parts, _PORT)
    if not nodes or parts.path.strip("/") not in ("", "0"):  # a cluster has no other database
        raise ValueError(_UNUSABLE)
    return RedisAddress(_of_the_first(parts, _CLUSTERS[parts.scheme], "0"), nodes=nodes)


def _hosts(parts: SplitResult, port: int) -> tuple[tuple[str, int], ...]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return tuple((host, said or port) for host, said in map(_host, hosts) if host)


def _of_the_first(parts: SplitResult, scheme: str, database: str) -> str:
    user, at, hosts = parts.netloc.rpartition("@")
    return urlunsplit((scheme, f"{user}{at}{hosts.partition(',')[0]}", f"/{database}", parts.query, ""))


def _host(netloc: str) -> tuple[str, int | None]:
    parts = _split(f"//{netloc}")
    try:
        return parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(_UNUSABLE) from error


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ValueError(_UNUSABLE) from error


def address_in(url: str) -> str:
    """What a message may call it, which has no password. Raises ValueError."""
    address = read_redis_url(url)
    if address.sentinels:
        return f"{address.primary} of the sentinels {_said(address.sentinels)}"
    if address.nodes:
        return f"the cluster of {_said(address.nodes)}"
    parts = _split(address.server)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or _PORT}"


def _said(hosts: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in hosts)
