"""The only place that wires: adapters to stages, stages to the story, the story to HTTP. `open_dataplane` builds
everything a process needs and takes it down again; `__main__` and `tollway serve` serve what it yields.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from tollway_api.routing_policy import FallbackTrigger
from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import Embedding, Index, Policy, Protocol, Snapshot, Tenant
from tollway_api.tenant_budget import Unit
from tollway_dataplane.adapters.litellm_upstream import LiteLLMUpstream
from tollway_dataplane.adapters.local_embedder import DIMENSIONS, LocalEmbedder
from tollway_dataplane.adapters.near_cache import LocalNearCache
from tollway_dataplane.adapters.openai_embedder import OpenAIEmbedder
from tollway_dataplane.adapters.openai_upstream import open_upstream
from tollway_dataplane.adapters.redis_cache import RedisAnswerCache
from tollway_dataplane.adapters.redis_client import CACHE_REPLICA, connected
from tollway_dataplane.adapters.redis_fleet import RedisFleet
from tollway_dataplane.adapters.redis_forgetter import RedisForgetter
from tollway_dataplane.adapters.redis_health import RedisHealth
from tollway_dataplane.adapters.redis_labels import RedisLabels
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.adapters.redis_memory import watch_memory
from tollway_dataplane.adapters.redis_reembedding import RedisReembedding
from tollway_dataplane.adapters.snapshot_files import SnapshotFiles
from tollway_dataplane.adapters.tiktoken_tokenizers import TiktokenTokenizers
from tollway_dataplane.adapters.tracing import open_tracer
from tollway_dataplane.adapters.wordllama_embedder import WordLlamaEmbedder
from tollway_dataplane.background import running
from tollway_dataplane.cache.embedders import Embedders
from tollway_dataplane.cache.forgetting import READ_S, REPLICA_LAG_S, Forgetting
from tollway_dataplane.cache.lazy_encoder import LazyEncoder
from tollway_dataplane.cache.lookup import Deadlines
from tollway_dataplane.cache.recall import Recall
from tollway_dataplane.cache.reembedding import Reembedder
from tollway_dataplane.choosing import Choosing
from tollway_dataplane.console import Console
from tollway_dataplane.edge.admin import Admin, Labelling, create_admin_app
from tollway_dataplane.edge.authentication import admit_tenant
from tollway_dataplane.edge.chat import chat_route
from tollway_dataplane.edge.chat_completions import chat_completions_route
from tollway_dataplane.edge.console import console_routes
from tollway_dataplane.edge.embeddings import embeddings_route
from tollway_dataplane.edge.endpoint import Bounds, Edge, create_public_app
from tollway_dataplane.edge.feedback import feedback_route
from tollway_dataplane.edge.models import models_routes, names_of
from tollway_dataplane.embedding_service import EmbeddingService
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.fallback.dispatch import Dispatch
from tollway_dataplane.fallback.health import Health
from tollway_dataplane.fleet import SILENT_S, Fleet
from tollway_dataplane.following import Following
from tollway_dataplane.judgement.judge import shipped
from tollway_dataplane.live import Live, Prepare
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.ports import ClosableEncoder, Encoder, Figures, SnapshotSource, Upstream
from tollway_dataplane.quality.auditing import Auditor, Feedback
from tollway_dataplane.quality.judging import AnswerJudge, Asking
from tollway_dataplane.quality.labelling import Labeller
from tollway_dataplane.quality.operating_points import INDEXES, POLICIES, OperatingPoints
from tollway_dataplane.quality.shadowing import Shadows
from tollway_dataplane.routing.router import shipped as shipped_router
from tollway_dataplane.service import Service, Stages, Watchers
from tollway_dataplane.settings import Settings, read_tokens
from tollway_dataplane.spending.balances import Balances
from tollway_dataplane.spending.budgets import Budgets
from tollway_dataplane.spending.embedding_bills import EmbeddingBills
from tollway_dataplane.spending.grants import Grants
from tollway_dataplane.spending.leases import Leases
from tollway_dataplane.telemetry.health_metrics import HealthMetrics
from tollway_dataplane.telemetry.metrics import Metrics
from tollway_dataplane.telemetry.observe import Observer, described

_NO_VARIABLES: Final[Mapping[str, str]] = {}
_LAG_EVERY_S: Final = 0.1
_PATHS: Final = (
    "POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, POST /chat, POST /v1/feedback"
)


@dataclass(slots=True)
class DataPlane:
    """A running data plane, without its sockets."""

    live: Live
    following: Following
    forgetting: Forgetting
    metrics: Metrics
    public: ASGIApp
    admin: ASGIApp
    draining: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def open_dataplane(
    settings: Settings,
    log: JsonLog,
    load_encoder: Callable[[], Awaitable[ClosableEncoder]] = LocalEmbedder.load,
    environ: Mapping[str, str] = _NO_VARIABLES,  # of which OpenTelemetry's are looked at
) -> AsyncIterator[DataPlane]:
    """Everything but the first snapshot, which the caller offers to `live` or lets `following` find."""
    async with AsyncExitStack() as stack:
        balances = Balances()
        metrics = Metrics(CollectorRegistry(), balances, settings.metrics_tenants)
        observer = await stack.enter_async_context(_observing(metrics, log, environ))
        cache_redis, ledger_redis, *replica = await stack.enter_async_context(
            connected(_servers(settings), log)
        )
        litellm = LiteLLMUpstream(settings.reach)
        direct = await stack.enter_async_context(open_upstream(reach=settings.reach))
        upstreams: dict[Protocol, Upstream] = {Protocol.OPENAI: direct, Protocol.LITELLM: litellm}
        encoder = await stack.enter_async_context(aclosing(LazyEncoder(load_encoder)))
        ledger = RedisLedger(
            *(ledger_redis, settings.ledger_deadline_s, balances.observe), partial(_given_up, log, metrics)
        )
        budgets = await stack.enter_async_context(_counting(ledger, balances, metrics))
        tokenizers = TiktokenTokenizers()
        bills = EmbeddingBills(budgets, tokenizers, metrics.money.spent_on_index)
        embedders = _embedders(encoder, direct, bills)
        within_s = settings.cache_write_deadline_s
        cache = RedisAnswerCache(cache_redis, within_s, DIMENSIONS, *replica)
        labels = RedisLabels(cache_redis, within_s)
        near, forgetter = LocalNearCache(settings.near_cache_bytes), RedisForgetter(cache_redis, within_s)
        forgetting = Forgetting(near, forgetter, log, REPLICA_LAG_S if replica else READ_S)
        await stack.enter_async_context(_remembering(cache, forgetting))
        bounded = _bounded(labels, metrics)
        judge = await asyncio.to_thread(shipped)
        recall = Recall(
            cache, forgetting, embedders, judge, _deadlines(settings), metrics.cache.observe_store
        )
        stack.push_async_callback(recall.drain)
        reembedder = Reembedder(RedisReembedding(cache_redis), embedders)
        await stack.enter_async_context(aclosing(reembedder))

        health = _health(RedisHealth(cache_redis, within_s), metrics)
        choosing = _choosing(encoder, settings, log, metrics)
        settle = _settling((metrics, health, budgets), bounded, (recall, choosing, reembedder))
        process, load = metrics.process, _loading(litellm, encoder, embedders, tokenizers, choosing)
        live = Live(load, process.observe_snapshot, process.snapshots_rejected.inc, settle)
        following = Following(live, await _sources(settings, stack), log)
        dispatch = Dispatch(upstreams, budgets, tokenizers, health)
        answers = AnswerJudge(Asking(choosing, dispatch, observer), encoder, judge)
        hits, pairs = (Labeller(labels, of.observe_label) for of in (metrics.cache, metrics.route))
        stack.push_async_callback(_drained, hits, pairs)
        watchers = Watchers(Auditor(labels, forgetting, recall, answers, hits), Shadows(answers, pairs))
        service = Service(live, Stages(*bounded, recall, choosing, dispatch), watchers, observer)

        memory = watch_memory({"cache": cache_redis, "ledger": ledger_redis}, process)
        lag, draining = _measure_loop_lag(metrics), asyncio.Event()
        own = partial(_figures, settings.identity, live, following, metrics, draining)
        fleet = _fleet(RedisFleet(cache_redis, within_s, SILENT_S), own)
        for work in (*(each.run() for each in (*bounded, health, fleet, choosing)), memory, lag):
            await stack.enter_async_context(running(work))
        admin = Admin(
            live,
            following,
            forgetting,
            metrics.registry,
            metrics.cache.by_index,
            draining.is_set,
            lambda: read_tokens(settings.admin_token_dir),
            settings.admin_tls_dir is not None,
            _labelling(live, watchers.auditor),
            embedders.unfit,
            health.unwell,
        )
        edge = Edge(partial(admit_tenant, live), _bounds(settings), observer, log)
        embeddings = EmbeddingService(live, upstreams, budgets, tokenizers, health)
        public = _public(edge, live, service, embeddings, watchers.auditor)
        private = _private(admin, fleet, metrics, balances)
        yield DataPlane(live, following, forgetting, metrics, public, private, draining)


def _bounded(labels: RedisLabels, metrics: Metrics) -> tuple[OperatingPoints[Index], OperatingPoints[Policy]]:
    return (
        OperatingPoints(INDEXES, labels, metrics.cache.observe_standing),
        OperatingPoints(POLICIES, labels, metrics.route.observe_standing),
    )


def _private(admin: Admin, fleet: Fleet, metrics: Metrics, balances: Balances) -> ASGIApp:
    console = Console(fleet, metrics.recent, balances, admin.unfit, admin.unwell)
    return create_admin_app(admin, console_routes(console.state, admin.knows))


def _public(
    edge: Edge, live: Live, service: Service, embeddings: EmbeddingService, auditor: Auditor
) -> ASGIApp:
    routes = [
        *(chat_completions_route(edge, service), chat_route(edge, service)),
        *(embeddings_route(edge, embeddings), feedback_route(edge, live, auditor)),
        *models_routes(edge, partial(names_of, live)),
    ]
    return create_public_app(edge, routes, _PATHS)


@asynccontextmanager
async def _observing(metrics: Metrics, log: JsonLog, environ: Mapping[str, str]) -> AsyncIterator[Observer]:
    async with open_tracer(environ, "tollway-dataplane", log, metrics.process.count_spans) as tracer:
        yield Observer(metrics, log, described, tracer)


def _servers(settings: Settings) -> list[tuple[str, str, float]]:
    """The cache's, the ledger's, and the cache's replica where there is one: role, URL and deadline."""
    within_s = settings.cache_read_deadline_s
    servers = [
        ("cache", settings.cache_redis_url, within_s),
        ("ledger", settings.ledger_redis_url, settings.ledger_deadline_s),
        (CACHE_REPLICA, settings.cache_replica_redis_url, within_s),
    ]
    return [(role, url, deadline_s) for role, url, deadline_s in servers if url]


@asynccontextmanager
async def _counting(ledger: RedisLedger, balances: Balances, metrics: Metrics) -> AsyncIterator[Budgets]:
    """While there are holds, and leases and grants, which are given back before."""
    pod, clock = secrets.token_hex(6), asyncio.get_running_loop().time
    leases, grants = Leases(ledger, pod, clock), Grants(ledger, pod, clock, metrics.money.unsettled)
    async with AsyncExitStack() as stack:
        for each, work in ((ledger, ledger.keep_holds), (leases, leases.run), (grants, grants.run)):
            await stack.enter_async_context(aclosing(each))
            await stack.enter_async_context(running(work()))
        yield Budgets(ledger, leases, grants, balances, metrics.money)


def _given_up(log: JsonLog, metrics: Metrics, tenant: Tenant) -> None:
    log.warning("a settlement was given up", tenant=tenant.name, reason="too many are pending")
    metrics.money.uncounted()


def _choosing(encoder: LazyEncoder, settings: Settings, log: JsonLog, metrics: Metrics) -> Choosing:
    def lacking(examples: int) -> None:
        if examples:
            log.warning("examples of a policy could not be embedded", examples=examples)
        metrics.route.observe_lacking(examples)

    return Choosing(encoder, shipped_router(), settings.embed_deadline_s, lacking)


async def _drained(*labellers: Labeller) -> None:
    await asyncio.gather(*(each.drain() for each in labellers))


@asynccontextmanager
async def _remembering(cache: RedisAnswerCache, forgetting: Forgetting) -> AsyncIterator[None]:
    """With what has been forgotten, as far as is known at first."""
    with suppress(CacheFault):  # then nothing is answered from memory until it can be asked
        await forgetting.refresh()
    async with running(forgetting.run()), running(forgetting.sweep()), running(cache.claims.keep()):
        yield


def _health(news: RedisHealth, metrics: Metrics) -> Health:
    health = Health(news, asyncio.get_running_loop().time, random.random)
    metrics.registry.register(HealthMetrics(health.endpoint_states))
    return health


def _bounds(settings: Settings) -> Bounds:
    return Bounds(settings.most_body_bytes, settings.body_deadline_s)


def _deadlines(settings: Settings) -> Deadlines:
    return Deadlines(settings.cache_read_deadline_s, settings.embed_deadline_s, settings.coalesce_wait_s)


def _embedders(encoder: Encoder, upstream: Upstream, bills: EmbeddingBills) -> Embedders:
    async def outside(embedding: Embedding) -> OpenAIEmbedder:
        return OpenAIEmbedder(embedding, upstream)

    # The judge's own is never asked for here, and there is only one other local one.
    return Embedders(
        encoder,
        {
            EmbeddingProvider.LOCAL: WordLlamaEmbedder.load,
            EmbeddingProvider.OPENAI_COMPATIBLE: outside,
        },
        bills,
    )


def _loading(
    litellm: LiteLLMUpstream,
    encoder: LazyEncoder,
    embedders: Embedders,
    tokenizers: TiktokenTokenizers,
    choosing: Choosing,
) -> Prepare:
    async def prepare(snapshot: Snapshot) -> None:
        await encoder.prepare(snapshot)
        await embedders.prepare(snapshot)
        await choosing.prepare(snapshot)
        models = [model for policy in snapshot.policies for model in policy.models.values()]
        limits = (limit for budget in snapshot.budgets for limit in budget.limits)
        cuts_down = any(
            FallbackTrigger.CONTEXT_OVERFLOW in policy.fallback.triggers for policy in snapshot.policies
        )
        counts = cuts_down or any(limit.unit is not Unit.REQUESTS for limit in limits)
        # Side by side, since building a table needs Python for only half of its time.
        async with asyncio.TaskGroup() as loading:
            if through := [model for model in models if model.protocol is Protocol.LITELLM]:
                loading.create_task(litellm.load(through))
            if counts:
                loading.create_task(tokenizers.load(models))

    return prepare


def _settling(
    at_once: tuple[Metrics, Health, Budgets],
    bounded: tuple[OperatingPoints[Index], OperatingPoints[Policy]],
    at_length: tuple[Recall, Choosing, Reembedder],
) -> Prepare:
    """Those who follow what a snapshot says, in order."""

    async def settle(snapshot: Snapshot) -> None:
        for each in at_once:
            each.follow(snapshot)
        indexes, policies = bounded
        indexes.follow(snapshot.indexes.values())
        policies.follow(snapshot.policies)
        for one in at_length:
            await one.follow(snapshot)

    return settle


def _fleet(news: RedisFleet, own: Callable[[], Figures]) -> Fleet:
    return Fleet(news, secrets.token_hex(6), own)


def _figures(
    name: str, live: Live, following: Following, metrics: Metrics, draining: asyncio.Event
) -> Figures:
    """What this process says of itself to the others."""
    recent = metrics.recent
    return Figures(
        name,
        recent.since_s,
        live.revision or "",
        following.rejected,
        draining.is_set(),
        metrics.in_flight,
        dict(recent.requests),
        dict(recent.lately()),
        recent.spent_nano,
        recent.saved_nano,
        recent.routed_nano,
    )


def _labelling(live: Live, auditor: Auditor) -> Labelling:
    """By whoever has the admin token, of any tenant's reply."""

    async def label(request_id: str, right: bool) -> Feedback | None:
        indexes = live.current().snapshot.indexes.values()
        return await auditor.label(indexes, request_id, None, right=right)

    return label


async def _sources(settings: Settings, stack: AsyncExitStack) -> list[SnapshotSource]:
    sources: list[SnapshotSource] = [SnapshotFiles(settings.snapshot_dir)]
    if settings.snapshot_secret:
        # A client for Kubernetes is 6 MB, for which there is no use anywhere else.
        from tollway_dataplane.adapters.snapshot_secrets import open_snapshot_secrets  # noqa: PLC0415 - see above

        sources.append(await stack.enter_async_context(open_snapshot_secrets(settings.snapshot_secret)))
    return sources


async def _measure_loop_lag(metrics: Metrics) -> None:
    """A loop that is blocked wakes this task late; by how much is the lag."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        metrics.process.loop_lag.observe(max(0.0, clock() - due))
