"""One burst of load with wrk, and what came of it: callers who ask again as soon as they are answered."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALLERS: Final = 32
_DONE: Final = """
done = function(summary, latency)
  local e = summary.errors
  print("found", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, summary.requests, e.connect + e.read + e.write + e.status + e.timeout)
end
"""
_MANY: Final = """
local requests, at = {}, 0
init = function()
  for line in io.lines("%s") do requests[#requests + 1] = wrk.format(nil, nil, nil, line) end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
"""


@dataclass(frozen=True)
class Burst:
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    errors: int


@dataclass(frozen=True)
class Shape:
    """So many callers for so long. wrk knows whole seconds only."""

    seconds: int
    callers: int = CALLERS


def burst(url: str, headers: Mapping[str, str], bodies: Sequence[bytes], shape: Shape, folder: Path) -> Burst:
    """POSTs the bodies in their order, over and over, each caller on a kept-alive connection."""
    sent = {"content-type": "application/json", **headers}
    lines = [
        'wrk.method = "POST"',
        *(f"wrk.headers[ [==[{name}]==] ] = [==[{sent[name]}]==]" for name in sent),
    ]
    if len(bodies) == 1:  # which wrk then sends without asking Lua each time
        lines.append(f"wrk.body = [==[{bodies[0].decode()}]==]")
    else:
        (folder / "bodies").write_bytes(b"\n".join(bodies))
        lines.append(_MANY % (folder / "bodies"))
    script = folder / "post.lua"
    script.write_text("\n".join([*lines, _DONE]), encoding="utf-8")
    options = ("-t1", f"-c{shape.callers}", f"-d{shape.seconds}s", "--timeout", "30s", "-s", str(script))
    text = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True).stdout
    return read(text)


def read(printed: str) -> Burst:
    """Of what wrk has printed by our script."""
    (line,) = (line for line in printed.splitlines() if line.startswith("found"))
    rate, p50, p95, p99, requests, errors = line.split()[1:]
    return Burst(float(rate), float(p50), float(p95), float(p99), int(requests), int(errors))
