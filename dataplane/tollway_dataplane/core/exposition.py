"""The metrics of several processes as those of one: every sample is kept, and says of which process it is, since what
may be added up, and what may not, is known to who asks. Called by `edge/workers` (Prometheus's text formats).
"""

from collections.abc import Mapping
from typing import Final

_END: Final = "# EOF"  # of OpenMetrics


def merged(pages: Mapping[str, str], own: str) -> str:
    """`pages` by the name of each process, which becomes the label `worker` of its samples; `own` has it already. All
    are of the same format.
    """
    families: dict[str, tuple[list[str], list[str]]] = {}  # by name: what is said of each, and its samples
    for worker, page in {**pages, "": own}.items():
        headers: list[str] = []
        samples: list[str] = []
        for line in page.split("\n"):  # and nowhere else: a label's value may have other ends of lines
            if line.startswith("# ") and line != _END:
                headers, samples = families.setdefault(line.split(" ", 3)[2], ([], []))
                if line not in headers:
                    headers.append(line)
            elif line and line != _END:
                samples.append(_labelled(line, worker) if worker else line)
    lines = [line for headers, samples in families.values() for line in (*headers, *samples)]
    if own.rstrip().endswith(_END):
        lines.append(_END)
    return "\n".join([*lines, ""])


def _labelled(sample: str, worker: str) -> str:
    name, _, rest = sample.partition(" ")
    bare, brace, _ = name.partition("{")
    if brace:  # what follows it is taken from the whole, since a label's value may have a space
        return f'{bare}{{worker="{worker}",{sample[len(bare) + 1 :]}'
    return f'{name}{{worker="{worker}"}} {rest}'
