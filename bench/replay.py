"""Replays a schedule of prompts with k6, open loop, and says what came of each. k6 is built like the cluster's tools:
`python tools/cluster_tools.py scaling`.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.cluster_tools import SETS, BuildError, folder_of

_SCRIPT: Final = Path(__file__).with_suffix(".js")
_CALLERS_PER_RATE: Final = 4  # for one request a second: each has so many seconds for its answer
_LEAST_CALLERS: Final = 32
_AT_ONCE: Final = 128  # callers who ask as soon as they are answered


@dataclass(frozen=True)
class Target:
    """Whom to ask. `who` stands in the provider's bill."""

    url: str
    key: str
    model: str
    who: str


@dataclass(frozen=True)
class Outcome:
    """What a caller had of one request. Milliseconds; `at_ms` since the replay began."""

    number: int  # of the schedule
    at_ms: float
    late_ms: float  # than it was due
    took_ms: float
    status: int
    source: str  # that the reply names: exact, semantic, live, …
    model: str  # that it is from
    request: str  # its id
    answered: str  # digest of the prompt that the answer was made for

    @property
    def ms(self) -> float:
        """From when it was due, so that a server that is stuck is not asked less."""
        return self.late_ms + self.took_ms


def k6() -> Path:
    """Raises BuildError when it has not been built."""
    (binary,) = (each for each in SETS["scaling"] if each.name == "k6")
    path = folder_of(binary) / binary.name
    if not path.exists():
        raise BuildError("k6 is not built; run: python tools/cluster_tools.py scaling")
    return path


def replay(
    asks: Sequence[tuple[float, str]], target: Target, folder: Path, *, paced: bool = True
) -> list[Outcome]:
    """Each at its time, in seconds since the beginning; not `paced`, as fast as they are answered. Those that were
    answered, or failed, in the order of the schedule. Raises subprocess.CalledProcessError.
    """
    schedule, told = folder / "schedule.json", folder / "outcomes.log"
    schedule.write_text(json.dumps(asks), encoding="utf-8")
    told.unlink(missing_ok=True)  # k6 would go on writing behind what an earlier run has said
    seconds = asks[-1][0]
    callers = max(_LEAST_CALLERS, int(_CALLERS_PER_RATE * len(asks) / (seconds or 1))) if paced else _AT_ONCE
    environ = {
        "URL": target.url, "KEY": target.key, "MODEL": target.model, "WHO": target.who,
        "SCHEDULE": str(schedule), "PACE": "trace" if paced else "none",
        "CALLERS": str(min(len(asks), callers)),
        "SECONDS": str(int(seconds) + 600),
    }  # fmt: skip
    flags = ("--quiet", "--no-color", "--no-usage-report", "--summary-mode=disabled", "--no-thresholds")
    log = ("--log-format", "raw", "--console-output", str(told))
    subprocess.run(
        [str(k6()), "run", *flags, "--address", "", *log, str(_SCRIPT)],
        env={**os.environ, **environ},
        check=True,
    )
    lines = told.read_text(encoding="utf-8").splitlines()
    return sorted((Outcome(**json.loads(line)) for line in lines), key=lambda each: each.number)
