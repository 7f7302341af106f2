"""What a data plane is told at start, from the environment. `tollway serve` builds the same by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from tollway_api.wire import check_redis_url


class SettingsError(Exception):
    """A variable is missing or makes no sense; the message names it."""


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


RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
AddressText = Annotated[Address, BeforeValidator(_address)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds and bytes; every field is an environment variable: `TOLLWAY_` and its name in capitals."""

    cache_redis_url: RedisUrl
    ledger_redis_url: RedisUrl
    snapshot_dir: Path = Path("/etc/tollway/snapshot")  # where its Secrets are mounted
    snapshot_secret: str = ""  # namespace/name, to read it from the Kubernetes API as well
    admin_token_dir: Path = Path("/etc/tollway/admin-token")  # each file holds a token that is valid
    listen: AddressText = Address("0.0.0.0", 8080)  # noqa: S104 - a pod's own address is not known beforehand
    admin_listen: AddressText = Address("0.0.0.0", 8081)  # noqa: S104 - nor here
    cache_read_deadline_s: float = 0.05
    cache_write_deadline_s: float = 0.5
    ledger_deadline_s: float = 0.25
    embed_deadline_s: float = 0.5
    near_cache_bytes: int = 64 * 1024 * 1024
    most_body_bytes: int = 8 * 1024 * 1024
    body_deadline_s: float = 30.0
    drain_s: float = 60.0
    snapshot_poll_s: float = 15.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        given = {
            field.name: text
            for field in fields(cls)
            if (text := environ.get(f"TOLLWAY_{field.name.upper()}"))
        }
        if "cache_redis_url" not in given:
            raise SettingsError("TOLLWAY_CACHE_REDIS_URL is not set; write it like redis://127.0.0.1:6379/0")
        given.setdefault("ledger_redis_url", given["cache_redis_url"])
        try:
            return _ADAPTER.validate_python(given)
        except ValidationError as exc:
            first = exc.errors()[0]
            name = f"TOLLWAY_{str(first['loc'][0]).upper()}"
            # A URL may hold a password, so that one is not repeated.
            given_value = "" if name.endswith("_URL") else f" {first['input']!r}:"
            raise SettingsError(f"{name} is{given_value} {first['msg']}") from exc


_ADAPTER: Final = TypeAdapter(Settings)


def read_tokens(folder: Path) -> list[str]:
    """The valid admin tokens: two while they are rotated. None where there are none, and then nobody is let in."""
    if not folder.is_dir():
        return []
    files = (file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith("."))
    return [token for file in files if (token := file.read_text(encoding="utf-8").strip())]
