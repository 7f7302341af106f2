"""What the story of a request needs from the world, as Protocols. Each has one adapter per third party."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from math import inf
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tollway_api import wire
from tollway_api.epochs import Epochs, Scope
from tollway_api.error_control import Label, Tally
from tollway_api.meta import TenantName
from tollway_api.parts import Head
from tollway_api.reembedding import Progress
from tollway_api.routing_policy import UnknownParameters
from tollway_api.snapshot import Embedding, Index, IndexVersion, Model, Tenant
from tollway_api.wire import Sample
from tollway_dataplane.core.breaker import Verdict
from tollway_dataplane.core.budgeting import Denied, Taken
from tollway_dataplane.core.completions import written_in
from tollway_dataplane.core.facts import JsonObject, Operation, Turn, Usage, choices_in
from tollway_dataplane.core.parameters import sent_parameters, tellable
from tollway_dataplane.core.values import value
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.judgement.judge import View
from tollway_dataplane.prompts.reading import Encoded, WordVectors
from tollway_dataplane.spans import UNTRACED, CallSpan

Vector = npt.NDArray[np.float32]
# What is larger is not remembered: it would push hundreds of usual answers out.
MOST_ANSWER_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer as it is kept: the whole completion, ready to be sent again."""

    body: bytes  # a `chat.completion` object as JSON
    model: str
    cost_nano: int  # what it cost when it was live
    expires_at: float  # seconds since the epoch
    grace_ms: int = 0  # for which it is kept after that, to be served when nobody else answers


@dataclass(frozen=True, slots=True)
class Neighbour:
    entry: str
    similarity: float  # cosine of the index's embedding, from -1 to 1
    prompt: str  # normalised
    vector: Vector  # the judge's, as are the words'
    words: WordVectors
    turns: tuple[Turn, ...] = ()  # of a chat, before the prompt


@value
class Place:
    """Where one answer belongs: index, identity partition, and entry within it."""

    index: Index
    partition: str
    entry: str

    @property
    def key(self) -> str:
        """Its answer's, in Redis and in memory."""
        return wire.entry_key(self.partition, self.entry)

    @property
    def claim_key(self) -> str:
        """The key of the claim of whoever is asking a provider for the answer."""
        return wire.claim_key(self.partition, self.entry)


@dataclass(frozen=True, slots=True)
class FoundBy:
    """How others find an answer: what the judge reads, and a vector for each index version that is written."""

    view: View
    vectors: Sequence[tuple[IndexVersion, Vector]]


class SnapshotSource(Protocol):
    """Where snapshots come from. Every method raises SnapshotFault."""

    async def head(self) -> Head | None:
        """The newest one's, or None when there is none yet."""

    async def encoded(self, head: Head) -> bytes: ...


class Claims(Protocol):
    """Who is asking a provider for what, over all data planes; `AnswerCache.claim` takes one. A claim of one that has
    died is soon gone.
    """

    def release(self, place: Place) -> None:
        """Where it was taken, nobody need wait any more. Takes no time and never fails."""

    def forget(self, place: Place) -> None:
        """Where it was taken, it is gone: what is put takes the claim along."""

    async def drain(self) -> None:
        """Waits for releases under way."""


class AnswerCache(Protocol):
    """Remembers answers. Every method raises CacheFault, and none takes longer than it is given, in seconds."""

    @property
    def claims(self) -> Claims: ...

    async def get(self, place: Place, within_s: float, *, expired: bool = False) -> Remembered | None:
        """What has been put this moment may still be a miss. `expired`: also what has expired and is in its grace."""

    async def claim(self, place: Place, within_s: float) -> tuple[bool, Remembered | None]:
        """Whether nobody else is asking for it, so that others wait for us, and what has been put until then."""

    async def nearest(
        self, place: Place, vector: Vector, count: int, within_s: float, about: Sequence[str] = ()
    ) -> Sequence[Neighbour]:
        """The nearest by the version that lookups ask, whose embedding has made the vector. Where there are words in
        `about`, only chats in which one of them was said.
        """

    async def put(self, place: Place, found_by: "FoundBy | None", answer: Remembered) -> None:
        """Without what it is found by, only the very same prompt will find the answer."""

    async def unlink_orphan(self, place: Place) -> None:
        """Deletes what an answer is found by, unless the answer is there (by now)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's turn at filling an index version. Turns are counted, so that one that is over is refused."""

    fence: int
    progress: Progress | None  # as those before have left it


@dataclass(frozen=True, slots=True)
class Lacking:
    """A remembered prompt that another index version has not yet."""

    partition: str
    entry: str
    prompt: str = field(repr=False)
    judged: Vector = field(repr=False)  # what the judge reads


class ReembeddingStore(Protocol):
    """What is remembered under one index version, to be remembered under another as well. Every method raises
    CacheFault.
    """

    async def progress(self, target: IndexVersion) -> Progress | None: ...

    async def claim(self, target: IndexVersion) -> Claim | None:
        """None while it is somebody else's turn, which ends a few seconds after they last noted something."""

    async def note(self, target: IndexVersion, fence: int, progress: Progress) -> bool:
        """Whether it is still one's turn; if not, nothing is noted."""

    async def release(self, target: IndexVersion, fence: int) -> None: ...

    async def beginning(self, source: IndexVersion) -> Progress:
        """The progress of going through a source, as nobody has begun it."""

    async def scan(self, source: IndexVersion, cursor: int) -> tuple[int, Sequence[str]]:
        """The next cursor, 0 at the end, and some keys of the source's documents."""

    async def lacking(
        self, source: IndexVersion, target: IndexVersion, keys: Sequence[str]
    ) -> Sequence[Lacking]: ...

    async def add(self, source: IndexVersion, target: IndexVersion, lacking: Lacking, vector: Vector) -> None:
        """Unless the target has it by now, or the source has not any more."""

    async def sample(self, source: IndexVersion, most: int) -> Sequence[Lacking]:
        """At random, or all documents where there are no more; whether the target has them or not."""

    async def finds(
        self, source: IndexVersion, target: IndexVersion, lacking: Lacking, vector: Vector
    ) -> bool | None:
        """Whether a lookup in the target by this vector comes upon the document, with a vector that is hardly another.
        None where it does not, and the source has not got it any more either.
        """


class NearCache(Protocol):
    """The answers this process saw last, without a round trip. Never blocks and never fails."""

    def get(self, key: str, now: float) -> Remembered | None: ...

    def put(self, key: str, answer: Remembered) -> None: ...

    def forget(self, prefix: str) -> None: ...

    def drop(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class News:
    """What the shared cache says of forgetting."""

    epochs: Epochs
    asked_at: float  # `time.monotonic` when it was the latest
    evicted: Sequence[str] = ()  # keys of entries
    may_lack: bool = False  # whether evictions may have been missed


class Forgetter(Protocol):
    """Makes all data planes forget. Every method raises CacheFault, and then nobody knows whether it was done; to do it
    again does no harm.
    """

    async def news(self, known: Epochs, wait_s: float, *, trusted: bool) -> News:
        """What is new; waits so long at most for something to be. What is `known` and lost there is put back. Where
        nothing stands there and what is known is not trusted to be the latest, everything is purged.
        """

    async def purge(self, scope: Scope) -> int:
        """The epoch of the purge."""

    async def evict(self, place: Place) -> None: ...

    async def sweep(self, after_s: float) -> int | None:
        """Deletes what is void, once the latest purge is so old, and says how many keys that were; None where there was
        nothing to do, or another does it.
        """


@dataclass(frozen=True, slots=True)
class Served:
    """A hit by meaning: whom it served, from which entry, and how likely it was to be right."""

    tenant: str
    partition: str
    entry: str
    probability: float


class Labels(Protocol):
    """Counts what is sampled, over all data planes. Every method raises CacheFault."""

    async def tallies(self, sample: Sample) -> Sequence[Tally]:
        """The tally of each time slice of a window, the newest first."""

    async def count(self, sample: Sample, place: int, label: Label) -> None:
        """One more that has reached a point, by its place among the points."""

    async def note(self, index: Index, request_id: str, served: Served) -> None:
        """Keeps for a while what a request was served."""

    async def served(self, indexes: Sequence[Index], request_id: str) -> tuple[Index, Served] | None:
        """What it was served, and from which of the indexes."""

    async def claim(self, index: Index, request_id: str) -> bool:
        """Whether nobody has judged it before, so that it is counted once."""


class Encoder(Protocol):
    """The judge's: what it sees of a text. Raises EmbedderFault."""

    async def embed(self, text: str, within_s: float = inf, /) -> Encoded:
        """Who waits no longer than so long may be told sooner that it would be in vain."""


class ClosableEncoder(Encoder, Protocol):
    async def aclose(self) -> None: ...


class Embedder(Protocol):
    """Turns texts into the vectors of one embedding, of length 1 each. Raises EmbedderFault."""

    async def vectors_of(self, texts: Sequence[str]) -> Sequence[Vector]: ...


@runtime_checkable
class PaidEmbedder(Embedder, Protocol):
    """One whose provider may want money. Raises EmbedderFault."""

    @property
    def model(self) -> Model:
        """The embedding as a model, with its price."""

    async def billed(self, texts: Sequence[str]) -> tuple[Sequence[Vector], Usage | None]:
        """Also what the provider says it used."""


class MakeEmbedder(Protocol):
    """Makes ready what computes an embedding. Raises EmbedderFault."""

    async def __call__(self, embedding: Embedding, /) -> Embedder: ...


class Ledger(Protocol):
    """Counts what tenants spend, atomically over all their limits. Amounts are one per limit, in the tenant's order.
    Whatever is asked twice for one id changes nothing the second time. What is reserved comes back by itself `life_s`
    after that was last asked for, by default after as long as suits a request. Every method that waits raises
    LedgerFault.
    """

    async def hold(
        self,
        tenant: Tenant,
        hold_id: str,
        amounts: Sequence[int],
        room: Sequence[int] = (),
        life_s: int | None = None,
    ) -> Denied | None:
        """Reserves `amounts`, or nothing at all when a limit has no room for them, or less than `room` where so much
        must be left.
        """

    async def extend(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], life_s: int | None = None
    ) -> Denied | None:
        """Reserves `amounts` in all from now on, or what is reserved already when a limit has no room."""

    async def resize(
        self, tenant: Tenant, hold_id: str, amounts: Sequence[int], room: Sequence[int]
    ) -> Denied | None:
        """Reserves `amounts` from now on, and frees what was more than that; or as much as before when a limit that
        needs more has no room for it, or less than `room`.
        """

    async def settle(self, tenant: Tenant, hold_id: str, amounts: Sequence[int]) -> None:
        """Frees the hold and counts what was really used, whether or not the hold still stood. It is asked for again
        when the ledger did not say that it has done so.
        """

    async def release(self, tenant: Tenant, hold_id: str) -> None:
        """Frees the hold of a call that cost nothing, in the same way."""

    async def read(self, tenant: Tenant) -> Sequence[Taken]:
        """What is used and held of each limit."""

    async def recalled(self) -> Collection[str]:
        """Accounts in which somebody had no room lately for what is leased of them."""

    def owed(self) -> Collection[TenantName]:
        """Tenants of whom it has not taken all that it was told, and is asked again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a data plane has found of a model."""

    verdict: Verdict  # with the time that is left of it by now
    told_at: int  # milliseconds by the clock of who passes it on


class HealthNews(Protocol):
    """Passes on among data planes which models are not well: by a model's field, and whether it is about its cooldown.
    Raises CacheFault.
    """

    async def exchange(self, told: Mapping[tuple[str, bool], Verdict]) -> Mapping[tuple[str, bool], Heard]:
        """Tells the others, and returns what all of them have told lately."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a data plane says of itself: since its start, unless it says otherwise."""

    name: str
    since_s: float  # seconds since the epoch
    revision: str  # "" before the first snapshot
    rejected: str = ""  # why it does not run the newest
    draining: bool = False
    in_flight: int = 0
    requests: dict[str, int] = field(default_factory=dict)  # by where their answers came from
    lately: dict[str, int] = field(default_factory=dict)  # of those, in the last minute
    spent_nano: int = 0
    saved_nano: int = 0  # by answers from memory
    routed_nano: int = 0  # by simple models


class FleetNews(Protocol):
    """Passes on among data planes what each says of itself. Raises CacheFault."""

    async def exchange(self, own_id: str, own: Figures) -> Sequence[Figures]:
        """Tells the others, and returns what all have told lately, this one among them."""


class Tokenizer(Protocol):
    """Counts tokens as a model does."""

    @property
    def safety(self) -> float:
        """How many times as many there may really be."""

    def count(self, text: str) -> int:
        """The tokens of a piece of an answer, counted at once."""

    async def count_prompt(self, text: str) -> int:
        """The tokens of a text of any length, counted so that nobody else waits."""


class Tokenizers(Protocol):
    def of(self, model: Model) -> Tokenizer: ...


class HangUp:
    """Tells a provider in the middle of its stream that no more is wanted, while what is under way still comes, where
    that can be said at all.
    """

    __slots__ = ("_heard",)

    def __init__(self) -> None:
        self._heard: Callable[[], bool] = bool

    def heard_by(self, heard: Callable[[], bool]) -> None:
        """`heard` tells the provider, and returns whether it could."""
        self._heard = heard

    def __call__(self) -> bool:
        """Whether the provider was told. Otherwise only leaving the stream stops it."""
        return self._heard()


@value
class UpstreamCall:
    model: Model
    operation: Operation
    fields: JsonObject = field(repr=False)  # of a caller: the body to send, but for `model` and streaming
    timeout_s: float  # for the whole answer, or until a stream begins to say something
    idle_s: float = 0.0  # most between two chunks of a stream
    hang_up: HangUp = field(default_factory=HangUp, repr=False, compare=False)
    left_out: set[str] = field(default_factory=set, repr=False, compare=False)  # of the caller's parameters
    span: CallSpan = field(default=UNTRACED, repr=False, compare=False)

    def leave_out(self, names: AbstractSet[str]) -> None:
        """Notes what the model is not sent, because it does not know it. Raises UpstreamFault where the policy has
        callers told instead.
        """
        theirs = tellable(names & self.fields.keys() - self.model.extra_body.keys())
        if theirs and self.model.unknown_parameters is UnknownParameters.REFUSE:
            message = f"the model {self.model.name} does not know {', '.join(theirs)}; leave that out"
            raise UpstreamFault(None, None, message)
        self.left_out.update(theirs)

    @property
    def choices(self) -> int:
        return choices_in(self.fields)

    @property
    def body(self) -> JsonObject:
        """The fields, and what the policy adds."""
        return sent_parameters(self.fields, self.model)

    @property
    def stream_options(self) -> JsonObject:
        """The caller's, and the usage that we need ourselves."""
        given = self.fields.get("stream_options")
        return {**(given if isinstance(given, dict) else {}), "include_usage": True}


@value
class Completion:
    """A provider's whole answer: its bytes as they came, and what we need to know of them."""

    body: bytes = field(repr=False)
    usage: Usage | None
    complete: bool  # ended by itself, so that it may be remembered
    parsed: JsonObject = field(default_factory=dict, repr=False)  # the body, understood

    @property
    def answer_text(self) -> str:
        """All that the model has written, for who must count it because the provider did not."""
        return written_in(self.parsed)


@value
class Chunk:
    """One event of a provider's stream: the JSON of a `chat.completion.chunk`, raw and understood."""

    data: bytes = field(repr=False)
    event: JsonObject = field(repr=False)


class Upstream(Protocol):
    """Calls one kind of provider. Every method raises UpstreamFault."""

    async def complete(self, call: UpstreamCall) -> Completion: ...

    def stream(self, call: UpstreamCall) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Enters when the provider has accepted the request; leaving cancels what is still under way."""
