"""What the commands of the benches are told, and what they need before they begin."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.peers import installing


@dataclass(frozen=True)
class Given:
    names: list[str]  # of what is compared
    rounds: int
    seconds: int
    save: bool


def given(description: str | None, names: Sequence[str], rounds: int, seconds: int) -> Given:
    """What is told, or these. Installs the gateways of others that are among the names; ends the process with status 2
    where something that is needed is not there.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="%(default)s unless told")
    parser.add_argument(
        "--seconds", type=int, default=seconds, help="length of one measurement, %(default)s unless told"
    )
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="NAME", help="leave out what begins so, like Portkey"
    )
    parser.add_argument("--save", action="store_true", help="write the results to bench/results/")
    told = parser.parse_args()
    chosen = [name for name in names if not name.startswith(tuple(told.without))]
    _prepare(chosen)
    return Given(chosen, told.rounds, told.seconds, told.save)


def _prepare(names: Sequence[str]) -> None:
    others = {"LiteLLM": installing.litellm_proxy, "Portkey": installing.portkey}
    wanted = {
        name: install for name, install in others.items() if any(each.startswith(name) for each in names)
    }
    programs = ["wrk", "nginx", *(["node", "npm"] if "Portkey" in wanted else [])]
    if missing := [program for program in programs if shutil.which(program) is None]:
        print(
            f"not found: {', '.join(missing)}; Debian has wrk, nginx-light, nodejs and npm", file=sys.stderr
        )
        raise SystemExit(2)
    try:
        for install in wanted.values():
            install()
    except installing.PeerError as refused:
        print(refused, file=sys.stderr)
        raise SystemExit(2) from refused
