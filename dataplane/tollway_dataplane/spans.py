"""What a request tells whoever follows it, as Protocols, and those who keep nothing of it."""

from collections.abc import Mapping
from typing import Final, Protocol, Self

from tollway_api.snapshot import Embedding, Model
from tollway_dataplane.core.facts import NO_HEADERS, JsonObject, Operation, Usage

Fact = str | int | float | bool | None  # None: there is nothing to say


class Span(Protocol):
    """A part of a request, with its beginning and its end, for whoever follows the request. It ends with its `with`,
    and has failed where that raises. Costs next to nothing where nobody follows, never waits and never fails; and
    whoever notes something in it takes care that it is no prompt, no answer and no key.
    """

    def note(self, **facts: Fact) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None: ...


class CallSpan(Protocol):
    """The same of the call of a model."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells the provider which trace the call belongs to (W3C Trace Context); empty where nobody follows."""

    def begun(self, seconds: float) -> None:
        """So long after the call a stream has begun to say something."""

    def answered(self, usage: Usage, answer: JsonObject, finish_reason: str | None) -> None:
        """What it has used, how the provider names its answer and the model, as a completion or a chunk says, and why
        the answer ended.
        """

    def broke(self, error: str) -> None:
        """The answer is not whole, although nothing is raised."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None: ...


class Trace(Protocol):
    """Of one request."""

    @property
    def id(self) -> str:
        """In hexadecimal; empty where it is not kept."""

    def step(self, name: str) -> Span:
        """Inside the step that is under way."""

    def embedding(self, embedding: Embedding) -> Span:
        """The same: a text's vector."""

    def call(self, model: Model, operation: Operation, fields: JsonObject, *, streams: bool) -> CallSpan:
        """Of a model, by what it is sent. May outlast whatever is under way."""

    def end(self, status: int, ended: str, facts: Mapping[str, object]) -> None:
        """The reply has ended: with an HTTP status, and `whole`, `cut`, `broken`, `disconnected` or `drained`."""


class Tracer(Protocol):
    """Makes a trace of each request, or passes over it."""

    def begin(self, name: str, headers: Mapping[str, str], *, is_call: bool) -> Trace:
        """The request's own span. `name` is `METHOD /path` of a caller's call, which may belong to a trace already, as
        its headers say; otherwise what is done behind a reply.
        """


class Untraced:
    """Tracer, trace and span where nothing is kept; others may yet follow the request by the headers."""

    __slots__ = ("headers",)
    id: Final = ""

    def __init__(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        self.headers = headers

    def begin(self, _name: str, _headers: Mapping[str, str], *, is_call: bool) -> Self:  # noqa: ARG002 - the port's
        return self

    def step(self, _name: str) -> Self:
        return self

    def embedding(self, _embedding: Embedding) -> Self:
        return self

    def call(self, _model: Model, _operation: Operation, _fields: JsonObject, *, streams: bool) -> Self:  # noqa: ARG002 - the port's
        return self

    def note(self, **facts: Fact) -> None: ...

    def begun(self, seconds: float) -> None: ...

    def answered(self, usage: Usage, answer: JsonObject, finish_reason: str | None) -> None: ...

    def broke(self, error: str) -> None: ...

    def end(self, status: int, ended: str, facts: Mapping[str, object]) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, _exc: BaseException | None, _traceback: object) -> None: ...


UNTRACED: Final = Untraced()
