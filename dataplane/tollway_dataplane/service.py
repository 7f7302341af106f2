"""The story of a request, from key to account, on one screen: `Service.chat`. What it decides is in the pure folders,
everything it asks of the world is behind `ports`, and every stage notes what it did in the request's record.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

import orjson

from tollway_api.snapshot import Index, Policy
from tollway_dataplane.cache.lookup import Lookup
from tollway_dataplane.cache.recall import Recall
from tollway_dataplane.choosing import Choosing
from tollway_dataplane.core.completions import Assembly, chunks_of
from tollway_dataplane.core.decision import CacheReason, Source
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.naming import named_model, stood_in
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import Refusal, RefusalCode, UpstreamFault
from tollway_dataplane.fallback.dispatch import Dispatch
from tollway_dataplane.fallback.jobs import Answered, Job, Opened
from tollway_dataplane.fallback.settling import used
from tollway_dataplane.live import Live
from tollway_dataplane.ports import Remembered
from tollway_dataplane.quality.auditing import Auditor
from tollway_dataplane.quality.operating_points import OperatingPoints
from tollway_dataplane.quality.shadowing import Shadows
from tollway_dataplane.record import Record
from tollway_dataplane.telemetry.observe import Observer

DONE: Final = b"[DONE]"


@value
class Whole:
    """A complete reply as JSON."""

    body: bytes = field(repr=False)


class Comment(bytes):
    """Said in a stream to whoever looks at it; clients pass over it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The data of server-sent events. `rest` has begun, so closing it always settles; whoever has it must."""

    first: bytes = field(repr=False)
    rest: AsyncGenerator[bytes, None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stages:
    """What a request passes, in order."""

    indexes: OperatingPoints[Index]
    policies: OperatingPoints[Policy]
    recall: Recall
    choosing: Choosing
    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who looks at what was answered, behind the reply."""

    auditor: Auditor
    shadows: Shadows


class Service:
    def __init__(
        self,
        live: Live,
        stages: Stages,
        watchers: Watchers,
        observer: Observer,
    ) -> None:
        self._live = live
        self._indexes = stages.indexes
        self._policies = stages.policies
        self._recall = stages.recall
        self._choosing = stages.choosing
        self._dispatch = stages.dispatch
        self._auditor = watchers.auditor
        self._shadows = watchers.shadows
        self._observer = observer

    async def chat(self, request: ChatRequest, caller: str | None, record: Record) -> Whole | Stream:
        """Raises Refusal for everything the caller is to be told instead of an answer."""
        directory = self._live.current()  # once: the whole request runs on this snapshot
        record.revision = directory.revision
        tenant, _ = directory.authenticate(caller, time.time())
        record.tenant = tenant.name
        policy = self._policies.applied(directory.match(tenant, request.model, request.headers))
        record.policy = policy.id
        named = named_model(request.model, policy)  # refused before the cache is asked

        index = directory.snapshot.indexes.get(policy.cache.index) if policy.cache else None
        index = self._indexes.applied(index) if index else None
        record.index = index.id if index else ""
        with record.trace.step("cache") as step:
            lookup = await self._recall.look_up(request, tenant, policy, index, record)
            step.note(
                reason=lookup.reason, similarity=lookup.similarity, reuse_probability=lookup.probability
            )
        record.cache_reason = lookup.reason
        record.similarity, record.probability = lookup.similarity, lookup.probability
        record.mark("cache")
        if lookup.answer is not None:
            self._auditor.served(request, tenant, policy, lookup)
            return await self._remembered(request, lookup, lookup.answer, record)
        has_begun = False
        try:
            with record.trace.step("route") as step:
                choice = await self._choosing.choose(request, named, tenant, policy, lookup)
                step.note(reason=choice.reason, model=choice.model)
            record.route_reason, record.assessment, record.ease = (
                choice.reason,
                choice.assessment,
                choice.ease,
            )
            job = Job(request, tenant, policy, choice.model, record, choice.needs)
            try:
                result = await self._dispatch.call(job)
            except Refusal as refusal:
                stale = await self._stale(job, lookup, refusal)
                if stale is None:
                    raise  # from here, where it has no name that outlives it, and so keeps nothing
                return stale
            record.source = record.source or Source.LIVE
            record.model = result.attempt.model.name
            match result:
                case Answered(_, completion):
                    if completion.complete:
                        self._remember(lookup, job, completion.body)
                    self._shadows.answered(job, completion.body)
                    return Whole(completion.body)
                case Opened():
                    has_begun = True  # the stream lands when it ends
                    return await _begun(self._relay(job, result, lookup))
        finally:
            if not has_begun:
                lookup.land()

    async def _remembered(
        self, request: ChatRequest, lookup: Lookup, answer: Remembered, record: Record
    ) -> Whole | Stream:
        record.source = Source.SEMANTIC if lookup.reason is CacheReason.SEMANTIC else Source.EXACT
        record.model, record.saved_nano = answer.model, answer.cost_nano
        return await self._as_reply(answer, request, record)

    async def _stale(self, job: Job, lookup: Lookup, refusal: Refusal) -> Whole | Stream | None:
        """What is remembered, although it is no hit, where no provider has answered and the policy has it so."""
        found = None
        if refusal.code is RefusalCode.PROVIDERS_UNAVAILABLE:
            found = await self._recall.stand_in(lookup, job.policy)
        if found is None:
            return None
        (answer, reason), record = found, job.record
        record.source, record.stale, record.model = Source.STALE, reason, answer.model
        record.dropped = 0
        return await self._as_reply(answer, job.request, record)

    async def _as_reply(self, answer: Remembered, request: ChatRequest, record: Record) -> Whole | Stream:
        return await _begun(self._replay(answer, request, record)) if request.stream else Whole(answer.body)

    def _remember(self, lookup: Lookup, job: Job, body: bytes) -> None:
        """Only answers to the whole question, and of the model that was asked for where that makes a difference."""
        record = job.record
        is_other = stood_in(job.request, job.policy, job.model, record.model)
        if record.source is Source.LIVE and not record.dropped and not is_other:
            answer_nano = record.cost_nano - record.embedding_nano  # which a hit costs again
            self._recall.remember(lookup, job.policy, body, record.model, answer_nano)
            self._auditor.answered(job.request, job.tenant, job.policy, lookup, body)

    async def _replay(
        self, answer: Remembered, request: ChatRequest, record: Record
    ) -> AsyncGenerator[bytes, None]:
        """A remembered answer as the stream it would have been."""
        with self._observer.stream(record):
            for event in chunks_of(orjson.loads(answer.body), include_usage=request.include_usage):
                yield orjson.dumps(event)
            record.ended = "whole"
        yield DONE

    async def _relay(self, job: Job, opened: Opened, lookup: Lookup) -> AsyncGenerator[bytes, None]:
        """Passes the provider's events on, and settles however the stream ends: before the caller can know that it
        has, so that its next request finds this one counted and remembered.
        """
        assembly, record, tells_usage = Assembly(), job.record, job.request.include_usage
        with self._observer.stream(record):
            try:
                assembly.add(opened.first.event)
                # The usage event was asked for by us; a caller who did not ask never sees it.
                if tells_usage or opened.first.event.get("choices"):
                    yield opened.first.data
                async for chunk in opened.rest:
                    assembly.add(chunk.event)
                    if tells_usage or chunk.event.get("choices"):
                        yield chunk.data
                record.ended = "cut" if opened.hold.cut else "whole"
            except UpstreamFault:
                record.ended = "broken"
            finally:
                await asyncio.shield(self._end_stream(job, opened, assembly, lookup))
        if record.cut:
            yield Comment(f"the answer ends here: {record.cut}".encode())
        yield _BROKEN if record.ended == "broken" else DONE

    async def _end_stream(self, job: Job, opened: Opened, assembly: Assembly, lookup: Lookup) -> None:
        job.record.writing_s = time.monotonic() - opened.begun_at
        try:
            with opened.span as span:
                with contextlib.suppress(UpstreamFault):
                    await opened.closing.aclose()
                ended = job.record.ended
                usage = used(assembly.usage, opened.hold, opened.attempt, lambda: "".join(assembly.written))
                if opened.hold.cut:
                    usage = opened.hold.seen  # the last event is our own
                span.answered(usage, assembly.first or {}, assembly.finish_reason)
                if ended not in {"whole", "cut"}:
                    span.broke(ended)
            await self._dispatch.settle(
                job, opened.hold, opened.attempt, usage, "ok" if ended == "whole" else ended
            )
            if ended == "whole" and (lookup.wants_answer or job.policy.route.min_quality):
                body = orjson.dumps(assembly.completion())
                if assembly.whole:
                    self._remember(lookup, job, body)
                self._shadows.answered(job, body)
        finally:
            lookup.land()


async def _begun(events: AsyncGenerator[bytes, None]) -> Stream:
    """Runs a stream up to its first event, so that from now on closing it runs its end."""
    return Stream(await anext(events), events)


_BROKEN: Final = orjson.dumps(
    {
        "error": {
            "message": "the provider broke the stream off; what came before is all there is",
            "type": "api_error",
            "param": None,
            "code": RefusalCode.PROVIDERS_UNAVAILABLE,
        }
    }
)
