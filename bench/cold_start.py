"""`python -m bench.cold_start`: how long a data plane takes from its first instruction to `/readyz`, and what for; and
how much memory it then has. Whole starts are timed by the clock and by the processor's time, which other work on the
machine changes less; imports, by the package that they are of, in one more start, which measuring slows down.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests import loopback
from tests.dataplanes import Setup, WithoutCache
from tests.processes import free_port, wait_for
from tests.servers import redis_servers
from tests.snapshots import process_env, published

_IMPORTED: Final = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*([\w]+)", re.MULTILINE)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PATIENCE_S: Final = 300
_SHOWN: Final = 10


# By which table a budget counts tokens: that of OpenAI's newer models, that of all other models, or by none.
_COUNTED: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = {
    "newer": {"acme": {"limits": [{"name": "money", "amount": "1"}]}},
    "others": {
        "acme": {"limits": [{"name": "money", "amount": "1"}]},
        "cheap_model": {"model": "openai/gpt-3.5-turbo"},
        "rich_model": {"model": "openai/gpt-4"},
    },
    "none": {
        "acme": {"limits": [{"name": "few", "unit": "Requests", "amount": "1"}]},
        "policy": {
            "fallback": {"triggers": ["RateLimit", "ServerError"]}
        },  # without ContextOverflow, which counts
    },
}


class Start(NamedTuple):
    ready_s: float
    cpu_s: float
    resident_mb: float
    said: str  # on standard error


def start(env: dict[str, str], folder: Path, *options: str) -> Start:
    log = folder / "dataplane.log"
    with log.open("wb") as output:
        began = time.monotonic()
        command = [sys.executable, *options, "-m", "tollway_dataplane"]
        # As in an image, where bytecode lies ready: to make it takes a second, and memory that is not given back.
        kept = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        process = subprocess.Popen(command, env={**kept, **env}, stdout=output, stderr=output)
    try:
        ready = f"http://{env['TOLLWAY_ADMIN_LISTEN']}/readyz"
        wait_for(lambda: loopback.get(ready).status_code == 200, "it is ready", _PATIENCE_S)
        took = time.monotonic() - began
        fields = (
            Path("/proc", str(process.pid), "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        cpu_s, resident_mb = (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE / 1e6
        return Start(took, cpu_s, resident_mb, log.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait()


def imports(said: str) -> Counter[str]:
    """Seconds in a package's own modules."""
    spent: Counter[str] = Counter()
    for microseconds, name in _IMPORTED.findall(said):
        spent[name] += int(microseconds)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--litellm", action="store_true", help="one of the models is asked through LiteLLM")
    parser.add_argument(
        "--plain", action="store_true", help="nothing is remembered, so that no encoder is needed"
    )
    parser.add_argument(
        "--tables", choices=list(_COUNTED), default="newer", help="by which tokens are counted"
    )
    given = parser.parse_args()
    times: int = given.times
    with tempfile.TemporaryDirectory() as name, redis_servers(Path(name)) as (cache, ledger):
        folder = Path(name)
        nobody = "http://127.0.0.1:9/v1"
        setup = (WithoutCache if given.plain else Setup)(nobody, nobody).but(**_COUNTED[given.tables])
        if given.litellm:
            setup = setup.but(rich_model={"model": "anthropic/claude-sonnet-4-5"})
        published(setup, folder / "snapshot", cache, ledger)
        env = process_env(folder / "snapshot", cache, ledger, free_port(), free_port())
        start(env, folder)  # what the disk has to be asked for once
        starts = [start(env, folder) for _ in range(times)]
        spent = imports(start(env, folder, "-X", "importtime").said)
    fields = ("ready_s", "cpu_s", "resident_mb")
    ready, cpu, memory = (sorted(getattr(each, field) for each in starts) for field in fields)
    print(f"ready after {statistics.median(ready):.2f} s ({ready[0]:.2f} to {ready[-1]:.2f})")
    print(f"processor   {statistics.median(cpu):.2f} s ({cpu[0]:.2f} to {cpu[-1]:.2f}), until then")
    print(f"memory      {statistics.median(memory):.0f} MB ({memory[0]:.0f} to {memory[-1]:.0f}), resident")
    print(f"imports     {spent.total() / 1e6:.2f} s, while they are measured:")
    shown = spent.most_common(_SHOWN)
    for package, microseconds in [*shown, ("others", spent.total() - sum(each for _, each in shown))]:
        print(f"  {microseconds / 1e6:6.3f} s  {package}")


if __name__ == "__main__":
    main()
