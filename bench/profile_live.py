"""What is left: where a data plane spends its time under load, by part. `python -m bench.profile_live live` or `exact`.
Needs wrk, nginx and py-spy (`pip install py-spy`), which samples the process from outside.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench.live import BODY, fake_provider, tollway
from bench.load import burst
from tests.dataplanes import ACME_KEY

SECONDS = 8
# A sample belongs to the first part that one of its frames names, from the innermost outwards.
PARTS = {
    "log line and metrics": ("observe.py", "metrics.py", "logs.py", "prometheus_client/"),
    "ledger, over redis-py": (
        "redis/",
        "redis_batch.py",
        "redis_ledger.py",
        "budgets.py",
        "reserving.py",
        "holds.py",
        "core/budgeting.py",
    ),
    "provider's client, aiohttp": ("aiohttp/", "openai_upstream.py"),
    "parsing and checking the request": ("edge/wire_format.py", "edge/incoming.py", "edge/authentication.py"),
    "partition and look-up": ("recall.py", "core/identity.py", "core/cacheability.py", "near_cache.py"),
    "writing the reply": ("edge/replies.py", "edge/chat_completions.py"),
    "deciding: match, route, plan, price": ("core/", "dispatch.py", "service.py", "live.py"),
    "the request's frame: routes, callers": ("edge/", "starlette/"),
    "HTTP server, uvicorn": ("uvicorn/",),
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
        provider = stack.enter_context(fake_provider(folder))
        subject = stack.enter_context(tollway(folder / which, provider, cached=which == "exact"))
        url, raw = f"{subject.url}/v1/chat/completions", folder / "folded"
        burst(url, BODY, ACME_KEY, 1, folder)
        sampler = ["py-spy", "record", "--pid", str(subject.pid), "--duration", str(SECONDS), "--rate", "400"]
        sampling = subprocess.Popen(
            [*sampler, "--full-filenames", "--format", "raw", "--output", str(raw)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        burst(url, BODY, ACME_KEY, SECONDS + 1, folder)
        sampling.wait()
        return parts(raw)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["live", "exact"])
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
