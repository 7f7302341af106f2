"""`tollway compare`: what the semantic cache would make of two prompts, or of two chats."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.adapters.local_embedder import LocalEmbedder
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.edge.wire_format import parse_chat, parse_json
from tollway_dataplane.errors import Refusal, RefusalCode
from tollway_dataplane.judgement.identity import normalise, turns_of
from tollway_dataplane.judgement.judge import Verdict, shipped, shown_probability
from tollway_dataplane.judgement.verification import verify


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
    """Either may be a chat: its messages, as a JSON list. Raises Refusal for one that no request may have, and
    EmbedderFault when the encoder cannot be loaded.
    """
    chats = [_parse(text) for text in (one, other)]
    embedder, judge = await LocalEmbedder.load(), shipped()
    try:
        ours, theirs = [judge.view_of(prompt, await embedder.embed(prompt), turns) for prompt, turns in chats]
    finally:
        await embedder.aclose()
    return Comparison(verify(ours, theirs, match, judge), float(ours.vector @ theirs.vector))


def _parse(text: str) -> tuple[str, tuple[Turn, ...]]:
    if not text.lstrip().startswith('[{"'):
        return normalise(text), ()
    request = parse_chat(parse_json(b'{"messages": %b}' % text.encode()), {}, request_id="compare")
    if request.prompt is None:
        raise Refusal(400, RefusalCode.INVALID_REQUEST, "the last message must be a user's, of text alone")
    return normalise(request.prompt), turns_of(request.messages)


def comparison_table(comparison: Comparison) -> Table:
    verdict = comparison.verdict
    table = Table(show_header=False)
    said = Text("served", "bold green") if verdict.serves else Text("refused", "bold red")
    table.add_row("one's answer for the other", said)
    table.add_row("reason", Text(verdict.reason))
    table.add_row("explanation", Text(verdict.explanation))
    table.add_row("probability", shown_probability(verdict.probability))
    table.add_row("cosine", f"{comparison.similarity:.4f}")
    return table
