"""`tollway fit-router`: a policy's own weights for the router, from labels of its traffic, and what they are worth."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from tollway_api.own_weights import write
from tollway_cli.labels import Label, read_labels
from tollway_cli.router_fit import Fit, Interval, fit, rows_of
from tollway_dataplane.adapters.local_embedder import MOST_BATCH, LocalEmbedder
from tollway_dataplane.choosing import MOST_CHARACTERS
from tollway_dataplane.routing.router import Dial, Floats, shipped

DIALS: Final = (0.80, 0.90, 0.95, 0.98, 0.99)
USUAL_DIAL: Final = 0.95
_WIDE, _HIGH = 60, 12  # of the plot, in characters
_OWN, _LENGTH = "●", "·"


async def fitted(file: Path, seed: int, console: Console) -> Fit:
    """Raises LabelError for what no weights can be fitted to, and EmbedderFault when the encoder cannot be loaded."""
    labels = read_labels(file)
    embedder = await LocalEmbedder.load()
    try:
        vectors = _encoded(embedder, labels, console)
    finally:
        await embedder.aclose()
    with console.status("fitting, and holding it against what it has not seen"):
        return fit(rows_of(labels, vectors, shipped()), seed)


def _encoded(embedder: LocalEmbedder, labels: Sequence[Label], console: Console) -> list[Floats]:
    texts = sorted({each.prompt[:MOST_CHARACTERS] for each in labels}, key=lambda text: (len(text), text))
    starts = range(0, len(texts), MOST_BATCH)
    found: dict[str, Floats] = {}
    for start in track(
        starts,
        f"reading {len(texts)} prompts",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        batch = texts[start : start + MOST_BATCH]
        found |= zip(batch, (each.vector for each in embedder.encode(batch)), strict=True)
    return [found[each.prompt[:MOST_CHARACTERS]] for each in labels]


def report(found: Fit, seed: int, console: Console) -> None:
    """What the labels say, for people."""
    labels = found.rows.labels
    enough = sum(each.is_enough for each in labels)
    console.print(
        f"{len(labels)} labels; the simple model is good enough at {enough} ({enough / len(labels):.0%})",
        highlight=False,
    )
    console.print(_areas(found))
    console.print(_dials(found, seed))
    console.print(Text(plot(found.own_dial, found.by_length)))
    console.print(verdict(found), highlight=False)


def _areas(found: Fit) -> Table:
    table = Table(title="Which prompts want the complex model? (cross-validated)", title_justify="left")
    for column in ("By", "APGR, 0.5 is a coin", "95 % of resamples"):
        table.add_column(column)
    for name, area in found.areas.items():
        table.add_row(name, f"{area.value:.3f}", _between(area, ".3f"))
    table.add_row(
        Text("own weights over length", "dim"),
        f"{found.over_length.value:+.3f}",
        _between(found.over_length, "+.3f"),
    )
    return table


def _dials(found: Fit, seed: int) -> Table:
    table = Table(title="What the dial comes to on these prompts", title_justify="left")
    for column in ("quality", "threshold", "to the simple model", "by length", "kept", "95 % of resamples"):
        table.add_column(column)
    for least in DIALS:
        threshold = found.own_dial.for_quality(least)
        kept = found.kept(threshold, seed)
        table.add_row(
            f"{least:.0%}",
            f"{threshold:.3f}" if threshold <= 1 else "none",
            f"{found.own_dial.most_share(least):.0%}",
            f"{found.by_length.most_share(least):.0%}",
            f"{kept.value:.1%}",
            _between(kept, ".1%"),
        )
    return table


def _between(found: Interval, form: str) -> str:
    return f"{found.low:{form}} to {found.high:{form}}"


def plot(own: Dial, by_length: Dial) -> str:
    """Quality that is kept, over the share of prompts that the simple model answers."""
    least = min(point.quality for dial in (own, by_length) for point in dial.curve)
    most = max(1.0, *(point.quality for dial in (own, by_length) for point in dial.curve))
    rows = [[" "] * (_WIDE + 1) for _ in range(_HIGH + 1)]
    for dial, mark in ((by_length, _LENGTH), (own, _OWN)):
        shares = [0.0, *(point.simple_share for point in dial.curve)]
        qualities = [1.0, *(point.quality for point in dial.curve)]
        for column, quality in enumerate(np.interp(np.linspace(0, 1, _WIDE + 1), shares, qualities)):
            rows[round(_HIGH * (most - quality) / max(1e-9, most - least))][column] = mark
    return "\n".join(_drawn(rows, least, most))


def _drawn(rows: Sequence[Sequence[str]], least: float, most: float) -> Iterator[str]:
    yield f"quality kept: {_OWN} own weights, {_LENGTH} shortest prompts first"
    for place, row in enumerate(rows):
        yield f"{most - (most - least) * place / _HIGH:7.1%} │{''.join(row).rstrip()}"
    yield f"{'':8}└{'─' * (_WIDE + 1)}"
    yield f"{'':9}0 %{'to the simple model':^{_WIDE - 6}}100 %"


def verdict(found: Fit) -> str:
    own, base, length = (
        found.areas[each].value for each in ("own weights", "shipped model", "prompt length")
    )
    if not found.is_better:
        return _no_better(found, own, base, length)
    said = f"Better than prompt length: {own:.3f}; the shipped model has {base:.3f}."
    if base > own:
        said += " So it is the better one here"
        said += ": label more prompts, or leave `weights` out." if found.is_corrected else "."
    if not found.is_corrected:
        said += " These labels say what its probabilities mean here, and no more."
    if not found.is_shown:
        said += "\nWarning: with so few labels that may be chance; more of them will tell."
    return said


def _no_better(found: Fit, own: float, base: float, length: float) -> str:
    if base > max(own, length):
        return (
            f"No better than prompt length: {own:.3f} to {length:.3f}. The shipped model is the better one here, with\n"
            f"{base:.3f}: label more prompts, or leave `weights` out\n"
            "  complexity: {classifier: Embedding}"
        )
    words = [len(each.prompt.split()) for each in found.rows.labels]
    share = found.by_length.most_share(USUAL_DIAL)
    most = max(1, round(float(np.quantile(words, share))))
    said = "No better than prompt length"
    if base > own:
        said += f", and nor is the shipped model, which is the better one of the two ({base:.3f})"
    return (
        f"{said}: label more prompts, or stay with\n"
        f"  complexity: {{classifier: Heuristic, wordThreshold: {most}, keywords: []}}\n"
        f"which here leaves {share:.0%} to the simple model and keeps {USUAL_DIAL:.0%} of the quality."
    )


def as_patch(found: Fit) -> str:
    """YAML to paste, and a merge patch."""
    return (
        f"spec:\n  route:\n    complexity:\n      classifier: Embedding\n      weights: {write(found.own)}\n"
    )
