"""An OpenTelemetry collector as data planes see it: takes spans over OTLP/HTTP, read by the protocol's own definition,
and may be slow or refuse them.
"""

import asyncio
import contextlib
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.dataplanes import until
from tests.servers import served


@dataclass(frozen=True)
class Seen:
    """A span, in plain words."""

    name: str
    kind: str
    trace_id: str
    id: str
    parent: str
    began: int  # nanoseconds since the epoch, as is its end
    ended: int
    failed: bool
    attributes: Mapping[str, object]

    @property
    def error(self) -> object:
        return self.attributes.get("error.type")


@dataclass
class Collector:
    """`delay_s` and `status` are what the next exports meet."""

    url: str = ""
    delay_s: float = 0.0
    status: int = 200
    asked: int = 0
    spans: list[Seen] = field(default_factory=list)
    resources: list[Mapping[str, object]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.asked += 1
        body = await request.body()
        await asyncio.sleep(self.delay_s)
        if self.status != 200:
            return Response(status_code=self.status)
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw.append(body)
        for several in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(plain(several.resource.attributes))
            self.spans += [seen(span) for scope in several.scope_spans for span in scope.spans]
        reply = ExportTraceServiceResponse().SerializeToString()
        return Response(reply, media_type="application/x-protobuf")

    async def trace(self, root: str, number: int = 0) -> list[Seen]:
        """The spans of a trace by its root's name, once that is here, in the order in which they began."""
        await until(lambda: len(self._roots(root)) > number)
        found = self._roots(root)[number]
        return sorted(
            (each for each in self.spans if each.trace_id == found.trace_id), key=lambda each: each.began
        )

    def _roots(self, name: str) -> list[Seen]:
        return [each for each in self.spans if each.name == name]


def tree(spans: Sequence[Seen]) -> list[str]:
    """Their names, each behind as many dots as it has spans above it."""
    parents = {each.id: each.parent for each in spans}

    def depth(span: Seen) -> int:
        above, at = 0, span.parent
        while at in parents:
            above, at = above + 1, parents[at]
        return above

    return [f"{'.' * depth(each)}{each.name}" for each in spans]


def seen(span: Span) -> Seen:
    return Seen(
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == Status.STATUS_CODE_ERROR,
        plain(span.attributes),
    )


def plain(attributes: Sequence[KeyValue]) -> dict[str, object]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    assert kind is not None
    found: object = getattr(value, kind)
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else found


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    with served(Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])) as url:
        collector.url = url
        yield collector
