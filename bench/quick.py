"""`make bench-quick`: whether the fast paths are as fast as they were, in less than three minutes: the ratios of live
requests and of exact hits to their baselines, beside the committed ones of `side_by_side`. It only informs: machines
differ, and the status is 0 whatever moved.
"""

import json
from contextlib import suppress
from typing import Final

from bench.cases import PARSE_AND_REPLY, PASS_THROUGH
from bench.command import given
from bench.comparison import summary
from bench.report import RESULTS, Spread, shown
from bench.side_by_side import measure

NAMES: Final = (PASS_THROUGH, PARSE_AND_REPLY, "Tollway live", "Tollway exact")


def moved(now: Spread, before: Spread) -> str:
    """In which direction, where the ranges of all rounds do not even touch."""
    if now["max"] < before["min"]:
        return "slower"
    return "faster" if now["min"] > before["max"] else "within what it was"


def main() -> None:
    told = given(__doc__, NAMES, rounds=4, seconds=2)
    committed = json.loads((RESULTS / "side_by_side.json").read_text(encoding="utf-8"))
    ratios = summary(measure(told.names, told.rounds, told.seconds))["ratios"]
    print(f"\nRatios of requests a second, now and on commit {committed['commit']}:")
    for name, now in ratios.items():
        if before := committed["ratios"].get(name):
            print(f"  {name}: {shown(now)}, was {shown(before)}: {moved(now, before)}")
        else:
            print(f"  {name}: {shown(now)}, was not measured")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
