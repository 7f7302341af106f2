"""Two chats beside each other: the turns that are the same, and the stretches in which they are not. Pure;
`conversation` makes a pair, which `independent_turns` and `earlier_turns` look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement.chat_content import ChatContent
from tollway_dataplane.judgement.turn_pairs import spelling_of
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.pleasantries import without_politeness
from tollway_dataplane.prompts.reading import Reading, read_again

_SHOWN: Final = 4
SHORT: Final = 8  # words, of a reply that may begin with a name
_COMMON: Final = frozenset(
    "anything something nothing everything what got ah".split()
)  # that no dictionary has either


@dataclass(frozen=True, slots=True)
class Chat:
    prompt: Reading  # the last message
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch in which two chats are not the same."""

    before: Turn | None  # what both have right before it
    ours: Sequence[Turn]
    theirs: Sequence[Turn]
    after: Sequence[Turn] = ()  # what both have right after it


@dataclass(frozen=True)
class Pair:
    """Two chats, and where they are not the same."""

    chats: tuple[Chat, Chat]
    blocks: Sequence[Block]
    kept: Sequence[tuple[Turn, Turn]] = ()  # turns that count as the same

    @cached_property
    def left(self) -> tuple[list[Turn], list[Turn]]:
        """The turns of each that are not also the other's."""
        ours = [turn for block in self.blocks for turn in block.ours]
        theirs = [turn for block in self.blocks for turn in block.theirs]
        return ours, theirs

    @cached_property
    def said(self) -> tuple[ChatContent, ChatContent]:
        return ChatContent(map(reading_of, self.chats[0].turns)), ChatContent(
            map(reading_of, self.chats[1].turns)
        )

    @property
    def prompts(self) -> tuple[Reading, Reading]:
        return self.chats[0].prompt, self.chats[1].prompt


def reading_of(turn: Turn) -> Reading:
    return read_again(turn.text)


def aligned(ours: Sequence[Turn], theirs: Sequence[Turn]) -> tuple[list[Block], list[tuple[Turn, Turn]]]:
    """Where they are not word for word the same, politeness aside; and the turns that are."""
    numbers: dict[tuple[str, ...], int] = {}
    one, other = (
        [numbers.setdefault(key_of(turn), len(numbers)) for turn in side] for side in (ours, theirs)
    )
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    ends = [ours[i:k] if tag == "equal" else () for tag, i, k, _, _ in codes[1:]]
    blocks = [
        Block(ours[i - 1] if i and j else None, ours[i:k], theirs[j:m], after)
        for (tag, i, k, j, m), after in zip(codes, [*ends, ()], strict=False)
        if tag != "equal"
    ]
    equal = (zip(ours[i:k], theirs[j:m], strict=True) for tag, i, k, j, m in codes if tag == "equal")
    return blocks, [pair for stretch in equal for pair in stretch]


def key_of(turn: Turn) -> tuple[str, ...]:
    """What turns have in common that are the same: the words, with what may count as it is spelled."""
    reading = reading_of(turn)
    return turn.role, *without_politeness(reading), *spelling_of(reading)


def named_anew(reading: Reading, said: ChatContent) -> list[str]:
    """A short reply may begin with a name, which no dictionary has."""
    ordinary = english().is_ordinary
    first = [
        reading.lemmas[i]
        for i in reading.content
        if reading.shown[i][0].isupper() and not ordinary(reading.lemmas[i]) and reading.low[i] not in _COMMON
    ]
    lacking = said.lacks(reading)
    named = {*lacking.get("name", ()), *lacking.get("code", ())}
    if len(reading.low) <= SHORT:
        named.update(word for word in first if not said.has(word))
    return sorted(named)[:_SHOWN]
