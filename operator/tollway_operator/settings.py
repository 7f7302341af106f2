"""What the operator is told at start, from the environment."""

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from tollway_api.environment import LedgerUrl, Opened, RedisUrl, names
from tollway_api.reach import Reach


def _namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError."""
    for name in names:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise ValueError(f"{name!r} is no name of a namespace; leave the setting out to watch all")
    return names


def _selector(text: str) -> str:
    """Raises ValueError: what selects nothing in particular would have every pod of the namespace told the token."""
    if not re.fullmatch(r"[\w./-]+=[\w.-]+(,[\w./-]+=[\w.-]+)*", text):
        raise ValueError("write it like app.kubernetes.io/name=tollway,app.kubernetes.io/component=dataplane")
    return text


def _webhook(url: str) -> str:
    """Raises ValueError, which never repeats it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not the address of a webhook; write it like https://example.com/alerts")
    return url


Names = Annotated[tuple[str, ...], BeforeValidator(names), AfterValidator(_namespaces)]
Selector = Annotated[str, AfterValidator(_selector)]
WebhookUrl = Annotated[str, AfterValidator(_webhook)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable: `TOLLWAY_` and its name in capitals. Times are seconds."""

    cache_redis_url: Annotated[RedisUrl, "URL of the Redis that remembers answers; required."]
    ledger_redis_url: Annotated[
        LedgerUrl, "URL of the Redis that counts what is spent. Default: the cache's."
    ]
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
    pod_selector: Annotated[Selector, "Labels of the data-plane pods."] = (
        "app.kubernetes.io/name=tollway,app.kubernetes.io/component=dataplane"
    )
    pod_admin_port: Annotated[Port, "Port on which pods are told of a snapshot."] = 8081
    admin_tls_dir: Annotated[
        Path | None,
        "Folder of tls.crt, tls.key and ca.crt, with which pods are told by TLS, and never without it.",
    ] = None
    listen_host: Annotated[str, "Address of probes and metrics."] = "0.0.0.0"  # noqa: S104 - a pod's own address is not known beforehand
    listen_port: Annotated[Port, "Port of probes and metrics."] = 8082
    debounce_s: Annotated[Seconds, "Seconds for which changes are gathered into one run."] = 0.1
    resync_s: Annotated[Seconds, "Seconds after which the whole state is looked at again."] = 30.0
    secret_refresh_s: Annotated[Seconds, "Seconds after which a Secret that is named is read again."] = 30.0
    usage_refresh_s: Annotated[Seconds, "Seconds between two looks at what was spent."] = 5.0
    alert_webhook_url: Annotated[
        WebhookUrl,
        "URL to which alerts of budgets are posted as JSON; none where there is none.",
    ] = field(default="", repr=False)
    allow_endpoints: Opened = ()
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

    @property
    def reach(self) -> Reach:
        return Reach.of(self.allow_endpoints)
