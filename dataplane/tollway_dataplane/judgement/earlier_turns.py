"""The differences between the earlier turns of two chats whose last messages need them: a fact or a word or two that
are exchanged, a reply that says something else, news, another matter. Pure and symmetric but for the order in which
the two are named; called by `conversation`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement import digressions
from tollway_dataplane.judgement.chat_content import ChatContent, exchanged_facts, sentences_in, words_of
from tollway_dataplane.judgement.chat_pairs import Block, Pair, key_of, named_anew, reading_of
from tollway_dataplane.judgement.critical_facts import units_apart
from tollway_dataplane.judgement.framing import quantified_otherwise
from tollway_dataplane.judgement.judge import ALL_CHECKS, facts_against
from tollway_dataplane.judgement.spelling import linked_otherwise
from tollway_dataplane.judgement.statements import clauses, is_news, weighs_by_itself
from tollway_dataplane.judgement.turn_pairs import contradict, edited, parted_otherwise, turned
from tollway_dataplane.judgement.verbatim import verbatim_differs
from tollway_dataplane.prompts import circumstances, self_contained
from tollway_dataplane.prompts.pleasantries import is_pleasantry
from tollway_dataplane.prompts.reading import Reading, read_again
from tollway_dataplane.prompts.word_forms import alike, without_like

_LEAST_SHARED: Final = 0.6  # of what the users of one chat say more or otherwise, in any words of the other
_MOST_NUMBERS: Final = 100
_EXCLAIMED: Final = 3  # words, of what an assistant exclaims before it says something
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class _Told:
    """A user's turn that the other chat lacks, and what stands there in its place."""

    turn: Turn
    reply: Turn | None
    known: ChatContent  # all that is said in the other chat
    others: Sequence[Turn]  # what the assistant of the other chat says there
    is_more: bool  # whether one of the two users has more turns there


def difference_in_turns(pair: Pair) -> str:
    """The first difference that speaks against one answer for both, "" when none does. Asides that only one chat has
    are left out before.
    """
    pair = _without_detours(pair)
    return next((found for check in _COMPARING if (found := check(pair))), "")


def _too_many_numbers(pair: Pair) -> str:
    many = any(sum(len(reading_of(turn).quantities) for turn in side) > _MOST_NUMBERS for side in pair.left)
    return "too many numbers to compare" if many else ""


def _facts(pair: Pair) -> str:
    users = [[turn for turn in side if turn.role == "user"] for side in pair.left]
    for sides, any_kind in ((users, True), (pair.left, False)):
        readings = [list(map(reading_of, side)) for side in sides]
        if found := exchanged_facts((readings[0], readings[1]), pair.said, any_kind=any_kind):
            return f"earlier turns differ: {found}"
    return ""


def _edits(pair: Pair) -> str:
    """Two turns at the same place differ in a word or two, or would not pass for each other if they were prompts."""
    for one, other in _counterparts(pair.blocks):
        found = edited(reading_of(one), reading_of(other)) or _refused(one, other, pair.said)
        if found:
            return f"earlier turns differ: {found}"
    return ""


def _counterparts(blocks: Sequence[Block]) -> Iterator[tuple[Turn, Turn]]:
    """The pairs of turns at the same place of a block, counted from its beginning or its end."""
    for block in blocks:
        for i, one in enumerate(block.ours):
            for j in {i, len(block.theirs) - len(block.ours) + i}:
                if 0 <= j < len(block.theirs) and block.theirs[j].role == one.role:
                    yield one, block.theirs[j]


def _refused(one: Turn, other: Turn, said: tuple[ChatContent, ChatContent]) -> str:
    """The check of prompts that two turns fail, "" when they fail none. An assistant says the same in many ways, so of
    its turns only reversals, who acts, and quantities in words are checked.
    """
    ours, theirs = _told_in(one), _told_in(other)
    if not ours.low or not theirs.low:
        return ""
    if found := quantified_otherwise(ours, theirs):
        return found
    if not alike(ours, theirs):
        return ""
    if one.role != "user":
        return turned(ours, theirs) or parted_otherwise(ours, theirs)
    if found := verbatim_differs(ours, theirs):
        return found
    if apart := units_apart(ours, theirs):
        return apart.explanation
    if against := facts_against(ours, theirs, _may_differ_in(ours, theirs, said)):
        return against.explanation
    same_words = not without_like(ours, theirs) and not without_like(theirs, ours)
    return linked_otherwise(ours, theirs) if same_words else ""


def _may_differ_in(
    ours: Reading, theirs: Reading, said: tuple[ChatContent, ChatContent]
) -> Collection[CriticalCheck]:
    """The facts to compare two turns by. A number or name that the other chat has in another turn is not missing, and
    numbers may be told in any order.
    """
    if said[1].lacks(ours) or said[0].lacks(theirs):
        return ALL_CHECKS
    if ChatContent([theirs]).lacks(ours) or ChatContent([ours]).lacks(theirs):
        return {CriticalCheck.NEGATION}
    return ALL_CHECKS - {CriticalCheck.NUMBERS} if ours.quantities and theirs.quantities else ALL_CHECKS


def _told_in(turn: Turn) -> Reading:
    """A turn without the sentences that are said in passing: "no worries" and "oh no!" negate nothing."""
    told = [said for said in sentences_in(turn.text) if not _is_in_passing(Turn(turn.role, said))]
    return read_again(" ".join(told))


def _is_in_passing(said: Turn) -> bool:
    if said.role == "assistant" and said.text.endswith("!") and len(_WORD.findall(said.text)) <= _EXCLAIMED:
        return True
    return is_pleasantry(said) or circumstances.is_in_passing(read_again(said.text).plain)


def _moves(pair: Pair) -> str:
    """Both users say something in the very same words, but at another point: in answer to something else."""
    ours, theirs = ({key_of(turn): turn for turn in side if turn.role == "user"} for side in pair.left)
    for key, turn in ours.items():
        if key in theirs and words_of(reading_of(turn)) and not circumstances.asks(reading_of(turn).plain):
            return f"said at another point: {_cut(turn.text)}"
    return ""


def _turns_away(pair: Pair) -> str:
    """One user asks about something else last: what the prompt refers to may be that."""
    if not pair.blocks or not any(map(self_contained.refers_back, pair.prompts)):
        return ""
    last = pair.blocks[-1]
    ends = [
        chat.turns[-1:] == stretch[-1:]
        for chat, stretch in zip(pair.chats, (last.ours, last.theirs), strict=True)
    ]
    for stretch, other, at_end in ((last.ours, last.theirs, ends[0]), (last.theirs, last.ours, ends[1])):
        asked = [
            turn for turn in stretch if turn.role == "user" and circumstances.asks(reading_of(turn).plain)
        ]
        if at_end and not other and asked and not self_contained.is_aside(reading_of(asked[-1])):
            return f"asked last in one of them: {_cut(asked[-1].text)}"
    return ""


def _replies(pair: Pair) -> str:
    """The very same turn is answered by yes in one chat and by no in the other, or by something else altogether."""
    for block in pair.blocks:
        if block.before is None or not block.ours or not block.theirs:
            continue
        one, other = block.ours[0], block.theirs[0]
        if one.role != other.role or not _asks_for_one_reply(block.before, one, other):
            continue
        if contradict(reading_of(one), reading_of(other)):
            return f"answered otherwise: {_cut(one.text)} ≠ {_cut(other.text)}"
    return ""


def _asks_for_one_reply(turn: Turn, *replies: Turn) -> bool:
    """Whether the replies can be held against each other. After a turn that asks nothing anything may follow, and a
    question in return is no answer.
    """
    if turn.role == "user":
        return not is_pleasantry(turn)
    return turn.text.endswith("?") and not any(
        circumstances.asks(reading_of(reply).plain) for reply in replies
    )


def _news(pair: Pair) -> str:
    """One user states something, takes it back or has it done, and the other does not. Small talk does not count."""
    advice, leave = _wants(pair.prompts)
    for told in _told(pair.blocks, pair.said):
        reading = reading_of(told.turn)
        alone = not told.others and digressions.has_something_done(told.turn, told.reply)
        if alone and not told.known.knows(reading):
            return f"only in one of them: {_cut(told.turn.text)}"
        for clause in clauses(told.turn):
            weighs = told.is_more or weighs_by_itself(clause, advice=advice, leave=leave)
            if not is_news(clause, told.known, weighs=weighs):
                continue
            if advice or leave or not digressions.is_remark(clause, told.reply, told.known, told.others):
                return f"only in one of them: {_cut(clause.text)}"
    return ""


def _wants(prompts: Sequence[Reading]) -> tuple[bool, bool]:
    """Whether the prompts ask for advice, and whether for leave."""
    plain = [prompt.plain for prompt in prompts]
    return any(map(circumstances.wants_advice, plain)), any(map(circumstances.wants_leave, plain))


def _told(blocks: Sequence[Block], said: tuple[ChatContent, ChatContent]) -> Iterator[_Told]:
    for block in blocks:
        sides = block.ours, block.theirs
        counts = [sum(turn.role == "user" for turn in side) for side in sides]
        for side, other, known in zip(sides, sides[::-1], said[::-1], strict=True):
            others = [turn for turn in (*other, *block.after[:1]) if turn.role == "assistant"]
            for turn, reply in zip(side, [*side[1:], *block.after[:1], None], strict=False):
                if turn.role == "user":
                    yield _Told(turn, reply, known, others, is_more=counts[0] != counts[1])


def _without_detours(pair: Pair) -> Pair:
    if any(_wants(pair.prompts)):
        return pair
    blocks = [block for each in pair.blocks for block in _without_detour(each, pair.prompts)]
    return replace(pair, blocks=blocks)


def _without_detour(block: Block, prompts: Sequence[Reading]) -> list[Block]:
    """The block without the exchanges at its beginning that only one chat has, where both go on afterwards."""
    more = len(block.ours) - len(block.theirs)
    longer, shorter = (block.ours, block.theirs) if more > 0 else (block.theirs, block.ours)
    detour, rest = longer[: abs(more)], longer[abs(more) :]
    if not more or more % 2 or len(rest) + len(block.after) < 2 or not digressions.is_detour(detour, prompts):
        return [block]
    if not rest:
        return []
    ours, theirs = (rest, shorter) if more > 0 else (shorter, rest)
    return [Block(None, ours, theirs, block.after)]


def _offers(pair: Pair) -> str:
    """An assistant names something that nobody in the other chat does, and the prompt may mean that."""
    if not any(self_contained.refers_back(prompt) or prompt.question == "choice" for prompt in pair.prompts):
        return ""
    for side, said in zip(pair.left, pair.said[::-1], strict=True):
        for turn in side:
            if turn.role == "assistant" and (named := named_anew(reading_of(turn), said)):
                return f"only in one of them: {', '.join(named)}"
    return ""


def _other_matters(pair: Pair) -> str:
    """The chats are about other matters: too little of what either user says comes up in the other chat."""
    shares = [
        said.share_of([reading_of(turn) for turn in side if turn.role == "user"])
        for side, said in zip(pair.left, pair.said[::-1], strict=True)
    ]
    return "" if max(shares) >= _LEAST_SHARED else "earlier turns are about something else"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


_Check = Callable[[Pair], str]
# What speaks against, where a prompt is not understood by itself.
_COMPARING: Final[tuple[_Check, ...]] = (
    _too_many_numbers,
    _facts,
    _replies,
    _edits,
    _moves,
    _turns_away,
    _news,
    _offers,
    _other_matters,
)
