"""A data plane that watches its own event loop, for `bench.stalls`: `python -m bench.watched REPORT` serves as
`tollway-dataplane` does, and writes what it has seen when it is told to stop.

A heartbeat in the loop says every two milliseconds that it is its turn; a thread looks at what the loop does whenever
that is late. Of each delay it is told apart how much of it the loop's own thread had the processor: the rest was waited
for the machine, or for a thread that held the interpreter.
"""

import asyncio
import gc
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import uvloop

from tollway_api.environment import settings_from
from tollway_dataplane.__main__ import run
from tollway_dataplane.background import running
from tollway_dataplane.settings import Settings

_BEAT_S: Final = 0.002
_LATE_S: Final = 0.005
_FRAMES: Final = 12
# What stands before a package's own name: where it is installed is nobody's concern.
_FOLDERS: Final = re.compile(r"^.*/(?=tollway_|bench/)|^.*/(?:site-packages|python[\d.]+)/")
_OURS: Final = (
    "tollway_",
    "prometheus_client",
    "litellm",
    "aiohttp",
    "uvicorn",
    "starlette",
    "redis",
    "numpy",
)


@dataclass(order=True)
class Delay:
    """Milliseconds by the clock, and those in which the loop's thread had the processor."""

    own_ms: float
    ms: float
    at_s: float  # by the machine's clock
    garbage_ms: float  # of those, collecting garbage
    stacks: list[tuple[int, str]] = field(default_factory=list, compare=False)  # how often each was seen


class Watch:
    def __init__(self) -> None:
        self._beat = time.perf_counter()
        self._cpu = 0.0
        self._seen: Counter[str] = Counter()
        self._garbage_s = self._collecting_since = 0.0
        self._thread = threading.get_ident()
        # Generation, milliseconds of processor, and when.
        self.collections: list[tuple[int, float, float]] = []
        self.delays: list[Delay] = []
        self.worst: list[Delay] = []
        gc.callbacks.append(self._collects)

    async def beat(self) -> None:
        """Runs in the loop."""
        threading.Thread(target=self._look, daemon=True).start()
        while True:
            self._beat, self._cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_BEAT_S)
            self._note(time.perf_counter() - self._beat - _BEAT_S, time.thread_time() - self._cpu)

    def _note(self, late_s: float, own_s: float) -> None:
        seen, self._seen = self._seen, Counter()
        garbage_s, self._garbage_s = self._garbage_s, 0.0
        late_ms, own_ms = late_s * 1_000, min(own_s, late_s) * 1_000
        delay = Delay(own_ms, late_ms, self._beat, garbage_s * 1_000)
        self.delays.append(delay)
        if own_s > _LATE_S:
            delay.stacks = [(count, stack) for stack, count in seen.most_common(3)]
            self.worst.append(delay)

    def _look(self) -> None:
        """Runs in a thread."""
        while True:
            time.sleep(_BEAT_S)
            if time.perf_counter() - self._beat > _BEAT_S + _LATE_S:
                self._seen[_shown(sys._current_frames().get(self._thread))] += 1  # noqa: SLF001 - there is no other way

    def _collects(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.thread_time()
        elif threading.get_ident() == self._thread:
            took_s = time.thread_time() - self._collecting_since
            self._garbage_s += took_s
            self.collections.append((info["generation"], took_s * 1_000, time.perf_counter()))


def _shown(frame: FrameType | None) -> str:
    frames: list[str] = []
    while frame is not None and len(frames) < _FRAMES:
        code = frame.f_code
        if any(name in code.co_filename for name in _OURS) or not frames:
            place = _FOLDERS.sub("", code.co_filename)
            frames.append(f"{place}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return " < ".join(frames[:5])


async def watched(watch: Watch) -> None:
    async with running(watch.beat()):
        await run(settings_from(os.environ, Settings))


def main() -> None:
    watch = Watch()
    uvloop.run(watched(watch))
    told = {
        "collections": watch.collections,
        "delays": [(each.ms, each.own_ms, each.garbage_ms, each.at_s) for each in watch.delays],
        "worst": [asdict(each) for each in sorted(watch.worst, reverse=True)],
    }
    Path(sys.argv[1]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
