"""What the operator is told at start, from the environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from tollway_api.wire import check_redis_url


class SettingsError(Exception):
    """A variable is missing or makes no sense; the message names it."""


def _names(value: object) -> object:
    return (
        tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value
    )


RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable: `TOLLWAY_` and its name in capitals. Times are seconds."""

    cache_redis_url: RedisUrl
    ledger_redis_url: RedisUrl
    namespace: str = "tollway-system"  # the installation's: its policies govern all tenants
    watch_namespaces: Names = ()  # separated by commas; empty: all
    identity: str = field(default_factory=socket.gethostname)  # this replica's, in the Lease
    pod_selector: str = "app.kubernetes.io/name=tollway,app.kubernetes.io/component=dataplane"
    pod_admin_port: Port = 8081
    listen_host: str = "0.0.0.0"  # noqa: S104 - a pod's own address is not known beforehand
    listen_port: Port = 8082  # probes and metrics
    debounce_s: Seconds = 0.1
    resync_s: Seconds = 30.0  # the whole state is looked at again
    secret_refresh_s: Seconds = 30.0
    usage_refresh_s: Seconds = 5.0
    pod_poll_s: Seconds = 15.0
    watch_stale_s: Seconds = (
        240.0  # a watch that knows less than the API server for so long fails the liveness probe
    )
    # So does a loop that hangs: longer than a run over the largest installation, with a Redis at its deadlines.
    loop_stale_s: Seconds = 180.0
    release_after_s: Seconds = 600.0  # a deleted index is let go although Redis is gone

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        given = {
            each.name: text for each in fields(cls) if (text := environ.get(f"TOLLWAY_{each.name.upper()}"))
        }
        if "cache_redis_url" not in given:
            raise SettingsError(
                "TOLLWAY_CACHE_REDIS_URL is not set; write it like redis://redis-cache:6379/0"
            )
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
