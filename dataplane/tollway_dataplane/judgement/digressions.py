"""Small talk and side questions that only one of two chats has. The assistant is the witness: it answered a remark with
a remark, and went on with the very words that it has in the other chat. Pure; called by
`earlier_turns` and `statements`.
"""

import re
from collections.abc import Sequence
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_content import ChatContent, is_order, sentences_in, words_of
from tollway_dataplane.prompts import circumstances
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.reading import Reading, read_again
from tollway_dataplane.prompts.self_contained import LIGHT, is_aside, refers_back, topics

_CLAUSE: Final = re.compile(r"(?<=[.?!,;])\s+|\n|\bbut\b")
_REPEATED: Final = 0.8  # of what the assistant says in one chat, in what it says in the other
_LEAST_REPEATED: Final = 2  # words
_REMARK: Final = 12  # words at most
# What is said of the day, whatever the chat is about.
_OF_THE_DAY: Final = re.compile(
    r"\bhope (?:you(?:'re| are) (?:well|having|doing)|you had|all is well|your (?:day|week|weekend))\b"
    r"|\b(?:lovely|nice|great|awful|terrible|horrible) weather\b"
    r"|\bit's (?:so |really )?(?:raining|snowing|sunny|chucking it down|freezing|boiling)(?: here| outside| today)*\W*$"
    r"|^\W*fingers crossed\b"
)
# What a clause adds to what was said before it.
_ADDS: Final = re.compile(r"\b(?:as well|too|also)\b|^\W*(?:for|with|without|in|on|at|by|of|from|to)\b")
# What agrees to something, so that from then on it holds.
_COMMITS: Final = re.compile(
    r"\blet'?s (?:do|go|take|have|make)\b|\b(?:i|we)'?ll (?:take|have) (?:it|that|one|those|the)\b|\bgo for it\b"
    r"|\b(?:add|book|send|order|include|make|change|put|cancel) (?:it|that|them|one|me|both|another)\b"
    r"|\byes please\b|\bplease do\b|\bgo ahead\b|\bsign me up\b|\bdo (?:it|that) (?:then|please)\b"
)
_REQUEST: Final = re.compile(
    r"^\W*(?:(?:and|but|so|ok|okay|oh|ooh|also|please)\W+)*"
    r"(?:(?:can|could|will|would) you (?!\w+ me\b|help\b|tell\b|explain\b)"
    r"|(?:can|could|may) (?:i|we) (?:have|get|add|book|order)\b)"
)
# What an assistant says that has done something.
_DONE: Final = re.compile(
    r"\b(?:done|added|changed|noted|booked|reserved|updated|ordered|cancelled|sent|moved|removed|switched|upgraded)\b"
)
_OTHERS: Final = frozenset("he him his she her hers they them their".split())


def is_remark(said: Reading, reply: Turn | None, known: ChatContent, others: Sequence[Turn]) -> bool:
    """Whether the assistant took a statement for small talk: its reply is a remark, and then all that it says in the
    other chat. `others` are its turns there that may stand for the reply, `known` is all that is said there.
    """
    plain = said.plain
    if circumstances.corrects(plain) or circumstances.says_what_one_is(plain):
        return False
    if _OF_THE_DAY.search(plain):
        return True
    if reply is None or _bears_on_it(said) or not known.families.isdisjoint(_families(said)):
        return False
    return any(_repeats(reply, each) for each in others) and _is_met_by_remark(reply, others)


def is_detour(turns: Sequence[Turn], prompts: Sequence[Reading]) -> bool:
    """Whether turns that only one chat has are a side question: they begin with a question that says that it is about
    something else, have nothing done, and name nothing and nobody that the prompt names.
    """
    if len(turns) < 2 or turns[0].role != "user" or not _opens_aside(read_again(turns[0].text)):
        return False
    asked = frozenset[str]().union(*map(topics, prompts))
    persons = _OTHERS.intersection(*(prompt.low for prompt in prompts))
    for turn in turns:
        said = read_again(turn.text)
        if turn.role == "assistant":
            if _DONE.search(said.plain):
                return False
        elif _changes(said) or not persons.isdisjoint(said.low) or not asked.isdisjoint(said.lemmas):
            return False
    return True


def commits(plain: str) -> bool:
    """Whether the text agrees to something, so that it holds from then on."""
    return _COMMITS.search(plain) is not None


def has_something_done(turn: Turn, reply: Turn | None) -> bool:
    """Whether a user asks for something to be done, or is told that it was."""
    return _requests(read_again(turn.text)) or (
        reply is not None and _DONE.search(read_again(reply.text).plain) is not None
    )


def _families(said: Reading) -> set[str]:
    return set(map(english().family, topics(said)))


def _bears_on_it(said: Reading) -> bool:
    """Whether a statement has a fact, refers to something, or says how things are or are to be."""
    plain = said.plain
    return bool(
        said.quantities
        or said.calendar
        or said.codes
        or refers_back(said)
        or circumstances.says_how_things_are(plain)
        or circumstances.standing_wish(plain)
        or is_order(said)
        or commits(plain)
        or _ADDS.search(plain)
    )


def _repeats(reply: Turn, other: Turn) -> bool:
    """Whether the assistant says in this reply all that it says in the other chat's turn."""
    told = read_again(other.text)
    words = {told.lemmas[i] for i in words_of(told)} - LIGHT
    if len(words) < _LEAST_REPEATED:
        return False
    said = ChatContent([read_again(reply.text)])
    return sum(map(said.has, words)) >= _REPEATED * len(words) and all(
        map(said.has_quantity, told.quantities)
    )


def _is_met_by_remark(reply: Turn, others: Sequence[Turn]) -> bool:
    """Whether the reply has a short exclamation that none of the others has, and that states no amount."""
    known = ChatContent([read_again(each.text) for each in others])
    exclaimed = (read_again(text) for text in sentences_in(reply.text) if text.rstrip().endswith("!"))
    return any(
        len(said.low) <= _REMARK and not said.quantities and known.share_of([said]) < 1 for said in exclaimed
    )


def _opens_aside(first: Reading) -> bool:
    return is_aside(first) and any(map(circumstances.asks, _CLAUSE.split(first.plain)))


def _changes(said: Reading) -> bool:
    """Whether a statement makes something hold, or known, that was not before."""
    plain = said.plain
    return (
        commits(plain)
        or is_order(said)
        or circumstances.says_what_one_is(plain)
        or circumstances.says_what_one_has(plain)
        or circumstances.tells_with_a_question(plain)
        or _requests(said)
    )


def _requests(said: Reading) -> bool:
    return any(map(_REQUEST.search, _CLAUSE.split(said.plain)))
