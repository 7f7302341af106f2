"""When a model at an endpoint is asked, by how it has answered lately: a circuit breaker (M. Nygard, "Release It!",
2007, 5.2), and the time for which a provider wants to be left alone. Times are seconds of a clock that does not jump;
draws are from 0 to 1, so that data planes that saw the same do not do the same at once.

    Healthy ─ failures ─► Open ─ openFor ─► HalfOpen ─ probes answered ─► Recovering ─ ramp ─► Healthy
                           ▲                   │ one failed                    │ failures
                           └───────────────────┴───────────────────────────────┘
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from tollway_api.routing_policy import FallbackTrigger, ModelState
from tollway_api.snapshot import CircuitBreaker
from tollway_dataplane.errors import UpstreamFault

# What says that a provider is not well; other failures are answers.
UNWELL: Final = frozenset(
    {
        *(FallbackTrigger.RATE_LIMIT, FallbackTrigger.TIMEOUT),
        *(FallbackTrigger.SERVER_ERROR, FallbackTrigger.CONNECTION),
    }
)
_SLICES: Final = 10
# When nothing but failures came for so long, and as many as say something, it is away, however well it was before: a
# window that is full of answers would take half of its length to tell. Shorter is a connection that broke.
_AWAY_S: Final = 1.0
# Each time that it opens without having recovered it stays open for twice as long, up to this many times as long, and
# for up to this share of it longer, by a draw.
_MOST_LONGER: Final = 4
_JITTER: Final = 0.25
# A model that recovers is asked with a share of the requests that grows to all of them in this share of openFor: those
# who have gone elsewhere do not come back at once.
_RAMP: Final = 1 / 3
_LEAST_SHARE: Final = 0.1
# Where every model is away, one request in this time is let through to one of them, and the others fail at once.
FORCED_EVERY_S: Final = 1.0


class Window:
    """How many requests there were lately, and how many of them failed: a sum over slices of the time."""

    def __init__(self, length_s: float) -> None:
        self._slice_s = length_s / _SLICES
        self._slices: deque[list[int]] = deque()  # number, requests, failures

    def count(self, now: float, *, failed: bool, requests: int = 1) -> None:
        number = int(now / self._slice_s)
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0])
        latest = self._slices[-1]
        latest[1] += requests
        latest[2] += failed

    def sums(self, now: float) -> tuple[int, int]:
        """Requests and failures."""
        oldest = int(now / self._slice_s) - _SLICES
        while self._slices and self._slices[0][0] <= oldest:
            self._slices.popleft()
        return sum(each[1] for each in self._slices), sum(each[2] for each in self._slices)

    def clear(self) -> None:
        self._slices.clear()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one data plane has found and tells the others: that a model is Open or CoolingDown for so many seconds from
    now, or Recovering since.
    """

    state: ModelState
    left_s: float = 0.0
    opened: int = 0  # how many times in a row


class Breaker:
    def __init__(self, settings: CircuitBreaker, most_cooldown_s: float) -> None:
        self._settings = settings
        self._most_cooldown_s = most_cooldown_s
        self._open_for_s = settings.open_for_ms / 1_000
        self._window = Window(settings.window_ms / 1_000)
        self._in_a_row = 0  # failures since the last answer that came whole
        self._failing_since = 0.0
        self._open_until: float | None = None  # None: it is closed
        self._opened = 0
        self._recovering_since: float | None = None
        self._cooling_until: float | None = None
        self._probing = 0
        self._probed = 0  # probes that were answered
        self._forced_at: float | None = None

    def state(self, now: float) -> ModelState:
        if self._open_until is not None:
            return ModelState.OPEN if now < self._open_until else ModelState.HALF_OPEN
        if self.cooling_s(now):
            return ModelState.COOLING_DOWN
        return ModelState.RECOVERING if self._share(now) < 1 else ModelState.HEALTHY

    def cooling_s(self, now: float) -> float:
        """For how long its provider still wants to be left alone."""
        return max(0.0, self._cooling_until - now) if self._cooling_until is not None else 0.0

    def ready_in(self, now: float) -> float:
        """Seconds until it may be asked."""
        opening = max(0.0, self._open_until - now) if self._open_until is not None else 0.0
        return max(opening, self.cooling_s(now))

    def admits(self, now: float, draw: float) -> bool:
        """Whether the next request may ask it, of which a draw decides while it recovers."""
        match self.state(now):
            case ModelState.HALF_OPEN:
                # The first goes alone, so that a provider that is still away costs nobody else its time.
                most = self._settings.half_open_probes - self._probed if self._probed else 1
                return self._probing < most and not self.cooling_s(now)
            case ModelState.RECOVERING:
                return draw < self._share(now)
            case ModelState.HEALTHY:
                return True
            case _:
                return False

    def admits_by_force(self, now: float) -> bool:
        """Whether the next request may ask it although it is not to be asked, since nobody else is there."""
        if self.state(now) is ModelState.RECOVERING:
            return True
        return not self._probing and (self._forced_at is None or now >= self._forced_at + FORCED_EVERY_S)

    def take(self, now: float, *, by_force: bool = False) -> bool:
        """Begins a request, which must be ended by one of the next three. Whether it is a probe."""
        if by_force and self.state(now) is not ModelState.RECOVERING:
            self._forced_at = now
        is_probe = self._open_until is not None
        self._probing += is_probe
        return is_probe

    def left(self, *, is_probe: bool) -> None:
        """A request ended of which nothing can be said."""
        self._probing -= is_probe

    def answered(self, now: float, *, is_probe: bool) -> Verdict | None:
        """What is news of it, if that is."""
        self.ended()
        return self.begun(now, is_probe=is_probe)

    def begun(self, now: float, *, is_probe: bool) -> Verdict | None:
        """A stream has, which is an answer until it breaks off: a probe that waited for its end would keep others from
        being let through. Failures are one after another all the same until one ends.
        """
        self._window.count(now, failed=False)
        self._probing -= is_probe
        if not is_probe or self._open_until is None:
            return None
        self._probed += 1
        if self._probed >= self._settings.half_open_probes:
            self._close(now)
            return Verdict(ModelState.RECOVERING)
        self._open_until = min(self._open_until, now)
        return None

    def ended(self) -> None:
        """A stream came whole."""
        self._in_a_row = 0

    def failed(self, now: float, draw: float, *, is_probe: bool) -> Verdict | None:
        self._window.count(now, failed=True)
        if not self._in_a_row:
            self._failing_since = now
        self._in_a_row += 1
        self._probing -= is_probe
        is_closed = self._open_until is None
        # What was let through by force while it is open says nothing new.
        half_open = is_probe and self._open_until is not None and now >= self._open_until
        if not half_open and not (is_closed and self._is_tripped(now)):
            return None
        if is_closed and self._share(now) >= 1:
            self._opened = 0
        self._opened += 1
        longer = min(_MOST_LONGER, 2 ** (self._opened - 1)) * (1 + _JITTER * draw)
        self._open(now + self._open_for_s * longer)
        return Verdict(ModelState.OPEN, self.ready_in(now), self._opened)

    def broke(self, now: float, draw: float) -> Verdict | None:
        """A stream that had been counted as an answer broke off."""
        self._window.count(now, failed=False, requests=-1)
        return self.failed(now, draw, is_probe=False)

    def cool_down(self, now: float, wait_s: float) -> Verdict | None:
        until = now + min(wait_s, self._most_cooldown_s)
        if wait_s <= 0 or (self._cooling_until is not None and until <= self._cooling_until):
            return None
        self._cooling_until = until
        return Verdict(ModelState.COOLING_DOWN, until - now)

    def hear(self, now: float, verdict: Verdict) -> None:
        """Takes over what another data plane says. That the breaker is open is not believed where this one has seen
        enough to know better: it may be the other's own connection.
        """
        match verdict.state:
            case ModelState.COOLING_DOWN:
                self.cool_down(now, verdict.left_s)
            case ModelState.RECOVERING if self._open_until is not None:
                self._close(now)
            case ModelState.OPEN if self._open_until is None:
                requests, _ = self._window.sums(now)
                if requests < self._settings.min_requests or self._is_tripped(now):
                    self._opened = verdict.opened
                    self._open(now + min(verdict.left_s, self._longest_s))
            case ModelState.OPEN if self._open_until is not None:
                self._opened = max(self._opened, verdict.opened)
                self._open(max(self._open_until, now + min(verdict.left_s, self._longest_s)))

    @property
    def _longest_s(self) -> float:
        return self._open_for_s * _MOST_LONGER * (1 + _JITTER)

    def _open(self, until: float) -> None:
        self._open_until, self._probed, self._recovering_since = until, 0, None

    def _close(self, now: float) -> None:
        self._open_until, self._probed, self._recovering_since = None, 0, now
        self._in_a_row = 0
        self._window.clear()

    def _share(self, now: float) -> float:
        """The share of requests that the model may be asked."""
        if self._recovering_since is None:
            return 1.0
        grown = (now - self._recovering_since) / (self._open_for_s * _RAMP)
        return min(1.0, max(_LEAST_SHARE, grown))

    def _is_tripped(self, now: float) -> bool:
        least = max(1, self._settings.min_requests)
        if self._in_a_row >= least and now - self._failing_since >= _AWAY_S:
            return True
        requests, failures = self._window.sums(now)
        return requests >= least and failures >= self._settings.failure_share * requests and failures > 0


def is_unwell(fault: UpstreamFault) -> bool:
    # What is forbidden may be what a prompt says, to a firewall or a moderator before the provider: by that no tenant
    # shall close a model for others.
    return fault.trigger in UNWELL and fault.status != 403
