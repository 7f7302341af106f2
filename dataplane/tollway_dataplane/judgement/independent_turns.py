"""May the last messages of two chats be taken by themselves? They name what they ask about, and nothing was said before
them that may matter to it. Pure and symmetric; called by `conversation`.
"""

from collections.abc import Sequence
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.judgement import topic_change as settled
from tollway_dataplane.judgement.chat_content import ChatContent
from tollway_dataplane.judgement.chat_pairs import SHORT, Pair, named_anew, reading_of
from tollway_dataplane.judgement.statements import sentences, states
from tollway_dataplane.prompts import circumstances, self_contained
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.pleasantries import is_pleasantry
from tollway_dataplane.prompts.reading import Reading

_ALIKE: Final = 0.6  # of the words of two turns, those that they share
_LEAST_ALIKE: Final = 5  # words
_NO_NAME_WANTED: Final = frozenset("manner cause whether number duration time".split())


def may_stand_alone(pair: Pair) -> bool:
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
    said = ChatContent(map(reading_of, every))
    return all(_stands_alone(prompt, every, said) for prompt in pair.prompts)


def _is_done_with(pair: Pair) -> bool:
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


def _are_variants(pair: Pair) -> bool:
    """Whether the users say something in nearly the same words: then what differs is a detail, and no other matter."""
    ours, theirs = ([set(reading_of(turn).low) for turn in side if turn.role == "user"] for side in pair.left)
    return any(
        len(one | other) >= _LEAST_ALIKE and 2 * len(one & other) >= _ALIKE * (len(one) + len(other))
        for one in ours
        for other in theirs
    )


def _sets_scene(before: Turn | None, turn: Turn, said: ChatContent) -> bool:
    """Whether a user names a place, a product or a person that the other chat does not, or is told of one."""
    reading = reading_of(turn)
    if turn.role == "user":
        return "name" in said.lacks(reading)
    asks_how = before is not None and before.role == "user" and reading_of(before).question in _NO_NAME_WANTED
    return not asks_how and len(reading.low) <= SHORT and bool(named_anew(reading, said))


def _told_otherwise(pair: Pair) -> bool:
    """Whether a user states what the other does not, or a fact comes up in one of the chats alone."""
    for side, said in zip(pair.left, pair.said[::-1], strict=True):
        for turn in side:
            if is_pleasantry(turn):
                continue
            if turn.role == "user" and any(map(states, sentences(turn))):
                return True
            if said.lacks(reading_of(turn)) or named_anew(reading_of(turn), said):
                return True
    return False


def _stands_alone(prompt: Reading, turns: Sequence[Turn], said: ChatContent) -> bool:
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
