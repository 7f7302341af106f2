"""Whether what was said before a prompt is done with, so that a prompt which names its matter begins something new.
People tell what a question needs right before they ask it: "we use Fedora", and then "how do I install Redis?". What
was told together with an earlier question, or has had its answer, served its purpose there (Grice's maxim of relation,
"Logic and Conversation", 1975). How close a statement is to a prompt says nothing of the kind: to MiniLM, "we live
downtown" is as far from a question about fibre internet as small talk is. Pure; called by `independent_turns`.
"""

import re
from collections.abc import Sequence
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.prompts import circumstances
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.pleasantries import is_pleasantry, is_polite
from tollway_dataplane.prompts.reading import Reading, read_again
from tollway_dataplane.prompts.self_contained import LIGHT

_SUBSTANCE: Final = 5  # words that say something, of a reply that deals with a statement
_CLAUSE: Final = re.compile(r"(?<=[.?!,;])\s+|\n|\band\s+(?=(?:can|do|is|are|will)\b)")
# What goes on from the reply before it.
_REACTS: Final = re.compile(
    r"^\W*(?:ok|okay|oh|ah|great|good|nice|cool|lovely|perfect|fair|fine|right|sure|brilliant|thanks|cheers|that|got"
    r"|found|ha|haha|sorted|done|will do|never mind|no worries|yes|yeah|no)\b"
)
_REFERS: Final = re.compile(r"\b(?:it|its|that|this|these|those|them|they|he|she|her|him|ones?|then|there)\b")
_PROMISES: Final = re.compile(r"^\W*(?:ok(?:ay)?\W+)?will do\b")
# The answer may be another for somebody else.
_PERSONAL: Final = re.compile(
    r"\b(?:safe|safely|dangerous|dose|dosage|allowed|legal|illegal|eligible|qualify|need|needed|needs|entitled"
    r"|popular|costs?|prices?|how much|worth)\b"
)


def is_settled(turns: Sequence[Turn]) -> bool:
    """Whether nothing that the user of a chat has stated waits for the prompt."""
    around = zip([None, *turns], turns, [*turns[1:], None], strict=False)
    return all(
        _is_spent(before, turn, reply)
        for before, turn, reply in around
        if turn.role == "user" and not is_pleasantry(turn)
    )


def hangs_on_who_asks(prompt: Reading) -> bool:
    """Whether it asks for advice, permission, a price, or something about health or law, whoever may have said what."""
    plain = prompt.plain
    return (
        circumstances.wants_advice(plain)
        or circumstances.wants_leave(plain)
        or _PERSONAL.search(plain) is not None
    )


def _is_spent(before: Turn | None, turn: Turn, reply: Turn | None) -> bool:
    if reply is None or reply.role == "user":
        return False
    said = read_again(turn.text)
    if not _PROMISES.match(said.plain) and any(map(circumstances.asks, _CLAUSE.split(said.plain))):
        return not is_pleasantry(reply)
    return (before is not None and _goes_on(said, before)) or _deals_with(read_again(reply.text))


def _goes_on(said: Reading, before: Turn) -> bool:
    """Whether a statement belongs to the thread that it is said in."""
    if before.text.rstrip().endswith("?") or _REACTS.search(said.plain) or _REFERS.search(said.plain):
        return True
    family = english().family
    reply = read_again(before.text)
    spoken_of = {family(reply.lemmas[i]) for i in reply.content}
    return any(family(said.lemmas[i]) in spoken_of for i in said.content)


def _deals_with(reply: Reading) -> bool:
    """Whether more is said than "noted"."""
    telling = {reply.lemmas[i] for i in reply.content if not is_polite(reply.low[i])} - LIGHT
    return len(telling) >= _SUBSTANCE
