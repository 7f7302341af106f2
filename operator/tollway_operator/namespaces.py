"""Which of the listed namespaces there are, asked now and then. Those that stand are watched, by kopf and by `watches`.
In one that is being deleted the operator's role may go before the objects do; so nothing is watched there, and what is
left is listed here, as far as that is still allowed. One that is gone, or not made yet, is empty.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from tollway_api.inventory import SPEC_OF_KIND
from tollway_operator.errors import Forbidden, KubeFault, NotFound
from tollway_operator.kube import Kube, Presence
from tollway_operator.objects import EVERYWHERE, Objects

log = logging.getLogger(__name__)

_LOOK_S: Final = 5.0


class Namespaces:
    """Where none is listed, all are watched, and nothing need be asked."""

    def __init__(
        self, kube: Kube, objects: Objects, listed: Sequence[str], on_news: Callable[[], None]
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._on_news = on_news
        self._presences: dict[str, Presence] = {}
        self.listed = tuple(listed)
        # Those that stand and may be watched: one of which it may see nothing would end kopf.
        self.watchable: tuple[str, ...] = () if listed else (EVERYWHERE,)
        self._changed = asyncio.Event()

    async def standing(self) -> tuple[str, ...]:
        """Those of which everything must be known. Raises KubeFault when that cannot be told."""
        if not self.listed:
            return (EVERYWHERE,)
        if not self._presences:
            await self._look()
        return tuple(each for each, presence in self._presences.items() if presence is Presence.STANDS)

    async def other_than(self, watched: tuple[str, ...]) -> tuple[str, ...]:
        """Those that may be watched, once they are others than those given."""
        while self.watchable == watched:
            self._changed.clear()
            await self._changed.wait()
        return self.watchable

    async def run(self) -> None:
        """Runs for the life of the process."""
        if not self.listed:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except KubeFault as fault:
                log.warning("namespaces cannot be looked at", extra={"reason": str(fault)})
                await asyncio.sleep(fault.retry_after_s)

    async def _look(self) -> None:
        presences = {each: await self._kube.presence(each) for each in self.listed}
        for namespace, presence in presences.items():
            if presence is not self._presences.get(namespace, Presence.STANDS):
                log.info("namespace", extra={"namespace": namespace, "presence": presence.name})
        self._presences = presences
        standing = await self.standing()
        self.watchable = tuple(
            [each for each in standing if each in self.watchable or await self._kube.may_list(each)]
        )
        self._changed.set()
        for namespace in presences.keys() - set(standing):
            await self._take_leave(namespace, presences[namespace])

    async def _take_leave(self, namespace: str, presence: Presence) -> None:
        revision = self._objects.revision
        for kind in SPEC_OF_KIND:
            left = []
            if presence is Presence.LEAVES:
                # The role goes before what it is for, or the kind has gone with all that there was of it.
                with suppress(Forbidden, NotFound):
                    left = await self._kube.bodies(kind, namespace)
            self._objects.put_all(kind, namespace, left)
        if self._objects.revision != revision:
            self._on_news()
