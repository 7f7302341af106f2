"""May two chats that end in the same question share an answer? What was said before it is compared here: what one chat
exchanges for something else, what it says more, and whether the question depends on any of that. Stricter than the
comparison of the questions, and by words alone, so that long chats cost little. When in doubt, they may not.

Pure and symmetric; `verification` asks, once the judge would serve. Explained to users in `docs/semantic-cache.md`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Final

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core import circumstances, digressions, self_contained, settled
from tollway_dataplane.core.competence import is_prose
from tollway_dataplane.core.facts import Turn
from tollway_dataplane.core.judge import ALL_CHECKS, facts_against
from tollway_dataplane.core.lexicon import english
from tollway_dataplane.core.likeness import alike, without_like
from tollway_dataplane.core.pleasantries import is_pleasantry, without_politeness
from tollway_dataplane.core.reading import Reading, read_again
from tollway_dataplane.core.said import Said, exchanged_facts, matters_of, sentences_in, words_of
from tollway_dataplane.core.spelling import linked_otherwise, spelled_otherwise
from tollway_dataplane.core.statements import clauses, is_news, sentences, states, weighs_by_itself
from tollway_dataplane.core.turn_pairs import contradict, edited, spelling_of, turned

# What is longer is compared to the letter alone.
MOST_TURNS: Final = 100
MOST_CHARACTERS: Final = 8_000  # of all turns together

_ALIKE: Final = 0.6  # of the words of two turns, those that they share
_LEAST_ALIKE: Final = 5  # words
_LEAST_SHARED: Final = 0.6  # of what the users of one chat say more or otherwise, in any words of the other
_MOST_NUMBERS: Final = 100
# Of the turns of each chat that the other has not.
_MOST_WORDS: Final = 240
_MOST_SENTENCES: Final = 100
_MOST_WORDS_OF_A_TURN: Final = 120
_BREAK: Final = re.compile(r"[.?!\n]+")
_WORD: Final = re.compile(r"[^\W_]+")
_SHOWN: Final = 4
_SHORT: Final = 8  # words, of a reply that may begin with a name
_EXCLAIMED: Final = 3  # words, of what an assistant exclaims before it says something
_NO_NAME_WANTED: Final = frozenset("manner cause whether number duration time".split())
_COMMON: Final = frozenset(
    "anything something nothing everything what got ah".split()
)  # that no dictionary has either
_REQUEST: Final = re.compile(
    r"^\W*(?:(?:so|and|but|ok|okay|great|right|please|thanks)\W+)*(?:can|could|will|would) you\b"
)


@dataclass(frozen=True, slots=True)
class Chat:
    prompt: Reading  # the last message
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch in which two chats are not the same."""

    before: Turn | None  # what both have right before it
    ours: Sequence[Turn]
    theirs: Sequence[Turn]
    after: Sequence[Turn] = ()  # what both have right after it


@dataclass(frozen=True, slots=True)
class _Told:
    """A user's turn that the other chat has not, and what is there in its place."""

    turn: Turn
    reply: Turn | None
    known: Said  # all that is said in the other chat
    others: Sequence[Turn]  # what the assistant of the other chat says there
    is_more: bool  # whether one user says more often something there than the other


@dataclass(frozen=True)
class _Pair:
    """Two chats, and where they are not the same."""

    chats: tuple[Chat, Chat]
    blocks: Sequence[_Block]
    kept: Sequence[tuple[Turn, Turn]] = ()  # turns that count as the same

    @cached_property
    def left(self) -> tuple[list[Turn], list[Turn]]:
        """The turns of each that are not also the other's."""
        ours = [turn for block in self.blocks for turn in block.ours]
        theirs = [turn for block in self.blocks for turn in block.theirs]
        return ours, theirs

    @cached_property
    def said(self) -> tuple[Said, Said]:
        return Said(map(reading_of, self.chats[0].turns)), Said(map(reading_of, self.chats[1].turns))

    @property
    def prompts(self) -> tuple[Reading, Reading]:
        return self.chats[0].prompt, self.chats[1].prompt


def difference(ours: Chat, theirs: Chat) -> str:
    """What speaks against giving the answer of one to the other, in words a user can check; "" when nothing does.
    Symmetric but for the order in which it names the two.
    """
    if _too_long(ours, theirs):
        return "turns too long to compare"
    pair = _Pair((ours, theirs), *_aligned(ours.turns, theirs.turns))
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
    if _is_self_contained(pair):
        return ""
    pair = _without_detours(pair)
    return next((found for check in _COMPARING if (found := check(pair))), "")


def may_compare(turns: Sequence[Turn]) -> bool:
    """Whether there are few enough to be compared by meaning."""
    return len(turns) <= MOST_TURNS and sum(len(turn.text) for turn in turns) <= MOST_CHARACTERS


def reading_of(turn: Turn) -> Reading:
    return read_again(turn.text)


def matters(turns: Sequence[Turn]) -> list[str]:
    """What a chat is about, in a few words, to find it by."""
    return matters_of(reading_of(turn) for turn in turns if turn.role == "user" and not is_pleasantry(turn))


def sought_by(prompt: Reading, turns: Sequence[Turn]) -> list[str]:
    """The words of which the candidates for a chat must have one; none where its prompt is understood by itself."""
    return [] if self_contained.names_its_matter(prompt) else matters(turns)


def _aligned(ours: Sequence[Turn], theirs: Sequence[Turn]) -> tuple[list[_Block], list[tuple[Turn, Turn]]]:
    """Where they are not word for word the same, politeness aside; and the turns that are."""
    numbers: dict[tuple[str, ...], int] = {}
    one, other = ([numbers.setdefault(_key(turn), len(numbers)) for turn in side] for side in (ours, theirs))
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    ends = [ours[i:k] if tag == "equal" else () for tag, i, k, _, _ in codes[1:]]
    blocks = [
        _Block(ours[i - 1] if i and j else None, ours[i:k], theirs[j:m], after)
        for (tag, i, k, j, m), after in zip(codes, [*ends, ()], strict=False)
        if tag != "equal"
    ]
    equal = (zip(ours[i:k], theirs[j:m], strict=True) for tag, i, k, j, m in codes if tag == "equal")
    return blocks, [pair for stretch in equal for pair in stretch]


def _key(turn: Turn) -> tuple[str, ...]:
    """What turns have in common that are the same: the words, with what may count as it is spelled."""
    reading = reading_of(turn)
    return turn.role, *without_politeness(reading), *spelling_of(reading)


def _looks_back(pair: _Pair) -> str:
    return "it asks about the chat" if any(circumstances.looks_back(p.plain) for p in pair.prompts) else ""


def _is_no_question(pair: _Pair) -> str:
    """ "Yes please", "the second one", "can you book it": what is meant was said before."""
    for prompt in pair.prompts:
        asked = self_contained.without_shift(prompt)
        if not asked.question or _REQUEST.search(asked.plain):
            return "an answer or a request, after other turns"
    return ""


def _wishes(pair: _Pair) -> str:
    for side in pair.left:
        for turn in side:
            if turn.role == "user" and (wish := circumstances.standing_wish(reading_of(turn).plain)):
                return f"said how to answer: {wish}"
    return ""


def _is_self_contained(pair: _Pair) -> bool:
    """Whether either prompt is understood by itself, and nothing was told that may matter to it: "Jaguar" is another
    thing after "we are at the zoo". Only who says that the prompt is about something else may have told something.
    """
    if not all(map(self_contained.names_its_matter, pair.prompts)):
        return False
    marked = all(map(self_contained.is_aside, pair.prompts))
    if not marked and _are_variants(pair):
        return False
    done_with = _is_done_with(pair)
    if not (done_with or marked) and _told_otherwise(pair):
        return False
    told = [
        sentence.plain
        for side in pair.left
        for turn in side
        if turn.role == "user"
        for sentence in sentences(turn)
    ]
    if any(circumstances.says_what_one_is(plain) for plain in told):
        return False
    if not (done_with or all(map(self_contained.is_anchored, pair.prompts))) and any(
        circumstances.tells_of_oneself(plain) for plain in told
    ):
        return False
    every = [turn for chat in pair.chats for turn in chat.turns]
    said = Said(map(reading_of, every))
    return all(_stands_alone(prompt, every, said) for prompt in pair.prompts)


def _is_done_with(pair: _Pair) -> bool:
    """Whether what was said before was about something else, and for that alone; in no other setting."""
    if any(map(settled.hangs_on_who_asks, pair.prompts)):
        return False
    if not all(settled.is_settled(chat.turns) for chat in pair.chats):
        return False
    spoken_of = pair.said[0].families & pair.said[1].families
    if all(not spoken_of.isdisjoint(map(english().family, prompt.names)) for prompt in pair.prompts):
        return True  # about what both chats have been about
    return not any(
        _sets_scene(before, turn, said)
        for side, said in zip(pair.left, pair.said[::-1], strict=True)
        for before, turn in zip([None, *side], side, strict=False)
    )


def _are_variants(pair: _Pair) -> bool:
    """Whether the users say something in nearly the same words: then what differs is a detail, and no other matter."""
    ours, theirs = ([set(reading_of(turn).low) for turn in side if turn.role == "user"] for side in pair.left)
    return any(
        len(one | other) >= _LEAST_ALIKE and 2 * len(one & other) >= _ALIKE * (len(one) + len(other))
        for one in ours
        for other in theirs
    )


def _sets_scene(before: Turn | None, turn: Turn, said: Said) -> bool:
    """Whether a user names a place, a product or a person that the other chat does not, or is told of one."""
    reading = reading_of(turn)
    if turn.role == "user":
        return "name" in said.lacks(reading)
    asks_how = before is not None and before.role == "user" and reading_of(before).question in _NO_NAME_WANTED
    return not asks_how and len(reading.low) <= _SHORT and bool(_named_anew(reading, said))


def _told_otherwise(pair: _Pair) -> bool:
    """Whether a user states what the other does not, or a fact comes up in one of the chats alone."""
    for side, said in zip(pair.left, pair.said[::-1], strict=True):
        for turn in side:
            if is_pleasantry(turn):
                continue
            if turn.role == "user" and any(map(states, sentences(turn))):
                return True
            if said.lacks(reading_of(turn)) or _named_anew(reading_of(turn), said):
                return True
    return False


def _stands_alone(prompt: Reading, turns: Sequence[Turn], said: Said) -> bool:
    asked = self_contained.topics(self_contained.without_shift(prompt)) - prompt.names
    family = english().family
    spoken_of = {family(topic) for topic in asked} & said.families
    if not spoken_of:
        return True
    if not self_contained.is_anchored(prompt) or not self_contained.is_about_more(prompt, spoken_of):
        return False
    return not any(
        circumstances.tells_of_oneself(sentence.plain)
        and not spoken_of.isdisjoint(map(family, sentence.lemmas))
        for turn in turns
        if turn.role == "user"
        for sentence in sentences(turn)
    )


def _too_many_numbers(pair: _Pair) -> str:
    many = any(sum(len(reading_of(turn).quantities) for turn in side) > _MOST_NUMBERS for side in pair.left)
    return "too many numbers to compare" if many else ""


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


def _facts(pair: _Pair) -> str:
    users = [[turn for turn in side if turn.role == "user"] for side in pair.left]
    for sides, any_kind in ((users, True), (pair.left, False)):
        readings = [list(map(reading_of, side)) for side in sides]
        if found := exchanged_facts((readings[0], readings[1]), pair.said, any_kind=any_kind):
            return f"earlier turns differ: {found}"
    return ""


def _edits(pair: _Pair) -> str:
    """Turns of like place and wording in which a word or two are others, or which could not answer for each other if
    they were prompts.
    """
    for one, other in _counterparts(pair.blocks):
        found = edited(reading_of(one), reading_of(other)) or _refused(one, other, pair.said)
        if found:
            return f"earlier turns differ: {found}"
    return ""


def _respelled(pair: _Pair) -> str:
    """Turns of the very same words that are spelled otherwise where that counts."""
    for one, other in pair.kept:
        if one.text != other.text and (found := spelled_otherwise(reading_of(one), reading_of(other))):
            return f"earlier turns differ: {found}"
    return ""


def _counterparts(blocks: Sequence[_Block]) -> Iterator[tuple[Turn, Turn]]:
    """What stands at the same place of a block, counted from its beginning or its end."""
    for block in blocks:
        for i, one in enumerate(block.ours):
            for j in {i, len(block.theirs) - len(block.ours) + i}:
                if 0 <= j < len(block.theirs) and block.theirs[j].role == one.role:
                    yield one, block.theirs[j]


def _refused(one: Turn, other: Turn, said: tuple[Said, Said]) -> str:
    """What refuses two turns as it would two prompts. An assistant says the same in many ways: there only what is
    turned over counts.
    """
    ours, theirs = _told_in(one), _told_in(other)
    if not ours.low or not theirs.low or not alike(ours, theirs):
        return ""
    if one.role != "user":
        return turned(ours, theirs)
    if found := facts_against(ours, theirs, _may_differ_in(ours, theirs, said)):
        return found.explanation
    same_words = not without_like(ours, theirs) and not without_like(theirs, ours)
    return linked_otherwise(ours, theirs) if same_words else ""


def _may_differ_in(ours: Reading, theirs: Reading, said: tuple[Said, Said]) -> Collection[CriticalCheck]:
    """The facts to compare two turns by. A number or name that the other chat has in another turn is not missing, and
    numbers may be told in any order.
    """
    if said[1].lacks(ours) or said[0].lacks(theirs):
        return ALL_CHECKS
    if Said([theirs]).lacks(ours) or Said([ours]).lacks(theirs):
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


def _moves(pair: _Pair) -> str:
    """What both users say in the very same words, but not at the same point: in answer to something else."""
    ours, theirs = ({_key(turn): turn for turn in side if turn.role == "user"} for side in pair.left)
    for key, turn in ours.items():
        if key in theirs and words_of(reading_of(turn)) and not circumstances.asks(reading_of(turn).plain):
            return f"said at another point: {_cut(turn.text)}"
    return ""


def _turns_away(pair: _Pair) -> str:
    """A question about something else that one user asks last: whatever the prompt refers to, it may be that now."""
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


def _replies(pair: _Pair) -> str:
    """What was said right after the very same turn: yes to one and no to the other, or something else altogether."""
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
    """Whether the replies can be held against each other. Who is not asked may say anything next, and who asks back
    does not answer.
    """
    if turn.role == "user":
        return not is_pleasantry(turn)
    return turn.text.endswith("?") and not any(
        circumstances.asks(reading_of(reply).plain) for reply in replies
    )


def _news(pair: _Pair) -> str:
    """What one user states, takes back or has done, and the other does not, unless it was met as small talk."""
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
    """Whether advice is asked for, or leave."""
    plain = [prompt.plain for prompt in prompts]
    return any(map(circumstances.wants_advice, plain)), any(map(circumstances.wants_leave, plain))


def _told(blocks: Sequence[_Block], said: tuple[Said, Said]) -> Iterator[_Told]:
    for block in blocks:
        sides = block.ours, block.theirs
        counts = [sum(turn.role == "user" for turn in side) for side in sides]
        for side, other, known in zip(sides, sides[::-1], said[::-1], strict=True):
            others = [turn for turn in (*other, *block.after[:1]) if turn.role == "assistant"]
            for turn, reply in zip(side, [*side[1:], *block.after[:1], None], strict=False):
                if turn.role == "user":
                    yield _Told(turn, reply, known, others, is_more=counts[0] != counts[1])


def _without_detours(pair: _Pair) -> _Pair:
    if any(_wants(pair.prompts)):
        return pair
    blocks = [block for each in pair.blocks for block in _without_detour(each, pair.prompts)]
    return replace(pair, blocks=blocks)


def _without_detour(block: _Block, prompts: Sequence[Reading]) -> list[_Block]:
    """What is left of it without the exchanges at its beginning that only one chat has, where both go on afterwards."""
    more = len(block.ours) - len(block.theirs)
    longer, shorter = (block.ours, block.theirs) if more > 0 else (block.theirs, block.ours)
    detour, rest = longer[: abs(more)], longer[abs(more) :]
    if not more or more % 2 or len(rest) + len(block.after) < 2 or not digressions.is_detour(detour, prompts):
        return [block]
    if not rest:
        return []
    ours, theirs = (rest, shorter) if more > 0 else (shorter, rest)
    return [_Block(None, ours, theirs, block.after)]


def _offers(pair: _Pair) -> str:
    """What the assistant of one chat speaks of by name, and nobody in the other does: the prompt may mean that."""
    if not any(self_contained.refers_back(prompt) or prompt.question == "choice" for prompt in pair.prompts):
        return ""
    for side, said in zip(pair.left, pair.said[::-1], strict=True):
        for turn in side:
            if turn.role == "assistant" and (named := _named_anew(reading_of(turn), said)):
                return f"only in one of them: {', '.join(named)}"
    return ""


def _named_anew(reading: Reading, said: Said) -> list[str]:
    """A short reply may begin with a name, which no dictionary has."""
    ordinary = english().is_ordinary
    first = [
        reading.lemmas[i]
        for i in reading.content
        if reading.shown[i][0].isupper() and not ordinary(reading.lemmas[i]) and reading.low[i] not in _COMMON
    ]
    lacking = said.lacks(reading)
    named = {*lacking.get("name", ()), *lacking.get("code", ())}
    if len(reading.low) <= _SHORT:
        named.update(word for word in first if not said.has(word))
    return sorted(named)[:_SHOWN]


def _other_matters(pair: _Pair) -> str:
    """Whether too little of what one user says comes up in the other chat, whichever of the two is asked."""
    shares = [
        said.share_of([reading_of(turn) for turn in side if turn.role == "user"])
        for side, said in zip(pair.left, pair.said[::-1], strict=True)
    ]
    return "" if max(shares) >= _LEAST_SHARED else "earlier turns are about something else"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


_Check = Callable[[_Pair], str]
# Whatever the prompt is about, these speak against.
_DEPENDING: Final[tuple[_Check, ...]] = (_looks_back, _is_no_question, _wishes)
# And these where it is not understood by itself.
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
