"""Tells other data planes which models are not well, and hears it of them, in one round trip to the cache's Redis. It
may be lost there at any time: what each has found itself stands.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis

from tollway_api import wire
from tollway_api.routing_policy import ModelState
from tollway_dataplane.adapters.redis_faults import cache_faults
from tollway_dataplane.core.breaker import Verdict
from tollway_dataplane.ports import Heard

_SCRIPT: Final = files("tollway_dataplane.adapters").joinpath("health.lua").read_text("utf-8")
# That a model has recovered is news for so long: a data plane that was away may still think otherwise.
_KEPT_MS: Final = 120_000
_COOLDOWN: Final = ":cooldown"


class RedisHealth:
    """`deadline_s` bounds each call."""

    def __init__(self, redis: Redis, deadline_s: float) -> None:
        self._redis = redis
        self._deadline_s = deadline_s

    async def exchange(self, told: Mapping[tuple[str, bool], Verdict]) -> Mapping[tuple[str, bool], Heard]:
        words: list[str | int] = []
        for (model, is_cooldown), verdict in told.items():
            name = f"{model}{_COOLDOWN if is_cooldown else ''}"
            words += [name, verdict.state, verdict.opened, round(verdict.left_s * 1_000)]
        async with cache_faults("tell which models are well", self._deadline_s):
            # Whole, not by its digest: a Redis that has restarted knows no script, and once a second it costs nothing.
            said: Any = await self._redis.eval(_SCRIPT, 1, wire.HEALTH_KEY, _KEPT_MS, *words)
        now, fields = int(said[0]), [each.decode("utf-8", "replace") for each in said[1:]]
        heard = {}
        for name, value in zip(fields[::2], fields[1::2], strict=True):
            if (found := _read(value, now)) is not None:
                heard[name.removesuffix(_COOLDOWN), name.endswith(_COOLDOWN)] = found
        return heard


def _read(value: str, now: int) -> Heard | None:
    """None for what another version has written there."""
    try:
        state, opened, told_at, until = value.split(" ")
        verdict = Verdict(ModelState(state), max(0, int(until) - now) / 1_000, int(opened))
        return Heard(verdict, int(told_at))
    except ValueError:
        return None
