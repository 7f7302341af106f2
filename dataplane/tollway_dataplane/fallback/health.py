"""Which models are asked, and at which of their endpoints: each has a circuit breaker of its own in every policy, which
data planes tell each other about in the background. On a request's path nothing is waited for; while the cache's Redis
is away each data plane goes by what it has seen itself.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tollway_api.meta import ModelName
from tollway_api.routing_policy import ModelState
from tollway_api.snapshot import Model, Policy, Snapshot
from tollway_api.wire import health_field
from tollway_dataplane.core.breaker import Breaker, Verdict, is_unwell
from tollway_dataplane.errors import CacheFault, UpstreamFault
from tollway_dataplane.ports import HealthNews, Heard

_EVERY_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Watched:
    """A policy's model at one of its endpoints."""

    policy: Policy
    model: Model
    breaker: Breaker
    field: str  # of what is told of it
    in_flight: int = 0
    was_asked: bool = False


@dataclass(frozen=True, slots=True)
class EndpointState:
    """How a policy's model is at one of its endpoints."""

    policy: str
    model: ModelName
    endpoint: str
    state: ModelState
    cooling_s: float


@dataclass(slots=True)
class Permit:
    """One attempt at a model, at the endpoint in `model`. Whoever has it says how it went and releases it."""

    model: Model
    _health: "Health" = field(repr=False)
    _watched: Watched = field(repr=False)
    _is_probe: bool = False
    _said: bool = False
    _released: bool = False

    def answered(self) -> None:
        self._said = True
        self._health.answered(self._watched, is_probe=self._is_probe)

    def begun(self) -> None:
        """A stream says something. Whether it comes whole `Health.ended` or `broke` is told."""
        self._said = True
        self._health.begun(self._watched, is_probe=self._is_probe)

    def failed(self, fault: UpstreamFault) -> None:
        """A provider that refuses what was asked is well."""
        if is_unwell(fault):
            self._said = True
            self._health.failed(self._watched, fault, is_probe=self._is_probe)
        else:
            self.answered()

    def release(self) -> None:
        """When all that comes of it has come."""
        if not self._released:
            self._released = True
            self._watched.in_flight -= 1
            if not self._said:
                self._watched.breaker.left(is_probe=self._is_probe)


class Health:
    """`clock` does not jump; `draw` is random, from 0 to 1."""

    def __init__(self, news: HealthNews, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._news = news
        self._clock = clock
        self._draw = draw
        self._watched: dict[tuple[str, ModelName], list[Watched]] = {}
        self._by_field: dict[str, Watched] = {}
        self._perhaps_unwell: set[tuple[str, ModelName]] = set()
        self._to_tell: dict[tuple[str, bool], tuple[Verdict, float]] = {}  # and when it was found
        self._heard_at: dict[tuple[str, bool], int] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """These policies are there from now on. What is known of a model stays known while it is the same."""
        before = self._watched
        self._watched = {}
        for policy in snapshot.policies:
            for model in policy.models.values():
                known = {each.field: each for each in before.get((policy.id, model.name), ())}
                self._watched[policy.id, model.name] = [
                    self._same(policy, each, known.get(health_field(policy.id, each)))
                    for each in _at_endpoints(model)
                ]
        self._by_field = {each.field: each for several in self._watched.values() for each in several}
        self._perhaps_unwell &= self._watched.keys()

    def _same(self, policy: Policy, model: Model, known: Watched | None) -> Watched:
        fallback = policy.fallback
        if known is not None and (known.policy.fallback.breaker, known.policy.fallback.max_cooldown_ms) == (
            fallback.breaker,
            fallback.max_cooldown_ms,
        ):
            known.policy, known.model = policy, model
            return known
        breaker = Breaker(fallback.breaker, fallback.max_cooldown_ms / 1_000)
        return Watched(policy, model, breaker, health_field(policy.id, model))

    def _of(self, policy: Policy, model: Model) -> list[Watched]:
        """Also of a policy that is no more, for requests that it still governs."""
        found = self._watched.get((policy.id, model.name))
        if found is None:
            found = [self._same(policy, each, None) for each in _at_endpoints(model)]
        return found

    def admit(
        self, policy: Policy, model: Model, tried: Collection[str | None] = (), *, by_force: bool = False
    ) -> Permit | None:
        """Leave to ask the model, at the endpoint where the fewest requests are under way, and rather at none of those
        that were tried; None where it is not to be asked now. `by_force` lets one through now and then all the same.
        """
        now, draw = self._clock(), self._draw()
        free = [
            each
            for each in self._of(policy, model)
            if each.breaker.admits(now, draw) or (by_force and each.breaker.admits_by_force(now))
        ]
        if not free:
            return None
        chosen = free[0]
        if len(free) > 1:
            chosen = min(free, key=lambda each: (each.model.endpoint in tried, each.in_flight, self._draw()))
        chosen.in_flight += 1
        chosen.was_asked = True
        is_probe = chosen.breaker.take(now, by_force=by_force)
        return Permit(chosen.model, self, chosen, is_probe)

    def is_elsewhere(self, policy: Policy, model: Model, tried: Collection[str | None]) -> bool:
        """Whether the model may be asked at an endpoint where it was not tried."""
        now = self._clock()
        return any(
            each.breaker.admits(now, 0.0)
            for each in self._of(policy, model)
            if each.model.endpoint not in tried
        )

    def state(self, policy: Policy, model: Model) -> ModelState:
        """At the endpoint where it is best."""
        return self._best(self._of(policy, model))

    def _best(self, several: Sequence[Watched]) -> ModelState:
        now = self._clock()
        if len(several) == 1:
            return several[0].breaker.state(now)
        states = {each.breaker.state(now) for each in several}
        return next((each for each in ModelState if each in states), ModelState.HEALTHY)

    def is_well(self, policy: Policy, model: Model) -> bool:
        """Whether it is likely to be asked when its turn comes."""
        if not self._perhaps_unwell:
            return True
        return self.state(policy, model) in {ModelState.HEALTHY, ModelState.RECOVERING}

    def ready_in(self, policy: Policy, model: Model) -> float:
        """Seconds until the model may be asked."""
        now = self._clock()
        return min(each.breaker.ready_in(now) for each in self._of(policy, model))

    def answered(self, watched: Watched, *, is_probe: bool) -> None:
        self._tell(watched, watched.breaker.answered(self._clock(), is_probe=is_probe))

    def begun(self, watched: Watched, *, is_probe: bool) -> None:
        self._tell(watched, watched.breaker.begun(self._clock(), is_probe=is_probe))

    def failed(self, watched: Watched, fault: UpstreamFault, *, is_probe: bool) -> None:
        now, draw = self._clock(), self._draw()
        if fault.retry_after_s is not None:
            self._tell(watched, watched.breaker.cool_down(now, fault.retry_after_s))
        self._tell(watched, watched.breaker.failed(now, draw, is_probe=is_probe))

    def ended(self, policy: Policy, model: Model) -> None:
        """A stream came whole."""
        for each in self._at(policy, model):
            each.breaker.ended()

    def broke(self, policy: Policy, model: Model) -> None:
        """A stream has broken off that had begun."""
        for each in self._at(policy, model):
            self._tell(each, each.breaker.broke(self._clock(), self._draw()))

    def _at(self, policy: Policy, model: Model) -> Sequence[Watched]:
        """The endpoint in `model`."""
        return [each for each in self._of(policy, model) if each.model.endpoint == model.endpoint]

    def _tell(self, watched: Watched, verdict: Verdict | None) -> None:
        if verdict is not None:
            key = watched.field, verdict.state is ModelState.COOLING_DOWN
            self._to_tell[key] = verdict, self._clock()
            self._perhaps_unwell.add((watched.policy.id, watched.model.name))

    def endpoint_states(self) -> Iterator[EndpointState]:
        """How each model that has been asked is, at each endpoint."""
        now = self._clock()
        for (policy, model), several in self._watched.items():
            for each in filter(lambda watched: watched.was_asked, several):
                state, cooling_s = each.breaker.state(now), each.breaker.cooling_s(now)
                yield EndpointState(policy, model, each.model.endpoint or "", state, cooling_s)

    def unwell(self) -> dict[str, dict[str, ModelState]]:
        """The models that are not asked with every request, by policy: how each is at the endpoint where it is best."""
        found: dict[str, dict[str, ModelState]] = {}
        for policy, model in list(self._perhaps_unwell):
            several = self._watched.get((policy, model), ())
            if (best := self._best(several)) is not ModelState.HEALTHY:
                found.setdefault(policy, {})[model] = best
            elif all(each.breaker.state(self._clock()) is ModelState.HEALTHY for each in several):
                self._perhaps_unwell.discard((policy, model))
        return found

    async def exchange(self) -> None:
        """Tells the others what is new, and hears what they have found."""
        to_tell, self._to_tell = self._to_tell, {}
        now = self._clock()
        told = {
            key: replace(verdict, left_s=max(0.0, verdict.left_s - (now - found_at)))
            for key, (verdict, found_at) in to_tell.items()
        }
        try:
            heard = await self._news.exchange(told)
        except CacheFault:
            self._to_tell = {**to_tell, **self._to_tell}
        else:
            self._hear(heard, told.keys())

    def _hear(self, heard: Mapping[tuple[str, bool], Heard], told: Collection[tuple[str, bool]]) -> None:
        for key, each in heard.items():
            is_news = each.told_at > self._heard_at.get(key, 0) and key not in told
            if is_news and (watched := self._by_field.get(key[0])) is not None:
                watched.breaker.hear(self._clock(), each.verdict)
                self._perhaps_unwell.add((watched.policy.id, watched.model.name))
        self._heard_at = {key: each.told_at for key, each in heard.items()}

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await self.exchange()
            await asyncio.sleep(_EVERY_S)


def _at_endpoints(model: Model) -> Sequence[Model]:
    return [model, *(replace(model, endpoint=each) for each in model.endpoints)]
