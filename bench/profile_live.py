"""What is left: where a data plane spends its time under load, by part: `python -m bench.profile_live` with `live`,
`exact`, `semantic` or `mixed`. Needs wrk, nginx and py-spy (`pip install py-spy`), which samples it from outside.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench.cases import CASES, Asking, Stand
from bench.load import Shape, burst

SECONDS = 8
_MOST = 30_000  # requests, of cases whose requests differ
# A sample belongs to the first part that one of its frames names, from the innermost outwards.
PARTS = {
    "log line and metrics": ("observe.py", "metrics.py", "logs.py", "prometheus_client/"),
    "ledger, over redis-py": (
        "redis/",
        "redis_batch.py",
        "redis_ledger.py",
        "spending/",
        "core/budgeting.py",
        "core/granting.py",
    ),
    "provider's client, aiohttp": ("aiohttp/", "openai_upstream.py", "http_exchange.py"),
    "parsing and checking the request": ("edge/wire_format.py", "edge/incoming.py", "edge/authentication.py"),
    "partition and look-up": (
        "recall.py",
        "judgement/identity.py",
        "judgement/cacheability.py",
        "near_cache.py",
    ),
    "writing the reply": ("edge/replies.py", "edge/chat_completions.py"),
    "deciding: match, route, plan, price": (
        "core/",
        "routing/",
        "judgement/",
        "prompts/",
        "dispatch.py",
        "service.py",
        "live.py",
    ),
    "HTTP server, uvicorn": ("uvicorn/", "edge/connections.py"),
    "the request's frame: routes, callers": ("edge/", "starlette/"),
    "event loop": ("",),
}


def parts(raw: Path) -> Counter[str]:
    """Samples by part, from py-spy's folded stacks: `frame;frame;frame count`, outermost first."""
    found: Counter[str] = Counter()
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        if "uvloop" in stack:  # the other threads
            found[_part(stack.split(";"))] += int(count)
    return found


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, marks in PARTS.items():
            if any(mark and mark in frame for mark in marks):
                return part
    return "event loop"


def record(which: str) -> Counter[str]:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        case = CASES[f"Tollway {which}"]
        asking = Asking(case, case.start(Stand(folder, stack)))
        subject, raw = asking.subject, folder / "folded"
        burst(subject.chat, subject.headers, asking.bodies(_MOST), Shape(1), folder)
        sampler = ["py-spy", "record", "--pid", str(subject.pid), "--duration", str(SECONDS), "--rate", "400"]
        sampling = subprocess.Popen(
            [*sampler, "--full-filenames", "--format", "raw", "--output", str(raw)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        burst(subject.chat, subject.headers, asking.bodies(_MOST), Shape(SECONDS + 1), folder)
        sampling.wait()
        return parts(raw)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["live", "exact", "semantic", "mixed"])
    arguments = parser.parse_args()
    if missing := [tool for tool in ("wrk", "nginx", "py-spy") if shutil.which(tool) is None]:
        print(f"not found: {', '.join(missing)}", file=sys.stderr)
        return 2
    found = record(arguments.which)
    print(f"| {arguments.which} | share of the event loop's time |\n|---|---:|")
    for part, count in found.most_common():
        print(f"| {part} | {count / found.total():.0%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
