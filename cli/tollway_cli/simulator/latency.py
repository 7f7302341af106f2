"""How long the simulated provider takes: a distribution of the time to the first byte, drawn from a seed."""

import math
import random
import re
from dataclasses import dataclass
from typing import Final

ACCEPTED: Final = "none, fixed:200ms, uniform:100ms,400ms or lognormal:200ms,0.3 (median, sigma)"
_MOST_SIGMA: Final = 5.0
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)?")


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds. `kind` is none, fixed, uniform or lognormal; its two numbers mean what `ACCEPTED` says."""

    kind: str = "none"
    first: float = 0.0
    second: float = 0.0

    def draw(self, source: random.Random) -> float:
        match self.kind:
            case "fixed":
                return self.first
            case "uniform":
                return source.uniform(self.first, self.second)
            case "lognormal":
                return source.lognormvariate(math.log(max(self.first, 1e-6)), self.second)
            case _:
                return 0.0


def parse_latency(text: str) -> Latency:
    """Raises ValueError, which says what is accepted."""
    kind, _, rest = text.partition(":")
    values = rest.split(",") if rest else []
    try:
        match kind, values:
            case "none", []:
                return Latency()
            case "fixed", [value]:
                return Latency(kind, _seconds(value))
            case "uniform", [low, high] if _seconds(low) <= _seconds(high):
                return Latency(kind, _seconds(low), _seconds(high))
            case "lognormal", [median, sigma] if 0 <= float(sigma) <= _MOST_SIGMA:
                return Latency(kind, _seconds(median), float(sigma))
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a latency; write {ACCEPTED}")


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) / (1 if match[2] == "s" else 1_000)
