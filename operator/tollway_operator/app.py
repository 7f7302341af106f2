"""The only place that wires: the doors to Kubernetes and to Redis, the loops, and kopf. `run_operator` runs until it
is told to stop or may not go on.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import aiohttp

from tollway_api.catalog import bundled
from tollway_api.compiler import Compilation, compile_snapshot
from tollway_api.inventory import Inventory
from tollway_operator.admin_port import AdminPort
from tollway_operator.admin_token import AdminToken
from tollway_operator.alerts import AlertWebhook, alerting
from tollway_operator.asked_purges import AskedPurges
from tollway_operator.deletion import Deletion
from tollway_operator.errors import StoreFault
from tollway_operator.events import Events
from tollway_operator.handlers import Definitions, Watchers, watch_kinds
from tollway_operator.health import Health
from tollway_operator.kube import open_kube
from tollway_operator.labels import labels_poller
from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.namespaces import Namespaces
from tollway_operator.notify import Notifier
from tollway_operator.objects import Objects
from tollway_operator.pods import Pods
from tollway_operator.probes import serving
from tollway_operator.publish import Publisher
from tollway_operator.purges import EVERY_S, PurgeReader
from tollway_operator.reconcile import Collaborators, Reconciler
from tollway_operator.redis_store import RedisStore, open_store
from tollway_operator.secrets import Secrets
from tollway_operator.settings import Settings
from tollway_operator.signals import Signal
from tollway_operator.status_writer import StatusWriter
from tollway_operator.tasks import until_first_ends
from tollway_operator.usage import usage_poller
from tollway_operator.watches import Watches
from tollway_tls.certificates import client_certificates

log = logging.getLogger(__name__)

_SIGNALS_AFTER_S: Final = 0.1


async def run_operator(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises OperatorError when it may not go on, such as LeadershipLost."""
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(open_kube())
        cache = await stack.enter_async_context(open_store(settings.cache_redis_url, "cache"))
        ledger = await stack.enter_async_context(open_store(settings.ledger_redis_url, "ledger"))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        metrics, objects = Metrics(), Objects()
        selector = dict(pair.split("=", 1) for pair in settings.pod_selector.split(","))

        state_changed, secrets_changed, pods_changed, word_came, news = (Signal() for _ in range(5))
        publisher = Publisher(kube, settings.namespace)

        leadership = Leadership(
            *(kube, settings.namespace, settings.identity),
            partial(_standing_fence, publisher, cache),
            on_acquired=state_changed,
        )
        events = Events(kube, leadership, settings.identity)
        namespaces = Namespaces(kube, objects, settings.watch_namespaces, state_changed)
        watches = Watches(kube, objects, namespaces, settings.watch_stale_s, state_changed)
        pods = Pods(kube, settings.namespace, selector, settings.watch_stale_s, pods_changed)
        notifier = Notifier(_port(session, settings), pods, settings.pod_poll_s, metrics, word_came)
        parts = Collaborators(
            objects=objects,
            watches=watches,
            secrets=Secrets(kube, settings.secret_refresh_s, secrets_changed),
            leadership=leadership,
            cache=cache,
            ledger=ledger,
            publisher=publisher,
            admin_token=AdminToken(kube, leadership, settings.namespace),
            pods=pods,
            notifier=notifier,
            deletion=Deletion(kube, cache, leadership, metrics, settings.release_after_s, events),
            usage=usage_poller(ledger, settings.usage_refresh_s, news),
            purges=_purges(cache, notifier, objects, leadership),
            labels=labels_poller(cache, settings.usage_refresh_s, news),
            metrics=metrics,
        )
        reconciler = Reconciler(
            parts, _compiling(settings), settings.namespace, settings.debounce_s, settings.resync_s, news
        )
        statuses = StatusWriter(kube, objects, leadership, reconciler.view, metrics, events)
        state_changed.to(reconciler.wake)
        secrets_changed.to(reconciler.secrets_changed)
        pods_changed.to(notifier.look, statuses.wake, reconciler.pods_answered)
        word_came.to(statuses.wake, reconciler.pods_answered)
        news.to(statuses.wake)
        definitions = Definitions(kube.defined, kube.listable)
        watchers = Watchers(state_changed, statuses.wake, watches.began_anew)
        watching, stop = asyncio.Event(), asyncio.Event()
        health = Health(reconciler, watches, pods, notifier, leadership, metrics, settings.loop_stale_s)
        port = serving(settings.listen_host, settings.listen_port, metrics, health.trouble, health.not_ready)
        await stack.enter_async_context(port)
        try:
            loops = (
                watch_kinds(objects, watchers, namespaces, settings.identity, definitions, watching),
                leadership.run(),
                namespaces.run(),
                watches.run(),
                parts.secrets.run(),
                pods.run(),
                notifier.run(),
                *(each.run(lambda: reconciler.snapshot) for each in (parts.usage, parts.labels)),
                parts.purges.run(),
                _tell_alerts(settings, reconciler, parts),
                reconciler.run(),
                *(each.run() for each in (statuses, events)),
                health.measure(),
                _take_signals(watching, stop),
                _until_told(stop),
            )
            await until_first_ends([asyncio.ensure_future(each) for each in loops])
        finally:
            await leadership.release()


def _port(session: aiohttp.ClientSession, settings: Settings) -> AdminPort:
    """Raises SettingsError."""

    def unreadable(why: str) -> None:
        log.warning("certificates cannot be read", extra={"reason": why})

    certificates = client_certificates(settings.admin_tls_dir, unreadable)
    return AdminPort(session, settings.pod_admin_port, certificates)


def _compiling(settings: Settings) -> Callable[[Inventory], Compilation]:
    return partial(
        compile_snapshot,
        catalog=bundled(),
        installation_namespace=settings.namespace,
        reach=settings.reach,
    )


def _purges(cache: RedisStore, notifier: Notifier, objects: Objects, leadership: Leadership) -> PurgeReader:
    asked = AskedPurges(objects, lambda: leadership.leads, notifier.purge)
    return PurgeReader(cache, EVERY_S, notifier.purged, asked.settle)


async def _standing_fence(publisher: Publisher, cache: RedisStore) -> int:
    fence = await publisher.standing_fence()
    with suppress(StoreFault):  # a Redis that is away delays nobody's election
        fence = max(fence, await cache.standing_fence())
    return fence


async def _tell_alerts(settings: Settings, reconciler: Reconciler, parts: Collaborators) -> None:
    """Runs for the life of the process; where nobody wants to be told, that takes no time."""
    async with alerting(settings.reach) as session:
        webhook = AlertWebhook(
            session, settings.alert_webhook_url, settings.reach, parts.ledger, parts.metrics
        )
        while True:
            await asyncio.sleep(settings.usage_refresh_s)
            if parts.leadership.leads and reconciler.snapshot is not None:
                await webhook.look(reconciler.snapshot, parts.usage.found)


async def _take_signals(kopf_is_ready: asyncio.Event, stop: asyncio.Event) -> None:
    """kopf takes the signals for itself whenever it begins, and then waits five seconds for our loops to end; so they
    are taken back.
    """
    while True:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await kopf_is_ready.wait()
        kopf_is_ready.clear()
        await asyncio.sleep(_SIGNALS_AFTER_S)


async def _until_told(stop: asyncio.Event) -> None:
    await stop.wait()
    log.info("stops")
