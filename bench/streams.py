"""`make bench-streams`: what gateways add to streams: until the first token, and to each chunk after, beside a bare
pass-through and the provider asked directly. The provider writes into each chunk when it sent it. Callers read one
stream after the other, so many at a time.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.added_latency import percentiles
from bench.bars import drawing
from bench.command import given
from bench.open_loop import is_whole, request
from bench.prompts import ONE, body
from bench.report import origin, said, save, shown, spread, table
from bench.stream_provider import CHUNKS, PACE_S
from bench.subjects import Subject, baseline, litellm_proxy, portkey, tollway
from bench.usage import cpu_s, tree
from tests import loopback
from tests.processes import free_port, started, wait_for

STREAMS: Final = 10
DIRECTLY: Final = "the provider, directly"
NAMES: Final = (DIRECTLY, "pass-through", "Tollway", "LiteLLM Proxy", "Portkey")
_STAMP: Final = re.compile(rb'"content":\s*"(\d{12,}) "')
_BODY: Final = body(ONE, stream=True)
_HOW: Final = f"""\
{STREAMS} streams at a time, each of {CHUNKS} chunks, one every {PACE_S * 1_000:g} ms, the first at once.
A chunk's delay is from when the provider sent it, which it says in the chunk, until its caller has it; so it includes
what this benchmark's own caller and provider take, which is the first row. Medians of alternating rounds (least to
most).
"""


@dataclass
class Read:
    """What callers saw."""

    first_ms: list[float] = field(default_factory=list)  # from the request
    delays_ms: list[float] = field(default_factory=list)  # of all chunks but the first
    broken: int = 0


@contextmanager
def provider(folder: Path) -> Iterator[Subject]:
    port = free_port()
    with started(folder / "provider.log", "bench.stream_provider", str(port)) as served:
        subject = Subject(f"http://127.0.0.1:{port}", served.process.pid)
        wait_for(lambda: loopback.post(subject.chat, timeout=10).status_code == 200, "the provider answers")
        yield subject


def opened(names: Sequence[str], folder: Path, stack: ExitStack) -> dict[str, Subject]:
    direct = stack.enter_context(provider(folder))
    upstream = f"{direct.url}/v1"
    ways = {
        DIRECTLY: lambda: direct,
        "pass-through": lambda: stack.enter_context(baseline(folder, "streaming-pass-through", upstream)),
        "Tollway": lambda: stack.enter_context(tollway(folder / "tollway", upstream, cached=False)),
        "LiteLLM Proxy": lambda: stack.enter_context(
            litellm_proxy(folder / "litellm", upstream, cached=False)
        ),
        "Portkey": lambda: stack.enter_context(portkey(folder, upstream)),
    }
    return {name: ways[name]() for name in names}


async def listen(subject: Subject, seconds: float) -> Read:
    """All callers. Each reads one stream at least, and ends with the one that it reads when the time is over."""
    read, until = Read(), time.monotonic() + seconds
    await asyncio.gather(*(_caller(subject, until, read) for _ in range(STREAMS)))
    return read


async def _caller(subject: Subject, until: float, read: Read) -> None:
    parts = urlsplit(subject.chat)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    sent = request(subject.chat, subject.headers, _BODY)
    is_over = False
    while not is_over:
        began, received, stamps = time.monotonic_ns(), b"", 0
        writer.write(sent)
        while not is_whole(received):
            data = await reader.read(1 << 16)
            now = time.monotonic_ns()
            received += data
            found = [int(each) for each in _STAMP.findall(received)]
            if found and not stamps:
                read.first_ms.append((now - began) / 1e6)
            read.delays_ms += [(now - each) / 1e6 for each in found[max(stamps, 1) :]]
            stamps = len(found)
            if not data:
                break
        if stamps != CHUNKS:
            read.broken += 1
            break
        is_over = time.monotonic() >= until
    writer.close()


def measure(names: Sequence[str], rounds: int, seconds: int) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        subjects = opened(names, Path(temporary), stack)
        found: dict[str, list[tuple[Read, float]]] = {name: [] for name in names}
        for number in range(rounds + 1):
            for name, subject in subjects.items():
                pids = tree(subject.pid)
                cpu = cpu_s(pids)
                read = asyncio.run(listen(subject, seconds if number else 0))
                cpu = cpu_s(pids) - cpu
                print(f"round {number}/{rounds}: {name}: {len(read.delays_ms)} chunks", flush=True)
                if number:
                    found[name].append((read, cpu))
        return {name: _summary(each) for name, each in found.items()}


def _summary(found: Sequence[tuple[Read, float]]) -> dict[str, Any]:
    firsts = [percentiles(read.first_ms) for read, _ in found]
    delays = [percentiles(read.delays_ms) for read, _ in found]
    return {
        "first_p50_ms": spread([each[50] for each in firsts]),
        "first_p99_ms": spread([each[99] for each in firsts]),
        "delay_p50_ms": spread([each[50] for each in delays]),
        "delay_p99_ms": spread([each[99] for each in delays]),
        "cpu_us_a_chunk": spread(
            [cpu * 1e6 / (len(read.delays_ms) + len(read.first_ms)) for read, cpu in found]
        ),
        "broken": sum(read.broken for read, _ in found),
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    return "\n".join(["# Streams", "", said(report), "", _HOW, *_table(report["cases"])])


def _table(cases: Mapping[str, Any]) -> list[str]:
    keys = ("first_p50_ms", "first_p99_ms", "delay_p50_ms", "delay_p99_ms", "cpu_us_a_chunk")
    heads = ["", "first token, p50 ms", "p99", "delay of a chunk, p50 ms", "p99", "CPU µs a chunk", "broken"]
    rows = [[name, *(shown(case[key]) for key in keys), str(case["broken"])] for name, case in cases.items()]
    return table(heads, rows)


def main() -> None:
    told = given(__doc__, NAMES, rounds=3, seconds=5)
    begun = origin("bench.streams")
    cases = measure(told.names, told.rounds, told.seconds)
    report = {**begun, "cases": cases}
    text = as_markdown(report)
    print(f"\n{text}")
    if told.save:
        titles = {"first token, p50 in ms": "first_p50_ms", "delay of a chunk, p50 in ms": "delay_p50_ms"}
        titles["CPU microseconds a chunk"] = "cpu_us_a_chunk"
        panels = {title: {name: case[key] for name, case in cases.items()} for title, key in titles.items()}
        brief = "\n".join([said(report), "", *_table(cases)])
        save("streams", report, text, brief, drawing(panels))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
