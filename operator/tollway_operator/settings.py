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

    cache_redis_url: Annotated[RedisUrl, "URL of the Redis that remembers answers; required."]
    ledger_redis_url: Annotated[RedisUrl, "URL of the Redis that counts what is spent. Default: the cache's."]
    namespace: Annotated[
        str,
        "The installation's namespace: its policies govern all tenants, and the snapshot is written there.",
    ] = "tollway-system"
    watch_namespaces: Annotated[
        Names, "Namespaces to watch, separated by commas; all where there is none."
    ] = ()
    identity: Annotated[str, "This replica's name in the Lease. Default: the host's."] = field(
        default_factory=socket.gethostname
    )
    pod_selector: Annotated[str, "Labels of the data-plane pods."] = (
        "app.kubernetes.io/name=tollway,app.kubernetes.io/component=dataplane"
    )
    pod_admin_port: Annotated[Port, "Port on which pods are told of a snapshot."] = 8081
    listen_host: Annotated[str, "Address of probes and metrics."] = "0.0.0.0"  # noqa: S104 - a pod's own address is not known beforehand
    listen_port: Annotated[Port, "Port of probes and metrics."] = 8082
    debounce_s: Annotated[Seconds, "Seconds for which changes are gathered into one run."] = 0.1
    resync_s: Annotated[Seconds, "Seconds after which the whole state is looked at again."] = 30.0
    secret_refresh_s: Annotated[Seconds, "Seconds after which a Secret that is named is read again."] = 30.0
    usage_refresh_s: Annotated[Seconds, "Seconds between two looks at what was spent."] = 5.0
    pod_poll_s: Annotated[Seconds, "Seconds after which a pod is asked again what it runs."] = 15.0
    watch_stale_s: Annotated[
        Seconds,
        "Seconds for which a watch may know less than the API server before the liveness probe fails.",
    ] = 240.0
    # Longer than a run over the largest installation, with a Redis at its deadlines.
    loop_stale_s: Annotated[
        Seconds, "Seconds for which a run of the loop may hang before the liveness probe fails."
    ] = 180.0
    release_after_s: Annotated[
        Seconds, "Seconds after which a deleted index is let go although its Redis is gone."
    ] = 600.0

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
