"""Tells the other data planes what this one does, and hears it of them, in one round trip to the cache's Redis."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from tollway_api import wire
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.ports import Figures

_SCRIPT: Final = files("tollway_dataplane.adapters").joinpath("fleet.lua").read_text("utf-8")
_FIGURES: Final = TypeAdapter(Figures)


class RedisFleet:
    """`deadline_s` bounds each call; `kept_s` is for how long what was said counts."""

    def __init__(self, redis: Redis, deadline_s: float, kept_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s
        self._kept_ms = round(kept_s * 1_000)

    async def exchange(self, own_id: str, own: Figures) -> Sequence[Figures]:
        words = (self._kept_ms, own_id, _FIGURES.dump_json(own))
        async with cache_faults("tell what this data plane does", self._deadline_s):
            # Whole, not by its digest, as what is told of models.
            said: Any = await self._redis.eval(_SCRIPT, 1, wire.FLEET_KEY, *words)
        return [found for each in said if (found := _read(each)) is not None]


def _read(value: bytes) -> Figures | None:
    """None for what another version has written there."""
    try:
        return _FIGURES.validate_json(value)
    except ValidationError:
        return None
