"""A client for a Redis, by its URL: with credentials and certificates as they stand when a connection is made, with the
primary that sentinels name or all servers of a cluster, and with a word for whoever wants to know what the server
refuses. Used by both planes.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection, Connection, RedisSSLContext, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.driver_info import DriverInfo
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from tollway_api.redis_url import RedisAddress, read_redis_url
from tollway_redis.cluster import Address, ClusterRedis
from tollway_redis.direct import DirectRedis

_SENTINEL_DEADLINE_S: Final = 1.0  # for one of them, after which the next is asked
# What each connection tells the server of the library. By itself the library would read its version from the disk for
# each of them, and nothing else is done in those five milliseconds.
_DRIVER: Final = DriverInfo()
_IN_A_SCRIPT: Final = "ACL failure in script"

Refused = Callable[[str], None]


def _unheard(_why: str) -> None:
    """Nobody wants to know."""


def connect(
    url: str,
    deadline_s: float,
    max_connections: int = 64,
    refused: Refused = _unheard,
    *,
    reads_replicas: bool = False,
) -> Redis:
    """A client that never waits longer than `deadline_s` for a connection, and never retries by itself: a retried
    script could count twice, and a cache that needs a second try is slower than a miss. Whoever calls bounds the
    call as a whole; the library would set a timer for each of a pipeline's replies. `refused` hears in the server's
    words what it does not let us do. Of a cluster replicas are asked where they may be. Raises ValueError.
    """
    address = read_redis_url(url)
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": deadline_s,
        "socket_timeout": None,
        "socket_connect_timeout": deadline_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "driver_info": _DRIVER,
        "protocol": 2,  # the shape of RediSearch's replies differs between protocols; this one every server speaks
        **parse_url(address.server),
        "credential_provider": _Credentials(url),
        "refused": refused,
    }
    for who in ("username", "password"):
        options.pop(who, None)
    kind = options.pop("connection_class", Connection)
    if kind is SSLConnection:
        certificates: dict[str, Any] = {
            "cert_reqs": "required",
            "check_hostname": True,
            **_said_of("ssl_", options),
        }
        options["certificates"] = _Certificates(**certificates)
    if address.sentinels:
        return DirectRedis.from_pool(_watched_pool(address, kind is SSLConnection, options))
    if address.nodes:
        return _of_cluster(address, _ours(kind), options, reads_replicas=reads_replicas)
    return DirectRedis.from_pool(BlockingConnectionPool(connection_class=_ours(kind), **options))


def _of_cluster(
    address: RedisAddress, kind: type[AbstractConnection], options: Mapping[str, Any], *, reads_replicas: bool
) -> ClusterRedis:
    more = {"redis_connect_func": _read_only} if reads_replicas else {}

    def client_of(server: Address) -> Redis:
        there = {**options, "host": server[0], "port": server[1], **more}
        return DirectRedis.from_pool(BlockingConnectionPool(connection_class=kind, **there))

    return ClusterRedis(address.nodes, client_of, reads_replicas=reads_replicas)


async def _read_only(connection: AbstractConnection) -> None:
    """Has a replica answer itself, instead of naming its primary."""
    await connection.on_connect()
    await connection.send_command("READONLY")
    await connection.read_response()


def _watched_pool(address: RedisAddress, is_tls: bool, options: dict[str, Any]) -> "_SentinelPool":
    """What is said of how to connect holds for the sentinels as well, but for who we are."""
    asked = {
        "ssl": is_tls,
        **{f"ssl_{name}": value for name, value in _said_of("ssl_", options).items()},
        **{name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")},
        "socket_timeout": _SENTINEL_DEADLINE_S,
        "socket_connect_timeout": _SENTINEL_DEADLINE_S,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    for of_sentinel in ("host", "port"):
        options.pop(of_sentinel, None)
    kind = SentinelManagedSSLConnection if is_tls else SentinelManagedConnection
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]  # the library does not type it
        address.sentinels, sentinel_kwargs=asked
    )
    return _SentinelPool(
        service_name=address.primary, sentinel_manager=sentinels, connection_class=_ours(kind), **options
    )


def _said_of(prefix: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in options.items() if name.startswith(prefix)}


class _Credentials(CredentialProvider):
    """Those of the URL as it stands when a connection is made: a password that is rotated in a file needs no restart.
    What cannot be read any more is what it was.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: tuple[str, ...] = ()

    def get_credentials(self) -> tuple[str, ...]:  # type: ignore[override]  # none is none to the library as well
        with suppress(ValueError):
            self._known = _credentials_in(read_redis_url(self._url).server)
        return self._known

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]  # as above
        return self.get_credentials()


def _credentials_in(url: str) -> tuple[str, ...]:
    options: Mapping[str, Any] = parse_url(url)
    user, password = (str(options.get(each, "")) for each in ("username", "password"))
    return (user, password) if user else (password,) if password else ()


class _Certificates(RedisSSLContext):
    """Loaded once for all connections, since that takes tens of milliseconds, and again when a file is another."""

    _loaded: tuple[int, ...] = ()

    def get(self) -> SSLContext:
        files = filter(None, (self.ca_certs, self.certfile, self.keyfile))
        found = tuple(Path(each).stat().st_mtime_ns for each in files)
        if found != self._loaded:
            self.context, self._loaded = None, found
        return super().get()


if TYPE_CHECKING:
    _Base = AbstractConnection
else:
    _Base = object


class _Ours(_Base):
    """What every connection of ours does besides what the library's does."""

    def __init__(
        self, *, refused: Refused, certificates: RedisSSLContext | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._refused = refused
        if certificates is not None:
            self.ssl_context = certificates

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except (NoPermissionError, AuthenticationError) as exc:
            self._refused(str(exc))
            raise
        except ResponseError as exc:
            if _IN_A_SCRIPT in str(exc):
                self._refused(str(exc))
            raise


def _ours(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(kind.__name__, (_Ours, kind), {})


class _SentinelPool(BlockingConnectionPool, SentinelConnectionPool):
    """Bounded as the one is, and connected to the primary as the other is."""

    _looking: "asyncio.Task[Any] | None" = None

    async def get_master_address(self) -> Any:
        """Whoever asks at the same time shares one look, and it goes on although who asked has no time left: sentinels
        are asked in turn, and the library asks the one first that answered last only where it may hear it out.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(super().get_master_address())  # type: ignore[no-untyped-call]  # as above
            self._looking.add_done_callback(_heard)
        return await asyncio.shield(self._looking)

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await super().aclose()
        await self.sentinel_manager.aclose()


def _heard(looking: "asyncio.Task[Any]") -> None:
    if not looking.cancelled():
        looking.exception()
