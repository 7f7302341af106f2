"""May two chats that end in the same question share an answer? What was said before it is compared here: what one chat
exchanges for something else, what it says more, and whether the question depends on any of that. Stricter than the
comparison of the questions, and by words alone, so that long chats cost little. When in doubt, they may not.

Pure and symmetric; `verification` asks, once the judge would serve. Explained to users in `docs/cache-judgement.md`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_content import matters_of
from tollway_dataplane.judgement.chat_pairs import Chat, Pair, aligned, reading_of
from tollway_dataplane.judgement.earlier_turns import difference_in_turns
from tollway_dataplane.judgement.independent_turns import may_stand_alone
from tollway_dataplane.judgement.spelling import spelled_otherwise
from tollway_dataplane.judgement.verbatim import speaks_of_language, verbatim_differs
from tollway_dataplane.prompts import circumstances, self_contained
from tollway_dataplane.prompts.competence import is_english, is_prose
from tollway_dataplane.prompts.pleasantries import impolite, is_pleasantry
from tollway_dataplane.prompts.reading import Reading, read_again

# What is longer is compared to the letter alone.
MOST_TURNS: Final = 100
MOST_CHARACTERS: Final = 8_000  # of all turns together
# Of the turns of each chat that the other has not.
_MOST_WORDS: Final = 240
_MOST_SENTENCES: Final = 100
_MOST_WORDS_OF_A_TURN: Final = 120
_BREAK: Final = re.compile(r"[.?!\n]+")
_WORD: Final = re.compile(r"[^\W_]+")
_REQUEST: Final = re.compile(
    r"^\W*(?:(?:so|and|but|ok|okay|great|right|please|thanks)\W+)*(?:can|could|will|would) you\b"
)


def difference(ours: Chat, theirs: Chat) -> str:
    """What speaks against giving the answer of one to the other, in words a user can check; "" when nothing does.
    Symmetric but for the order in which it names the two.
    """
    if _too_long(ours, theirs):
        return "turns too long to compare"
    pair = Pair((ours, theirs), *aligned(ours.turns, theirs.turns))
    if found := _respelled(pair):
        return found
    if all(map(is_pleasantry, (turn for side in pair.left for turn in side))):
        return ""
    if not ours.turns or not theirs.turns:
        return "only one of them has earlier turns"
    said = [reading_of(turn) for side in pair.left for turn in side]
    if not is_prose([*said, *pair.prompts]):
        return "not English prose"
    for speaks_against in _DEPENDING:
        if found := speaks_against(pair):
            return found
    if may_stand_alone(pair):
        return ""
    return difference_in_turns(pair)


def may_compare(turns: Sequence[Turn]) -> bool:
    """Whether there are few enough to be compared by meaning."""
    return len(turns) <= MOST_TURNS and sum(len(turn.text) for turn in turns) <= MOST_CHARACTERS


def matters(turns: Sequence[Turn]) -> list[str]:
    """What a chat is about, in a few words, to find it by."""
    return matters_of(reading_of(turn) for turn in turns if turn.role == "user" and not is_pleasantry(turn))


def sought_by(prompt: Reading, turns: Sequence[Turn]) -> list[str]:
    """The words of which the candidates for a chat must have one; none where its prompt is understood by itself."""
    return [] if self_contained.names_its_matter(prompt) else matters(turns)


def _respelled(pair: Pair) -> str:
    """Turns of the very same words that are written otherwise where that counts; where language is spoken of, wherever
    they are.
    """
    altered = [(one, other) for one, other in pair.kept if one.text != other.text]
    if not altered:
        return ""
    said = [*map(reading_of, (turn for turns in pair.kept for turn in turns)), *pair.prompts]
    if any(map(speaks_of_language, said)):
        return "earlier turns differ in their signs, and language is spoken of"
    for one, other in altered:
        ours, theirs = reading_of(one), reading_of(other)
        if found := spelled_otherwise(ours, theirs):
            return f"earlier turns differ: {found}"
        if not is_english([ours, theirs]):
            return "earlier turns differ in their signs, and are not English"
        if found := verbatim_differs(*(read_again(impolite(each.text)) for each in (ours, theirs))):
            return f"earlier turns differ: {found}"
    return ""


def _looks_back(pair: Pair) -> str:
    return "it asks about the chat" if any(circumstances.looks_back(p.plain) for p in pair.prompts) else ""


def _is_no_question(pair: Pair) -> str:
    """ "Yes please", "the second one", "can you book it": what is meant was said before."""
    for prompt in pair.prompts:
        asked = self_contained.without_shift(prompt)
        if not asked.question or _REQUEST.search(asked.plain):
            return "an answer or a request, after other turns"
    return ""


def _wishes(pair: Pair) -> str:
    for side in pair.left:
        for turn in side:
            if turn.role == "user" and (wish := circumstances.standing_wish(reading_of(turn).plain)):
                return f"said how to answer: {wish}"
    return ""


def _too_long(ours: Chat, theirs: Chat) -> bool:
    """Whether what is not letter for letter the same takes more than milliseconds to compare; before it is read."""
    sides = [[(turn.role, turn.text) for turn in chat.turns] for chat in (ours, theirs)]
    for side, other in ((sides[0], set(sides[1])), (sides[1], set(sides[0]))):
        texts = [turn[1] for turn in side if turn not in other]
        words = [len(_WORD.findall(text)) for text in texts]
        breaks = sum(len(_BREAK.findall(text)) for text in texts)
        if (
            max(words, default=0) > _MOST_WORDS_OF_A_TURN
            or sum(words) > _MOST_WORDS
            or breaks > _MOST_SENTENCES
        ):
            return True
    return False


_Check = Callable[[Pair], str]
# Whatever the prompt is about, these speak against.
_DEPENDING: Final[tuple[_Check, ...]] = (_looks_back, _is_no_question, _wishes)
