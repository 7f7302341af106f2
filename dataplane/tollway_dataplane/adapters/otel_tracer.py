"""Traces of requests by OpenTelemetry's SDK, exported over OTLP/HTTP: the one file that imports it. `tracing` imports
this one where traces are wanted.

A request never waits for a collector: what has ended goes into a bounded queue, a thread sends it, and what does not
fit is dropped and counted. Each span has its parent from us and none from a context variable, because a stream ends in
another place than it began.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tollway_api.semantic_cache_index import EmbeddingProvider
from tollway_api.snapshot import Embedding, Model
from tollway_dataplane.adapters.otel_attributes import (
    OPERATIONS,
    of_answer,
    of_call,
    of_embedding,
    of_request,
)
from tollway_dataplane.adapters.tracing import OnSpans
from tollway_dataplane.core.facts import JsonObject, Operation, Usage
from tollway_dataplane.errors import Refusal, UpstreamFault
from tollway_dataplane.logs import JsonLog
from tollway_dataplane.spans import CallSpan, Fact, Span, Trace, Untraced

# The SDK's own default; some three hundred requests.
_QUEUE_SPANS: Final = 2_048
# While a thread encodes spans requests share the interpreter with it, and the SDK's 512 together take tens of
# milliseconds.
_SPANS_TOGETHER: Final = 32
# What is still waiting when the process ends is tried for so long.
_FLUSH_S: Final = 3.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = "traceparent"
_NOWHERE: Final = Context()  # where no span is under way


@asynccontextmanager
async def exporting(service: str, log: JsonLog, on_spans: OnSpans) -> AsyncIterator["Tracer"]:
    """The tracer; what it has is sent when the context is left, for as long as that may take."""
    # The SDK would log to standard error, in lines of its own.
    sdk_logger = logging.getLogger("opentelemetry")
    sdk_logger.addHandler(logging.NullHandler())
    sdk_logger.propagate = False
    loop = asyncio.get_running_loop()

    def changed(works: bool) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody reads the log any more
            loop.call_soon_threadsafe(_log_change, log, works)

    exporter = _Watched(OTLPSpanExporter(), on_spans, changed)
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(_Bounded(exporter, on_spans))
    try:
        yield Tracer(provider.get_tracer("tollway", version("tollway")))
    finally:
        # Of the SDK's own, which may wait for half a minute where the collector is away.
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _FLUSH_S)


def _resource(service: str) -> Resource:
    own = {
        "service.name": service,
        "service.version": version("tollway"),
        "service.instance.id": socket.gethostname(),
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())


def _log_change(log: JsonLog, works: bool) -> None:
    if works:
        log.info("traces are exported again")
    else:
        log.warning("traces are not exported", reason="the collector is away, or refuses them")


class _Watched(SpanExporter):
    """Says what has become of spans, and when that changes."""

    def __init__(self, exporter: SpanExporter, on_spans: OnSpans, changed: Callable[[bool], None]) -> None:
        self._exporter = exporter
        self._on_spans = on_spans
        self._changed = changed
        self._works = True
        self.taken = 0  # spans, since the start

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        works = False
        try:
            result = self._exporter.export(spans)
            works = result is SpanExportResult.SUCCESS
        finally:
            self._on_spans("sent" if works else "failed", len(spans))
            if works is not self._works:
                self._works = works
                self._changed(works)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Bounded(BatchSpanProcessor):
    """The SDK's queue, which is bounded, and drops what does not fit without saying so."""

    def __init__(self, exporter: _Watched, on_spans: OnSpans) -> None:
        self._most = _number(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE), _QUEUE_SPANS)
        together = _number(os.environ.get(OTEL_BSP_MAX_EXPORT_BATCH_SIZE), _SPANS_TOGETHER)
        super().__init__(exporter, self._most, max_export_batch_size=min(together, self._most))
        self._exporter = exporter
        self._on_spans = on_spans
        self._taken = 0

    def on_end(self, span: ReadableSpan) -> None:
        if self._taken - self._exporter.taken >= self._most:
            self._on_spans("dropped", 1)
            return
        self._taken += 1
        super().on_end(span)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() and int(text) else default


class Tracer:
    def __init__(self, tracer: OtelTracer) -> None:
        self._tracer = tracer

    def begin(self, name: str, headers: Mapping[str, str], *, is_call: bool) -> Trace:
        method, _, route = name.partition(" ")
        span = self._tracer.start_span(
            name,
            _PROPAGATOR.extract(headers) if _TRACEPARENT in headers else _NOWHERE,
            SpanKind.SERVER if is_call else SpanKind.INTERNAL,
            {"http.request.method": method, "http.route": route} if route else None,
        )
        if span.get_span_context().trace_flags.sampled:
            return _Trace(self._tracer, span, is_call=is_call)
        return Untraced(_headers_of(span))


class _Trace:
    def __init__(self, tracer: OtelTracer, span: OtelSpan, *, is_call: bool) -> None:
        self._tracer = tracer
        self._span = span
        self._is_call = is_call
        self._root = self.under_way = set_span_in_context(span, _NOWHERE)

    @property
    def id(self) -> str:
        return format_trace_id(self._span.get_span_context().trace_id)

    def step(self, name: str) -> Span:
        return _Step(self, self._tracer.start_span(name, self.under_way), f"tollway.{name}")

    def embedding(self, embedding: Embedding) -> Span:
        is_local = embedding.provider is EmbeddingProvider.LOCAL
        span = self._tracer.start_span(
            f"{OPERATIONS[Operation.EMBEDDINGS]} {embedding.model}",
            self.under_way,
            SpanKind.INTERNAL if is_local else SpanKind.CLIENT,
            of_embedding(embedding),
        )
        return _Step(self, span, "tollway.embedding")

    def call(self, model: Model, operation: Operation, fields: JsonObject, *, streams: bool) -> CallSpan:
        attributes = of_call(model, operation, fields)
        if streams:
            attributes["gen_ai.request.stream"] = True
        name = f"{OPERATIONS[operation]} {attributes['gen_ai.request.model']}"
        return _Call(self._tracer.start_span(name, self._root, SpanKind.CLIENT, attributes))

    def end(self, status: int, ended: str, facts: Mapping[str, object]) -> None:
        span = self._span
        span.set_attributes(of_request(facts))
        if self._is_call:
            span.set_attribute("http.response.status_code", status)
        # What a caller has done wrong is no error of a server's.
        if status >= 500:
            _fail(span, str(facts.get("refusal") or status))
        elif ended == "broken":
            _fail(span, ended)
        span.end()


class _Ended:
    """With its `with`."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        if exc is not None:
            _fail(self._span, _error_of(exc))
        self._span.end()


class _Step(_Ended):
    """What comes meanwhile is a part of it."""

    def __init__(self, trace: _Trace, span: OtelSpan, prefix: str) -> None:
        super().__init__(span)
        self._trace = trace
        self._prefix = prefix
        self._outer = trace.under_way

    def note(self, **facts: Fact) -> None:
        for name, value in facts.items():
            if value is not None and value != "":
                self._span.set_attribute(f"{self._prefix}.{name}", value)

    def __enter__(self) -> Self:
        self._trace.under_way = set_span_in_context(self._span, _NOWHERE)
        return self

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        self._trace.under_way = self._outer
        super().__exit__(kind, exc, traceback)


class _Call(_Ended):
    @property
    def headers(self) -> Mapping[str, str]:
        return _headers_of(self._span)

    def begun(self, seconds: float) -> None:
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)

    def answered(self, usage: Usage, answer: JsonObject, finish_reason: str | None) -> None:
        self._span.set_attributes(of_answer(usage, answer, finish_reason))

    def broke(self, error: str) -> None:
        _fail(self._span, error)


def _headers_of(span: OtelSpan) -> dict[str, str]:
    """Without the caller's `tracestate`, which may say more than a provider needs to know."""
    own = span.get_span_context()
    trace_id, span_id = format_trace_id(own.trace_id), format_span_id(own.span_id)
    return {_TRACEPARENT: f"00-{trace_id}-{span_id}-{own.trace_flags:02x}"}


def _fail(span: OtelSpan, error: str) -> None:
    """Not with an exception's own words, which may repeat a provider's."""
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _error_of(exc: BaseException) -> str:
    match exc:
        case UpstreamFault():
            return exc.kind
        case Refusal():
            return exc.code
        case asyncio.CancelledError():
            return "cancelled"
    return type(exc).__name__
