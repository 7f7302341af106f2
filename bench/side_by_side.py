"""`make bench-side-by-side`: gateways beside each other before the same provider, one worker each, under callers who
ask again as soon as they are answered. Rounds alternate, because machines are noisy; the ratios within a round count.
Needs wrk and nginx (Debian: wrk, nginx-light), and Node.js for Portkey.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from bench import encoder
from bench.cases import CASES, Asking, Stand, opened
from bench.command import given
from bench.comparison import ENCODER, Found, as_brief, as_markdown, picture, summary
from bench.load import Shape, burst
from bench.report import origin, save
from bench.usage import cpu_s, resident_mb, tree

MOST_PER_SECOND: Final = 3_000  # of requests that differ


def measure(names: Sequence[str], rounds: int, seconds: int) -> dict[str, list[Found]]:
    """Some of `CASES`, and `ENCODER`."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        asked = opened([name for name in names if name in CASES], Stand(folder, stack))
        found: dict[str, list[Found]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            length = seconds if turn else 1
            for name in names:
                print(f"{f'round {turn}/{rounds}' if turn else 'warm-up'}: {name} …", end=" ", flush=True)
                one = _encoder(length) if name == ENCODER else find(asked[name], length, folder)
                print(f"{one.crowd.requests_per_second:,.0f} a second", flush=True)
                if turn:
                    assert one.crowd.requests, "nobody was answered; give it more --seconds"
                    found[name].append(one)
        return found


def find(asking: Asking, seconds: int, folder: Path) -> Found:
    subject, length = asking.subject, seconds * asking.case.longer
    shorter = max(1, length // 2)
    bodies = asking.bodies(length * MOST_PER_SECOND)
    pids, before = tree(subject.pid), subject.sources()
    cpu, stores = cpu_s(pids), cpu_s(subject.stores)
    crowd = burst(subject.chat, subject.headers, bodies, Shape(length), folder)
    cpu, stores = cpu_s(pids) - cpu, cpu_s(subject.stores) - stores
    more = {source: count - before.get(source, 0.0) for source, count in subject.sources().items()}
    bodies = asking.bodies(shorter * MOST_PER_SECOND // 4)
    lone = burst(subject.chat, subject.headers, bodies, Shape(shorter, callers=1), folder)
    return Found(crowd, lone, cpu, stores, resident_mb(pids), more)


def _encoder(seconds: int) -> Found:
    return Found(encoder.alone(Shape(seconds)), encoder.alone(Shape(max(1, seconds // 2), callers=1)))


def main() -> None:
    told = given(__doc__, [*CASES, ENCODER], rounds=5, seconds=4)
    begun = origin("bench.side_by_side")
    report: dict[str, Any] = {**begun, **summary(measure(told.names, told.rounds, told.seconds))}
    text = as_markdown(report)
    print(f"\n{text}")
    if told.save:
        save("side_by_side", report, text, as_brief(report), picture(report["cases"]))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
