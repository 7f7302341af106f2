"""`python -m bench.processor_time live CHECKOUT…` (or `exact`, `stream`): what a request, or a chunk of a stream, takes
of a data plane's processor, beside the bare baseline and data planes of other checkouts, such as of before a change.
All alternate in one run, because on a machine that others use only ratios count. Two processes of each, since one may
be a tenth slower than another for how its memory lies.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Final

from bench import streams
from bench.load import Shape, burst
from bench.prompts import ONE, REMEMBERED, body
from bench.provider import fake_provider
from bench.subjects import Subject, baseline, tollway
from bench.usage import cpu_s, tree

BASELINES: Final = {"live": "pass-through", "exact": "parse-and-reply", "stream": "streaming-pass-through"}
_OWN: Final = Path(__file__).parents[1]
_EACH: Final = 2
_PACKAGES: Final = ("", "api", "operator", "dataplane", "cli")


@contextmanager
def code_of(checkout: Path) -> Iterator[None]:
    """What is started meanwhile runs the code that lies there."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(str(checkout / each) for each in _PACKAGES)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def asked(which: str, folder: Path) -> Callable[[Subject, int], int]:
    """Loads a subject for so many seconds, and says how many it has answered."""
    sent = body(REMEMBERED[0] if which == "exact" else ONE)

    def load(subject: Subject, seconds: int) -> int:
        if which == "stream":
            read = asyncio.run(streams.listen(subject, seconds))
            return len(read.first_ms) + len(read.delays_ms)
        return burst(subject.chat, subject.headers, [sent], Shape(seconds), folder).requests

    return load


def measure(which: str, checkouts: list[Path], rounds: int, seconds: int) -> Mapping[str, list[float]]:
    """Microseconds, by what is loaded."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        with code_of(_OWN):
            is_stream = which == "stream"
            upstream = stack.enter_context(
                _streaming_provider(folder) if is_stream else fake_provider(folder)
            )
            base = stack.enter_context(baseline(folder, BASELINES[which], upstream))
        subjects = [(BASELINES[which], base)]
        for number in range(_EACH):
            for place, checkout in enumerate(checkouts):
                with code_of(checkout):
                    named = folder / f"{place}-{number}"
                    subject = stack.enter_context(tollway(named, upstream, cached=which == "exact"))
                    subjects.append((str(checkout), subject))
        load = asked(which, folder)
        for number in range(rounds + 1):
            for name, subject in reversed(subjects) if number % 2 else subjects:
                pids = tree(subject.pid)
                before = cpu_s(pids)
                count = load(subject, seconds)
                if number:  # the first warms up
                    found.setdefault(name, []).append((cpu_s(pids) - before) * 1e6 / count)
    return found


@contextmanager
def _streaming_provider(folder: Path) -> Iterator[str]:
    with streams.provider(folder) as direct:
        yield f"{direct.url}/v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=list(BASELINES))
    parser.add_argument("checkouts", nargs="*", type=lambda each: Path(each).resolve())
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=2)
    told = parser.parse_args()
    found = measure(told.which, [*told.checkouts, _OWN], told.rounds, told.seconds)
    for name, micros in found.items():
        print(f"{name}: {median(micros):.0f} µs ({min(micros):.0f} to {max(micros):.0f})")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
