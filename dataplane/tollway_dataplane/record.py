"""What is noted of one request while its story runs: the one mutable object of the data plane's requests. Read
once at the end, for metrics, the log line and the reply's headers. Never holds a prompt, an answer or a key.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tollway_api.meta import ModelName
from tollway_dataplane.core.decision import CacheReason, RouteReason, Source, StaleReason
from tollway_dataplane.core.facts import NO_USAGE, Usage
from tollway_dataplane.core.values import value
from tollway_dataplane.routing.complexity import Assessment
from tollway_dataplane.spans import UNTRACED, Trace

# The operation of a call that is made behind a reply, to judge what has served.
JUDGING: Final = "judging"


@value
class AttemptNote:
    """One upstream attempt: which model, and "ok" or what went wrong. Of one that was not made, the model's state."""

    model: ModelName
    outcome: str
    kind: str = ""  # of what went wrong, in more detail
    made: bool = True


@dataclass(slots=True)
class Record:
    request_id: str
    operation: str
    route: str = ""  # of a caller's call: METHOD and path
    trace: Trace = field(default=UNTRACED, repr=False, compare=False)
    streaming: bool = False
    started: float = field(default_factory=time.perf_counter)
    revision: str = ""
    tenant: str = ""
    key: str = ""  # what people call the API key: its name, or where it stands
    policy: str = ""
    source: Source | None = None
    index: str = ""  # the id of the index that was asked
    cache_reason: CacheReason | None = None
    route_reason: RouteReason | None = None
    assessment: Assessment | None = None  # what the router's choice hung on, where it chose
    ease: float | None = None  # of the request, where the two models' answers are judged by it
    model: str = ""
    similarity: float | None = None
    probability: float | None = None  # that the candidate's answer may be reused
    attempts: list[AttemptNote] = field(default_factory=list)
    fallbacks: int = 0  # attempts after the first
    begun_s: float | None = None  # of the stream that answered, from the call to its first token
    writing_s: float | None = (
        None  # of the answer: of a stream from its first token, and else of the whole call
    )
    usage: Usage = NO_USAGE
    cost_nano: int = 0
    embedding_nano: int = 0  # of that, for looking in the cache
    estimated_nano: int = 0  # of all, where the provider did not say
    held_nano: int = 0  # by the attempt that answered
    stale: StaleReason | None = None  # of what was served from memory when nobody else answered
    saved_nano: int = 0  # by an answer from the cache
    routed_nano: int = 0  # saved by a simple model where the complex one would have cost more
    left_out: tuple[str, ...] = ()  # parameters that the model was not sent
    dropped: int = 0  # messages of the chat that were left out, since it was too long
    status: int = 200
    refusal: str = ""  # the code of the error reply
    limit: str = ""  # the limit that refused, had another model answer, or ended the answer
    rate_limits: Callable[[], Mapping[str, str]] = dict  # headers that say what is left
    tight: str = ""  # the limit of which the worst case was not plenty
    cut: str = ""  # why the answer was ended before its end
    max_tokens: int | None = None  # of each answer, where that is less than its caller wanted
    ended: str = "whole"  # or "cut", "broken", "disconnected" and "drained", of a reply that had begun
    marks: dict[str, float] = field(default_factory=dict)  # milliseconds since the start, by stage

    def mark(self, stage: str) -> None:
        """Notes when a stage was over."""
        self.marks[stage] = self.elapsed_ms()

    def elapsed_ms(self) -> float:
        # In whole microseconds, for which `round` takes four times as long.
        return int((time.perf_counter() - self.started) * 1e6) / 1_000
