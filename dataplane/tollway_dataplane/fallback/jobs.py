"""What passes between the stages of a live request: what is to be asked, and what has come of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tollway_api.meta import ModelName
from tollway_api.routing_policy import Capability
from tollway_api.snapshot import Policy, Tenant
from tollway_dataplane.core.attempts import Attempt
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.core.values import value
from tollway_dataplane.ports import Chunk, Completion
from tollway_dataplane.record import Record
from tollway_dataplane.spans import CallSpan
from tollway_dataplane.spending.holds import Hold


@value
class Job:
    request: ChatRequest
    tenant: Tenant
    policy: Policy
    model: ModelName
    record: Record
    needs: frozenset[Capability]  # what the request needs of a model beside text
    in_background: bool = False  # then no other model stands in for it, and it gives way to what callers ask


@value
class Answered:
    attempt: Attempt
    completion: Completion


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that has begun to say something. Whoever has it must close it and settle its hold."""

    attempt: Attempt
    hold: Hold
    begun_at: float  # by `time.monotonic`
    span: CallSpan  # which ends with the stream
    first: Chunk = field(repr=False)
    rest: AsyncIterator[Chunk] = field(repr=False)
    closing: AsyncExitStack = field(repr=False)
