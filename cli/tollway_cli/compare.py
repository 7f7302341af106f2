"""`tollway compare`: what the semantic cache would make of two prompts."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.core.identity import normalise
from tollway_dataplane.core.judge import Verdict, shipped
from tollway_dataplane.core.verification import verify


@dataclass(frozen=True)
class Match:
    threshold: float
    strict_threshold: float
    checks: tuple[CriticalCheck, ...] = tuple(CriticalCheck)


@dataclass(frozen=True)
class Comparison:
    verdict: Verdict
    similarity: float  # cosine


async def compare(one: str, other: str, match: Match) -> Comparison:
    """Raises EmbedderFault when the encoder cannot be loaded."""
    embedder, judge = await LocalEmbedder.load(), shipped()
    try:
        prompts = [normalise(text) for text in (one, other)]
        ours, theirs = [judge.view_of(prompt, await embedder.embed(prompt)) for prompt in prompts]
    finally:
        await embedder.aclose()
    return Comparison(verify(ours, theirs, match, judge), float(ours.vector @ theirs.vector))


def comparison_table(comparison: Comparison) -> Table:
    verdict = comparison.verdict
    table = Table(show_header=False)
    said = Text("served", "bold green") if verdict.serves else Text("refused", "bold red")
    table.add_row("one's answer for the other", said)
    table.add_row("reason", Text(verdict.reason))
    table.add_row("explanation", Text(verdict.explanation))
    table.add_row("probability", f"{verdict.probability:.4f}")
    table.add_row("cosine", f"{comparison.similarity:.4f}")
    return table
