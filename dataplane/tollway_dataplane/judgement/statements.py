"""What a user says in a chat, clause by clause: whether it states something, and whether that is news to another chat.
Pure; called by `earlier_turns` and `independent_turns`.
"""

import re
from collections.abc import Iterator
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement import digressions
from tollway_dataplane.judgement.chat_content import ChatContent, is_order, sentences_in
from tollway_dataplane.prompts import circumstances, self_contained
from tollway_dataplane.prompts.pleasantries import is_pleasantry
from tollway_dataplane.prompts.reading import Reading, read_again

_NEW: Final = 0.6  # a clause of which the other chat has less is news to it
_NEW_IN_OTHER_WORDS: Final = 0.34  # the same, where its user says as much at that point
_CLAUSE: Final = re.compile(
    r"(?<=[.?!,;])\s+|\n|[()]|\s-\s|\b(?=because\b)|\b(?:and|but)\s+(?=(?:i|we|she|he|they|it)\b)"
)


def sentences(turn: Turn) -> Iterator[Reading]:
    return (read_again(text) for text in sentences_in(turn.text) if text.strip())


def clauses(turn: Turn) -> Iterator[Reading]:
    """Each on its own: "I want to return my shoes" may be all that another user says, and "they were on sale" what this
    one says more. Side questions are left out, and words like "yep" before the rest; a correction stays whole.
    """
    for sentence in sentences(turn):
        asks = circumstances.asks(sentence.plain) and not circumstances.tells_with_a_question(sentence.plain)
        if asks and self_contained.is_aside(sentence):
            continue
        if circumstances.corrects(sentence.plain):
            yield sentence
            continue
        found = [read_again(text) for text in _CLAUSE.split(sentence.text) if text.strip(" ,;.!?-")]
        yield from (clause for clause in found if len(clause.low) > 1 or len(found) == 1)


def states(said: Reading) -> bool:
    plain = said.plain
    if circumstances.asks(plain):
        return circumstances.speaks_of_own(plain)
    return not is_pleasantry(Turn("user", said.text)) and not circumstances.is_in_passing(plain)


def is_news(clause: Reading, known: ChatContent, *, weighs: bool) -> bool:
    """`weighs` where it must be said in both: one user says more than the other, or it matters by itself."""
    if circumstances.corrects(clause.plain):
        return True
    if digressions.commits(clause.plain):
        return not known.knows(clause)
    if not states(clause):
        return False
    least = _NEW if weighs else _NEW_IN_OTHER_WORDS
    return bool(known.lacks(clause)) or (known.share_of([clause]) < least and not known.knows(clause))


def weighs_by_itself(clause: Reading, *, advice: bool, leave: bool) -> bool:
    """Whether it may matter in whatever words; the more so where advice is asked for, or leave."""
    plain = clause.plain
    return (
        is_order(clause)
        or circumstances.says_what_one_is(plain)
        or circumstances.says_what_one_has(plain)
        or (advice and not circumstances.asks(plain))
        or (leave and circumstances.says_how_things_are(plain))
    )
