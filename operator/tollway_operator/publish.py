"""Hands the snapshot to the data planes: as Secrets, because it holds provider keys. The parts that a head names are
never written to, and the head is written last, so a reader sees the old snapshot or the new one. Head and parts carry
the fence of the leadership that wrote them, and each write replaces no version but one whose fence was read, so one
that has been overtaken changes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from tollway_api import parts, semantic_cache_index, snapshot, wire
from tollway_api.parts import Head
from tollway_api.snapshot import Snapshot
from tollway_operator.adoption import Adoption
from tollway_operator.errors import Conflict, LeadershipLost, NotFound, PublishFault
from tollway_operator.kube import Kube, StoredSecret

log = logging.getLogger(__name__)

SECRET_NAME: Final = wire.SNAPSHOT_SECRET
_FENCE: Final = "fence"
_LABELS: Final = {"app.kubernetes.io/part-of": "tollway", "app.kubernetes.io/managed-by": "tollway-operator"}


@dataclass(frozen=True, slots=True)
class Published:
    """What was published last."""

    digest: str
    snapshot: Snapshot


class Publisher:
    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._adoption = Adoption(kube, namespace)
        self._swept = False  # whether no part is left that no head names
        self._order = 0  # of the last one that was written
        self.found: Head | None = None  # what stood at the last look, as far as it says what it is

    async def standing_fence(self) -> int:
        """Under which the snapshot that stands was written; 0 where there is none. Raises KubeFault."""
        standing = await self._standing_head()
        return standing.fence if standing is not None and standing.fence <= wire.MOST_FENCE else 0

    async def standing_digest(self) -> str | None:
        """Of what was published last; None where nothing was, or its head makes no sense. Raises KubeFault."""
        standing = await self._standing_head()
        return standing.digest if standing is not None else None

    async def published(self) -> Published | None:
        """What was published last; None where nothing was. Raises KubeFault, and PublishFault where it is damaged."""
        found = await self._find(SECRET_NAME)
        if found is None:
            return None
        encoded = await self._content(found)
        try:
            if encoded is not None:
                # In a thread: with thousands of tenants it takes a second, and the Lease is renewed meanwhile.
                return Published(snapshot.digest(encoded), await asyncio.to_thread(snapshot.decode, encoded))
        except snapshot.SnapshotError as exc:
            raise PublishFault(str(exc)) from exc
        raise PublishFault(f"Secret {SECRET_NAME} is damaged")

    async def publish(
        self, encoded: bytes, fence: int, over: Collection[str | None] | None = None
    ) -> tuple[Head, bool]:
        """What stands afterwards, and whether it had to be written. Looks at what is there every time, so that one
        damaged or deleted by hand is made good. `over` are the digests of what alone may be replaced, where that is not
        everything; None among them is one that is not there, or does not say what it is.

        Raises PublishFault, KubeFault, and LeadershipLost where a later leader has written.
        """
        found = await self._find(SECRET_NAME)
        self.found = standing = _head_of(found)
        if standing is not None and _is_later(standing.fence, fence):
            raise LeadershipLost(f"a later leader has published revision {standing.revision}")
        if over is not None and (standing.digest if standing is not None else None) not in over:
            raise PublishFault(await self._why_it_stays(found))
        same = standing is not None and standing.digest == snapshot.digest(encoded)
        whole = same and await self._content(found) is not None
        if found is not None and standing is not None and whole and standing.fence == fence:
            await self._adopt(found, standing)
            await self._sweep(standing, fence)
            return standing, False
        slot = parts.SLOTS[1] if standing is not None and standing.slot == parts.SLOTS[0] else parts.SLOTS[0]
        # Later than whatever stood before, also where that has been deleted and the clock has jumped back.
        before = max(self._order, standing.order if standing else 0)
        order = max(before + 1, time.time_ns() // 1_000_000)
        try:
            head, (first, *others) = parts.split(encoded, order, fence, slot)
        except snapshot.SnapshotError as exc:
            raise PublishFault(str(exc)) from exc
        self._swept &= not others  # also where not all of them come to be written
        for name, part in zip(head.overflow, others, strict=True):
            await self._write_part(f"{SECRET_NAME}-{name}", part, fence)
        data = {parts.HEAD: parts.encode_head(head), parts.FIRST_PART: first}
        try:
            await self._kube.write_secret(
                self._namespace, SECRET_NAME, data, _LABELS, found.resource_version if found else None
            )
        except Conflict as conflict:
            raise LeadershipLost("the snapshot was written by somebody else meanwhile") from conflict
        self._order = order
        self._swept &= head.parts == 1 and (standing is None or standing.parts == 1)
        size = sum(map(len, (first, *others)))
        log.info("published", extra={"revision": head.revision, "parts": head.parts, "bytes": size})
        return head, True

    async def publish_without(self, index_ids: Collection[str], fence: int) -> tuple[Head, bool] | None:
        """What stands, without these indexes, and nothing of it changed besides; None where nothing stands. Raises as
        `publish` does.
        """
        standing = await self.published()
        if standing is None:
            return None
        encoded = await asyncio.to_thread(snapshot.encode, without(standing.snapshot, index_ids))
        return await self.publish(encoded, fence, [standing.digest])

    async def _why_it_stays(self, found: StoredSecret | None) -> str:
        if found is None:
            what = "is not there"
        else:
            what = "is damaged" if await self._content(found) is None else "has just changed"
        return f"Secret {SECRET_NAME} {what}, and what it held of Secrets that cannot be read is not known"

    async def _content(self, found: StoredSecret | None) -> bytes | None:
        """The encoded snapshot of which this is the first Secret; None where there is none, or not the whole."""
        head = _head_of(found)
        if head is None:
            return None
        pieces = [found, *[await self._find(f"{SECRET_NAME}-{name}") for name in head.overflow]]
        try:
            return parts.join(
                head, [each.data.get(parts.FIRST_PART, b"") if each else b"" for each in pieces]
            )
        except snapshot.SnapshotError:
            log.warning("the published snapshot is damaged", extra={"revision": head.revision})
            return None

    async def _adopt(self, found: StoredSecret, head: Head) -> None:
        """The first Secret last, since it tells whether all have been given their owner."""
        if found.owner is not None:
            return
        for name in [f"{SECRET_NAME}-{each}" for each in head.overflow]:
            part = await self._find(name)
            if part is None or not await self._adoption.adopt(name, part):
                return
        if await self._adoption.adopt(SECRET_NAME, found):
            self._swept = False  # what is empty wants one as well

    async def _sweep(self, head: Head, fence: int) -> None:
        """Empties the parts that no head names any more, since they hold provider keys. Not before the next look,
        because somebody may still be reading them. One that an earlier release has emptied gets its owner.
        """
        numbers = range(1, parts.MOST_PARTS)
        names = {parts.overflow_name(slot, number) for slot in parts.SLOTS for number in numbers}
        for name in () if self._swept else sorted(names - set(head.overflow)):
            found = await self._find(f"{SECRET_NAME}-{name}")
            if found is not None and (found.data.get(parts.FIRST_PART) or found.owner is None):
                await self._write_part(f"{SECRET_NAME}-{name}", b"", fence)
        self._swept = True

    async def _write_part(self, name: str, part: bytes, fence: int) -> None:
        standing = await self._find(name)
        written_under = standing.data.get(_FENCE, b"") if standing else b""
        if written_under.isdigit() and _is_later(int(written_under), fence):
            raise LeadershipLost("a later leader has written parts of a snapshot")
        data = {parts.FIRST_PART: part, _FENCE: str(fence).encode()}
        version = standing.resource_version if standing else None
        await self._kube.write_secret(self._namespace, name, data, _LABELS, version)

    async def _standing_head(self) -> Head | None:
        return _head_of(await self._find(SECRET_NAME))

    async def _find(self, name: str) -> StoredSecret | None:
        try:
            return await self._kube.secret(self._namespace, name)
        except NotFound:
            return None


def without(published: Snapshot, index_ids: Collection[str]) -> Snapshot:
    """The same snapshot, but for these indexes; policies that name one of them go on without a cache."""
    return replace(
        published,
        policies=tuple(
            replace(policy, cache=None) if policy.cache and policy.cache.index in index_ids else policy
            for policy in published.policies
        ),
        indexes={name: index for name, index in published.indexes.items() if name not in index_ids},
        left_out={name: index for name, index in published.left_out.items() if name not in index_ids},
        sources=tuple(
            each
            for each in published.sources
            if each.kind != semantic_cache_index.KIND or f"{each.namespace}/{each.name}" not in index_ids
        ),
    )


def _is_later(standing: int, fence: int) -> bool:
    return fence < standing <= wire.MOST_FENCE


def _head_of(found: StoredSecret | None) -> Head | None:
    if found is None or parts.HEAD not in found.data:
        return None
    try:
        return parts.decode_head(found.data[parts.HEAD])
    except snapshot.SnapshotError:
        return None
