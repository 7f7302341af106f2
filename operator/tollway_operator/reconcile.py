"""The loop: gather → compile → provision → publish → notify → status. It computes from the whole state, never from a
difference, so running it again is always right; a burst of changes becomes one run. What a user got wrong is a problem
on that object and goes to its status; what the world got wrong is tried again with growing pauses.

Every replica gathers and compiles; only the leader goes on from there.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from tollway_api import semantic_cache_index
from tollway_api.compiler import Compilation
from tollway_api.inventory import Inventory, SecretKey, inventory_of
from tollway_api.meta import Identity, Resource, Spec
from tollway_api.parts import Head
from tollway_api.problems import Problem
from tollway_api.snapshot import Snapshot
from tollway_operator.admin_token import AdminToken
from tollway_operator.compiled import Compiled
from tollway_operator.coverage import Publications
from tollway_operator.deletion import Deletion, is_held
from tollway_operator.errors import (
    Forbidden,
    Invalid,
    KubeFault,
    LeadershipLost,
    OperatorError,
    PublishFault,
    StoreFault,
)
from tollway_operator.index_finalizers import IndexFinalizers
from tollway_operator.index_status import StoreView
from tollway_operator.index_versions import IndexVersions
from tollway_operator.labels import Standings
from tollway_operator.lasting_fault import LastingFault
from tollway_operator.lease import Leadership
from tollway_operator.metrics import Metrics
from tollway_operator.notify import Notifier
from tollway_operator.objects import Objects
from tollway_operator.pods import Pods
from tollway_operator.polling import Poller
from tollway_operator.provision import (
    ServerWarning,
    WarningReason,
    ledger_warnings,
)
from tollway_operator.publish import Publisher
from tollway_operator.purges import PurgeReader
from tollway_operator.recalling import Recalling
from tollway_operator.redis_store import RedisStore
from tollway_operator.references import secrets_of
from tollway_operator.reports import forgotten_by, lookups_of, unfit_of, unwell_of, why_in_use
from tollway_operator.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S
from tollway_operator.secrets import Secrets
from tollway_operator.status import View
from tollway_operator.usage import Usages
from tollway_operator.watches import Watches

log = logging.getLogger(__name__)

_STEP_S: Final = 1.0  # between two looks at how far an index version is filled

Steps = tuple[tuple[str, Callable[[Compiled], Awaitable[None]]], ...]


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What the loop works with."""

    objects: Objects
    watches: Watches
    secrets: Secrets
    leadership: Leadership
    cache: RedisStore
    ledger: RedisStore
    publisher: Publisher
    admin_token: AdminToken
    pods: Pods
    notifier: Notifier
    deletion: Deletion
    usage: Poller[Usages]
    purges: PurgeReader
    labels: Poller[Standings]
    metrics: Metrics


class Reconciler:
    def __init__(
        self,
        parts: Collaborators,
        compile_all: Callable[[Inventory], Compilation],
        namespace: str,
        debounce_s: float,
        resync_s: float,
        on_done: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._compile_all = compile_all
        self._namespace = namespace
        self._debounce_s = debounce_s
        self._resync_s = resync_s
        self._wake = asyncio.Event()
        self._woken_at: float | None = None
        self._looked_at: float | None = None  # when what the current run is about was first asked for
        self._secrets_revision = 0
        self._compiled: Compiled | None = None
        self._versions = IndexVersions(
            parts.cache, parts.publisher, parts.metrics, self._claim, self._index_ids
        )
        self._indexes = IndexFinalizers(
            parts.objects, parts.deletion, parts.leadership, self._tick, self.wake
        )
        self._ledger_warnings: tuple[ServerWarning, ...] | None = None  # None before it has been looked at
        self._publications = Publications()
        self._head: Head | None = None
        self._told: Head | None = None  # what pods are asked about
        self._published: Snapshot | None = None
        self._gathering = LastingFault()  # why it fails
        self._publishing = LastingFault()  # why it fails
        self._holding_up = LastingFault()  # why what was published before may still be run
        self._token_fault = ""  # why pods can be told nothing
        self._is_published = False  # whether what this run has compiled is
        self._pods_are_heard = False
        self._recalling = Recalling(parts.secrets, parts.publisher, parts.admin_token)
        self.ticked_at = monotonic()
        self._on_done = on_done

    def _tick(self) -> None:
        self.ticked_at = monotonic()

    def wake(self) -> None:
        self._woken_at = self._woken_at or monotonic()
        self._wake.set()

    def secrets_changed(self) -> None:
        self._secrets_revision += 1
        self.wake()

    def pods_answered(self) -> None:
        """Pods have answered, or are known again: a deletion or an index's next step may wait for the last of them."""
        if self._versions.is_moving or any(held.deleted_at for held in self._parts.objects):
            self.wake()

    @property
    def queue_age_s(self) -> float:
        """Since when the oldest change waits for a run that succeeds."""
        oldest = self._looked_at or self._woken_at
        return monotonic() - oldest if oldest is not None else 0.0

    @property
    def standstill(self) -> str:
        """Why nothing newer can be published, once that has lasted; "" where it can, as far as this replica tries."""
        return self._gathering.said or self._publishing.said

    @property
    def snapshot(self) -> Snapshot | None:
        return self._compiled.snapshot if self._compiled else None

    async def run(self) -> None:
        """Runs for the life of the process. Raises LeadershipLost."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._tick()
            try:
                async with asyncio.timeout(self._longest_wait_s):
                    await self._wake.wait()
                await asyncio.sleep(self._debounce_s)
            except TimeoutError:
                pass  # now and then without a reason, for what nobody tells us of
            self._wake.clear()
            self._looked_at, self._woken_at = self._looked_at or self._woken_at, None
            try:
                await self.once()
                pause_s, self._looked_at = FIRST_PAUSE_S, None
            except LeadershipLost:
                raise
            except Exception as error:
                asked_s = error.retry_after_s if isinstance(error, KubeFault) else 0.0
                self._parts.metrics.reconciles.labels("failed").inc()
                if isinstance(error, OperatorError):
                    log.warning("trying again", extra={"reason": str(error), "pause_s": pause_s})
                else:  # a border: a mistake of ours in one run must not end the operator
                    log.exception("unforeseen; trying again")
                # What one object waits for must not keep another's news waiting for longer than a moment.
                await asyncio.sleep(max(FIRST_PAUSE_S, asked_s))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                self.wake()

    @property
    def _longest_wait_s(self) -> float:
        rhythm_s = _STEP_S if self._versions.is_moving else self._resync_s
        return min(rhythm_s, max(FIRST_PAUSE_S, self._indexes.due_in_s))

    async def once(self) -> None:
        """One run. Raises OperatorError, once every step has had its turn that does not depend on what went wrong."""
        if not self._parts.watches.complete:
            try:
                if self._parts.watches.lacking and self._parts.leadership.leads:
                    await self._let_go()
            finally:
                self._on_done()  # since it is said why nothing is compiled
            return
        metrics = self._parts.metrics
        faults: list[OperatorError] = []
        if self._parts.leadership.leads:
            # Before it is compiled, which leaves out what is not held.
            with metrics.step("hold"):
                await self._indexes.hold()
        try:
            self._compiled, self._is_published = await self._compile(), False
            # A standby knows what it would publish, and stops here.
            for name, step in self.steps if self._parts.leadership.leads else ():
                try:
                    with metrics.step(name):
                        await step(self._compiled)
                except LeadershipLost:
                    raise
                except OperatorError as fault:
                    faults.append(fault)
        finally:
            # What is known by now is said, also where one object's need has kept the run from its end.
            self._on_done()
        for other in faults[1:]:
            log.warning("and this went wrong as well", extra={"reason": str(other)})
        if faults:
            raise faults[0]
        metrics.succeeded()

    async def _let_go(self) -> None:
        """Nothing new can be published while a kind cannot be listed, but what is deleted must not be held for as long
        as nobody sees to that; so what stands is published without it. Raises OperatorError.
        """
        parts, fault = self._parts, None
        gone = {
            held.uid: held.identity.path
            for held in parts.objects
            if held.deleted_at and held.identity.kind == semantic_cache_index.KIND
        }
        if not gone:
            return
        self._is_published, head = False, None
        try:
            if published := await parts.publisher.publish_without(gone.values(), parts.leadership.fence()):
                head, wrote = published
                parts.metrics.publishes.inc(wrote)
                await self._announce(head)
            self._is_published = True
        except (PublishFault, KubeFault) as found:
            fault = found
        await self._settle(head, gone)
        if fault is not None:
            raise fault

    @property
    def steps(self) -> Steps:
        """Indexes come first, so that pods find those they are told of; but nobody waits for a Redis that was away."""
        provision, publish = ("provision", self._provision), ("publish", self._publish)
        first = (publish, provision) if self._versions.store.fault else (provision, publish)
        return (
            *first,
            ("notify", self._notify),
            ("look", self._look_at_ledger),
            ("delete", self._delete),
        )

    async def _compile(self) -> Compiled:
        parts = self._parts
        # Before anything is looked at, so that what changes meanwhile is looked at again.
        key = (parts.objects.revision, self._secrets_revision)
        wanted = [held for held in parts.objects if not held.deleted_at]
        deleted = frozenset(held.uid for held in parts.objects if held.deleted_at)
        unheld = {
            held.identity: self._indexes.why_unheld(held.identity) for held in wanted if not is_held(held)
        }
        resources = [
            held.parsed
            for held in wanted
            if isinstance(held.parsed, Resource) and held.identity not in unheld
        ]
        if await self._gather(resources):
            self._secrets_revision, key = self._secrets_revision + 1, (key[0], key[1] + 1)
        if self._compiled is not None and (self._compiled.key, self._compiled.unheld) == (key, unheld):
            return self._compiled
        is_blind = bool(parts.secrets.unknown)
        unparsed = {held.identity: held.parsed for held in wanted if isinstance(held.parsed, tuple)}
        inventory = inventory_of(
            resources, dict(parts.secrets.values), [*unparsed, *unheld], dict(parts.secrets.unreadable)
        )
        # In threads: with thousands of objects it takes a second, and the Lease is renewed meanwhile.
        with parts.metrics.step("compile"):
            made = await asyncio.to_thread(self._compile_all, inventory)
        problems: dict[Identity, list[Problem]] = defaultdict(list)
        for problem in [*made.problems, *(each for found in unparsed.values() for each in found)]:
            problems[problem.identity].append(problem)
        parts.metrics.observe_objects(
            Counter(held.identity.kind for held in wanted),
            Counter(problem.severity for found in problems.values() for problem in found),
        )
        editions = {held.identity: held.edition for held in wanted}
        compiled = Compiled(
            key, made.snapshot, made.snapshot, b"", made.pieces, problems, editions, is_blind, unheld, deleted
        )
        with parts.metrics.step("encode"):
            return await asyncio.to_thread(self._versions.encoded, compiled)

    async def _gather(self, resources: Sequence[Resource[Spec]]) -> bool:
        """Whether more was recalled of the Secrets that they name. Raises KubeFault, which is said where it lasts."""
        try:
            with self._parts.metrics.step("gather"):
                await self._parts.secrets.want(_secrets_of(resources))
            recalled = await self._recalling.recall()
        except KubeFault as fault:
            self._gathering.note(str(fault))
            raise
        self._gathering.note("")
        return recalled

    def _index_ids(self) -> set[str]:
        """The ids of all indexes that are not deleted, also of those that are left out."""
        return {
            held.identity.path
            for held in self._parts.objects
            if held.identity.kind == semantic_cache_index.KIND and not held.deleted_at
        }

    def _is_acknowledged(self) -> bool:
        """Whether no pod runs anything but what was published last."""
        why_not = "" if self._published is None else self._why_in_use(self._head)
        self._holding_up.note(why_not)
        return self._published is not None and not why_not

    async def _provision(self, compiled: Compiled) -> None:
        was_away = bool(self._versions.store.fault)
        self._compiled = await self._versions.provision(compiled, self._is_acknowledged)
        if was_away and not self._versions.store.fault:
            self.wake()  # it was published before it was known how index versions can be called

    async def _claim(self) -> None:
        """Asked before anything is written to Redis. Raises LeadershipLost and StoreFault."""
        self._tick()
        if not await self._parts.cache.claim(self._parts.leadership.fence()):
            raise LeadershipLost("a later leader has written to the cache Redis")

    async def _look_at_ledger(self, _: Compiled) -> None:
        """A ledger that is away is said to be, and keeps nothing else waiting."""
        try:
            warnings = tuple(ledger_warnings(await self._parts.ledger.facts()))
        except StoreFault as fault:
            log.warning("the ledger could not be looked at", extra={"reason": str(fault)})
            warnings = (ServerWarning(WarningReason.LEDGER_UNAVAILABLE, str(fault)),)
        self._ledger_warnings = warnings

    async def _publish(self, compiled: Compiled) -> None:
        parts = self._parts
        if not (self._versions.store.seen or self._versions.store.fault):
            return  # how index versions can be called could not be asked
        try:
            over = await self._recalling.replaceable() if compiled.is_blind else None
            self._head, wrote = await parts.publisher.publish(
                compiled.encoded, parts.leadership.fence(), over
            )
        except (PublishFault, KubeFault) as fault:
            passes = not isinstance(fault, PublishFault | Forbidden | Invalid)
            self._publishing.note(str(fault), passes=passes)
            raise
        self._publishing.note("")
        self._recalling.published = self._head.digest
        self._is_published = True
        parts.metrics.publishes.inc(wrote)
        self._published = compiled.snapshot
        self._versions.published(compiled.snapshot)
        self._publications.note(self._head, compiled.pieces, compiled.editions, parts.publisher.found)

    async def _notify(self, _: Compiled) -> None:
        """Where nothing can be published pods are asked about what stands, so that statuses need not guess."""
        if head := self._head or self._parts.publisher.found:
            await self._announce(head)

    async def _announce(self, head: Head) -> None:
        try:
            tokens = await self._parts.admin_token.ensure()
        except KubeFault as fault:
            self._token_fault = f"they cannot be asked without a token: {fault}"
            raise
        self._parts.notifier.announce(head, tokens)
        self._told, self._token_fault = head, ""

    async def _delete(self, compiled: Compiled) -> None:
        await self._settle(self._head, compiled.deleted)

    async def _settle(self, head: Head | None, unnamed: Collection[str]) -> None:
        """Empties and lets go deleted indexes: `unnamed`, by uid, those that the snapshot published as `head` does not
        name. One that was deleted since that was compiled waits for the next run: pods still remember answers in it.
        """
        still_named = ""
        if not self._is_published:
            why = self._publishing.said or self._parts.watches.lacking
            still_named = f"what is published may name it{_because(why)}"
        used = still_named or self._why_in_use(head)
        await self._indexes.settle(used, unnamed, self._versions.store.fault, may_forget=not still_named)

    def _why_in_use(self, head: Head | None) -> str:
        """Why some pod may still write into a deleted index, or "". Before it is known which pods there are, nobody can
        say that none does.
        """
        pods = self._parts.pods
        if not pods.known:
            return f"which pods still use it is not known{_because(pods.fault)}"
        return why_in_use(pods.running, self._parts.notifier.reports, head.digest if head else None)

    def view(self, now: str) -> View | None:
        """What statuses are made from; None before the first publication, or before it is known that there can be none,
        and before the pods have had their say: what they told the last leader stands until then.
        """
        parts, publish_fault = self._parts, self._publishing.said
        if self._compiled is None:
            return self._blind_view(now)
        if self._head is None and not publish_fault:
            return None
        self._pods_are_heard |= parts.pods.known and parts.notifier.has_heard_all
        pods_unknown = parts.pods.unknown or (self._token_fault if self._told is None else "")
        cannot_ask = bool(pods_unknown) or (self._told is None and publish_fault != "")
        if not (self._pods_are_heard or cannot_ask):
            return None
        # What the last leader has said stands until the ledger has been looked at.
        looked = self._ledger_warnings is not None
        if not (looked and (parts.usage.has_read or parts.usage.fault)):
            return None
        reports = parts.notifier.reports.values()
        snapshot = self._published or self._compiled.snapshot
        return View(
            snapshot=snapshot,
            covered=snapshot.covered(),
            problems=self._compiled.problems,
            editions=self._compiled.editions,
            covering=self._publications.coverage(reports, parts.publisher.found),
            publish_fault=publish_fault,
            pods_unknown=pods_unknown,
            store=replace(self._versions.store, ledger_warnings=self._ledger_warnings),
            usage=parts.usage.found,
            usage_fault=parts.usage.fault,
            lookups=lookups_of(reports),
            unfit=unfit_of(reports),
            unwell=unwell_of(reports),
            now=now,
            epochs=parts.purges.epochs,
            forgotten=forgotten_by(reports),
            standings=parts.labels.found,
            standings_fault=parts.labels.fault,
            unheld=self._compiled.unheld,
            held_up=self._holding_up.said,
            uncompiled=self._gathering.said,
        )

    def _blind_view(self, now: str) -> View | None:
        """The view of an operator that has compiled nothing yet, once that has lasted: statuses then say only why."""
        why = self._parts.watches.lacking or self._gathering.said
        if not why:
            return None
        return View(
            snapshot=Snapshot(self._namespace),
            problems={},
            editions={},
            covering=self._publications.coverage([]),
            publish_fault=why,
            pods_unknown="",
            store=StoreView(),
            usage={},
            usage_fault="",
            lookups={},
            now=now,
            uncompiled=why,
        )


def _because(fault: str) -> str:
    return f": {fault}" if fault else ""


def _secrets_of(resources: Sequence[Resource[Spec]]) -> set[SecretKey]:
    return {key for resource in resources for key in secrets_of(resource)}
