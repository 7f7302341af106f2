"""The URL of a Redis as a person writes it: of a server, of the sentinels that know which server is the primary, or of
a file that holds one of these two, such as a mounted Secret. Used by both planes' settings and by `tollway_redis`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

_SERVERS: Final = {"redis", "rediss", "unix"}
_WATCHED: Final = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_SENTINEL_PORT: Final = 26_379
_UNUSABLE: Final = (
    "not the URL of a Redis; write it like redis://127.0.0.1:6379/0, rediss+sentinel://one:26379,other:26379/NAME/0, "
    "or file:///etc/tollway/redis/cache"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`server` is a URL as the client library reads it; where there are sentinels its host is the first of them. It may
    hold a password.
    """

    server: str = field(repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    primary: str = ""  # what the sentinels call it


def check_redis_url(url: str) -> str:
    """The URL itself. Raises ValueError for one of no use; never repeats its password."""
    read_redis_url(url)
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
    if parts.scheme not in _SERVERS or not (_host(parts.netloc)[0] or parts.path):
        raise ValueError(_UNUSABLE)
    return RedisAddress(url)


def _watched(parts: SplitResult) -> RedisAddress:
    user, at, hosts = parts.netloc.rpartition("@")
    sentinels = tuple((host, port or _SENTINEL_PORT) for host, port in map(_host, hosts.split(",")) if host)
    primary, _, database = parts.path.strip("/").partition("/")
    if not sentinels or not primary:
        raise ValueError(_UNUSABLE)
    netloc = f"{user}{at}{hosts.partition(',')[0]}"
    server = urlunsplit((_WATCHED[parts.scheme], netloc, f"/{database}", parts.query, ""))
    return RedisAddress(server, sentinels, primary)


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
        return f"{address.primary} of the sentinels {', '.join(f'{host}:{port}' for host, port in address.sentinels)}"
    parts = _split(address.server)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6_379}"
