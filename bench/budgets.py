"""Whether a cap is a cap, and can be spent: a thousand requests at once over twenty tenants who want three times what
they may spend and whose worst case is ten times what an answer costs, on a real Redis, four data-plane processes and
the simulated provider; first without faults, then with pods killed, replies of Redis lost, Redis restarted, and a
provider that fails, stalls, breaks off and lies about usage. Ends with 1 where a promise was not kept.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.budget_curves import Run, drawing
from tests.spending import Account, Outcome, Shape, spend

RESULTS = Path(__file__).parent / "results"
LEAST_SPENT = 0.95
LEAKED_AFTER_S = 60.0
FAULTS_EVERY_S = 8.0
# Callers come again while things break, with other questions: what is refused is not asked again.
WITH_FAULTS = 4


@dataclass(frozen=True)
class Measured:
    title: str
    shape: Shape
    faults: bool
    outcome: Outcome

    @property
    def requests(self) -> int:
        return self.shape.tenants * self.shape.callers * self.shape.questions

    def broken_promises(self) -> Iterator[str]:
        for number, each in enumerate(self.outcome.accounts):
            if each.billed > each.limit + each.epsilon or each.ledger > each.limit + each.overshoot:
                yield f"tenant {number} overspent by more than ε: {each}"
            if min(each.billed, each.ledger) < LEAST_SPENT * each.limit:
                yield f"tenant {number} could not spend {LEAST_SPENT:.0%} of its limit: {each}"
            if each.held:
                yield f"tenant {number} has a hold {LEAKED_AFTER_S:.0f} s later: {each}"
            if not self.faults and not each.ledger == each.billed == each.metrics:
                yield f"the sums of tenant {number} do not agree: {each}"


def measure(title: str, shape: Shape, seed: int, *, faults: bool) -> Measured:
    print(f"{title} …", flush=True)
    every_s = FAULTS_EVERY_S if faults else None
    with tempfile.TemporaryDirectory() as folder:
        outcome = spend(shape, Path(folder), seed=seed, faults_every_s=every_s, patience_s=LEAKED_AFTER_S)
    spent = _range(outcome.accounts, lambda each: each.billed)
    print(
        f"… {outcome.seconds:.0f} s: {spent} of each limit spent, by the bill; {dict(outcome.replies)}",
        flush=True,
    )
    return Measured(title, shape, faults, outcome)


def _range(accounts: Sequence[Account], of: Callable[[Account], int]) -> str:
    shares = sorted(of(each) / each.limit for each in accounts)
    return f"{shares[0]:.2%} to {shares[-1]:.2%}"


def rows(found: Measured) -> dict[str, str]:
    accounts, outcome = found.outcome.accounts, found.outcome
    beyond = max((each.billed - each.limit) / each.limit for each in accounts)
    apart = max(max(abs(each.ledger - each.billed), abs(each.metrics - each.ledger)) for each in accounts)
    replies, faults = outcome.replies, outcome.faults
    unknown = replies.total() - sum(replies[each] for each in ("200", "cut", "429", "503"))
    return {
        "requests, and answered whole": f"{found.requests:,}, {replies['200']:,}",
        "ended where the budget did": f"{replies['cut']:,}",
        "refused for the budget; for the ledger or the provider": f"{replies['429']:,}; {replies['503']:,}",
        "broken off": f"{unknown:,}",
        "spent of each limit, by the ledger": _range(accounts, lambda each: each.ledger),
        "spent of each limit, by the provider's bill": _range(accounts, lambda each: each.billed),
        "most beyond a limit, by the bill": f"{max(0.0, beyond):.2%}",
        "ε of each tenant, of its limit": _range(accounts, lambda each: each.epsilon),
        "… as `ai_budget_overshoot_usd` measures it": _range(accounts, lambda each: each.overshoot),
        "most that ledger, bill and metrics differ, nano-USD": f"{apart:,}",
        f"holds left {LEAKED_AFTER_S:.0f} s later": str(sum(each.held > 0 for each in accounts)),
        "seconds until nothing was held": f"{outcome.settled_after_s:.0f}",
        "pods killed, Redis restarted, replies lost": ", ".join(
            str(faults[each]) for each in ("pods killed", "Redis restarted", "replies lost")
        ),
    }


def as_markdown(runs: Sequence[Measured]) -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    arguments = " ".join(["python -m bench.budgets", *sys.argv[1:]])
    shape = runs[0].shape
    load = (
        f"{shape.tenants * shape.callers:,} callers at once, {shape.tenants} tenants, {shape.pods} data planes; "
        f"demand {shape.demand:g} times the limit, worst case {shape.worst:g} times the real cost."
    )
    tables = [rows(each) for each in runs]
    lines = [
        "# Budgets that hold, and can be spent",
        "",
        f"Commit {commit}, {machine}, {time.strftime('%Y-%m-%d')}; `{arguments}`.",
        load,
        "",
        f"| | {' | '.join(each.title for each in runs)} |",
        f"|---|{'---:|' * len(runs)}",
        *(f"| {name} | {' | '.join(table[name] for table in tables)} |" for name in tables[0]),
        "",
        "![Spent, held and refused over time](budgets.svg)",
        "",
    ]
    return "\n".join(lines)


def report(runs: Sequence[Measured], *, save: bool) -> int:
    text = as_markdown(runs)
    print(f"\n{text}")
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "budgets.md").write_text(text, encoding="utf-8")
        curves = [Run(each.title, each.outcome.samples, each.requests) for each in runs]
        (RESULTS / "budgets.svg").write_text(drawing(curves), encoding="utf-8")
    broken = [f"{each.title}: {sentence}" for each in runs for sentence in each.broken_promises()]
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return int(bool(broken))


def soak(shape: Shape, hours: float) -> int:
    """With faults, again and again with other seeds, until a promise is not kept or the time is over."""
    ends, seed = time.monotonic() + hours * 3_600, 0
    while time.monotonic() < ends:
        seed += 1
        found = measure(f"with faults, seed {seed}", shape, seed, faults=True)
        if report([found], save=False):
            return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="four tenants instead of twenty")
    parser.add_argument("--hours", type=float, default=0.0, help="with faults, over and over for so long")
    parser.add_argument("--save", action="store_true", help="write table and plot to bench/results/")
    arguments = parser.parse_args()
    shape = Shape(tenants=4) if arguments.short else Shape()
    again = replace(shape, questions=WITH_FAULTS)
    if arguments.hours:
        return soak(again, arguments.hours)
    runs = [
        measure("without faults", shape, 0, faults=False),
        measure("with faults", again, 0, faults=True),
    ]
    return report(runs, save=arguments.save)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
