"""Deletes index versions that nobody uses any more, a part in each run. Called by whoever provisions."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from tollway_operator.incremental_deletion import TURN_S, IncrementalDeletion
from tollway_operator.redis_store import RedisStore, Walk

log = logging.getLogger(__name__)


class Dropping:
    """`before_each` is asked for leave before something is deleted, by raising where there is none."""

    def __init__(
        self, turn_s: float = TURN_S, before_each: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._before_each = before_each
        self._deletion = IncrementalDeletion[str](turn_s)

    async def go_on(self, store: RedisStore, names: Sequence[str]) -> list[str]:
        """Those of these that are gone now; what is left of the others is for the next call. One that is not among them
        any more, because it may be written again, is begun anew later. Raises StoreFault.
        """
        self._deletion.keep_only(names)
        self._deletion.begin_run()
        gone = []
        for name in sorted(names, key=self._deletion.tried_at):

            async def drop(for_s: float, walk: Walk, name: str = name) -> None:
                if self._before_each is not None:
                    await self._before_each()
                await store.drop_version(name, for_s, walk)

            if (deleted := await self._deletion.go_on(name, drop)) is not None:
                log.info("index", extra={"step": "Drop", "index": name, "keys": deleted})
                self._deletion.forget(name)
                gone.append(name)
        return gone
