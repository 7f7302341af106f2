"""Whether a prompt can be understood without what was said before it, so that any earlier turns will do: it names what
it asks about, refers back to nothing, and neither chat has spoken of that. English, erring towards "no". Pure; called
by `conversation`.
"""

import re
from collections.abc import Collection
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.quantities import is_quantity_word
from tollway_dataplane.prompts.reading import Reading, read

# What says that something else is asked now.
_SHIFT: Final = re.compile(
    r"^\W*(?:(?:sorry|oh|hi|hello|hey|thanks|thank you|actually|just|and|ok|okay|also)\W+)*"
    r"(?:unrelated|different question|separate(?:ly| thing| question)?|by the way|btw|off topic|changing the subject"
    r"|(?:a )?(?:quick|another|different|last|final|one more) (?:question|thing)|before i (?:go|forget)"
    r"|on another (?:note|topic)|while i(?:'m| am) here)\W+(?:(?:but|though)\W+)?"
)
_ASIDE: Final = re.compile(
    r"\b(?:by the way|btw|random(?: q| question)?|(?:totally |completely |sort of )?unrelated|off topic"
    r"|side (?:note|question)|just curious|out of interest)\b"
)
# What goes on from what was said.
_CONTINUES: Final = re.compile(
    r"^\W*(?:so|and|but|ok|okay|yes|yeah|yep|no|right|great|fine|then|also|or|cool|thanks|good|what about|how about"
    r"|in that case)\b"
)
# Words that stand for something said elsewhere. Whatever is "mine" or "ours" may have been spoken of.
_REFERRING: Final = frozenset(
    "it its it's that that's this these those they them they're their he him his she her hers then one ones same other "
    "another else instead too already again either both former latter above there left total more extra my our mine "
    "ours we us".split()
)
_NOT_REFERRING: Final = re.compile(
    r"\b(?:(?:is|are) there|instead of|more than|this (?:year|month|week|season|term|quarter|winter|summer))\b"
)
_WITHIN: Final = frozenset({"it", "them", "they"})  # may stand for what the same prompt has named
# "Can I …" asks for one's own case; "how do I …" and "if I …" ask how it is done.
_OWN_CASE: Final = re.compile(
    r"\b(?:can|could|do|will|would|should|am|must|may) i\b|\bi (?:am|have|will)\b|\bi'(?:m|ve|ll|d)\b"
)
_ANYBODYS: Final = re.compile(r"\bhow (?:do|can|could|would|should) i\b|\bif i\b|[,;] (?:or|and) can i\b")
_AUXILIARIES: Final = frozenset(
    "do does did is are was were will would can could should has have had may must".split()
)
# There is one for whoever asks, so "the council" needs nothing said before.
_UNIQUE: Final = frozenset("council government police office website internet app bank".split())
_UNIQUE_NAMED: Final = re.compile(rf"\bthe (?:{'|'.join(sorted(_UNIQUE))})\b")
_COMPLEMENTS: Final = frozenset({"of", "for", "to"})
# Lemmas that say little of what is asked about.
LIGHT: Final = frozenset(
    "take use get go make do work pay come open close time need want have cost long much many second minute hour day "
    "week month year goe through across between during next last already back away around".split()
)
_LEAST_NAMED: Final = 2  # words: a thing and what tells it from others
_LEAST_TOPICS: Final = 2
_LEAST_TOPICS_ALONE: Final = 3  # where it does not say what it belongs to
_LEAST_TOPICS_SPOKEN_OF: Final = 3


def without_shift(prompt: Reading) -> Reading:
    """The prompt without what says that something else is asked now; itself when nothing does."""
    shift = _SHIFT.match(prompt.plain)
    return read(prompt.text[shift.end() :]) if shift else prompt


def names_its_matter(prompt: Reading) -> bool:
    """Whether a question leaves nothing to be looked up in earlier turns, as far as its words show."""
    asked = without_shift(prompt)
    plain = _NOT_REFERRING.sub(" ", asked.plain)
    if _CONTINUES.search(asked.plain) or _refers_back(plain) or _has_open_definite(asked):
        return False
    if _OWN_CASE.search(plain) and not _ANYBODYS.search(plain) and not asked.names:
        return False
    return len(topics(asked)) >= (_LEAST_TOPICS if is_anchored(prompt) else _LEAST_TOPICS_ALONE)


def refers_back(prompt: Reading) -> bool:
    """Whether a word of it stands for something said elsewhere."""
    return _refers_back(_NOT_REFERRING.sub(" ", prompt.plain))


def is_aside(question: Reading) -> bool:
    """Whether it is marked as being about something else: "by the way", "do you have lockers btw?"."""
    return bool(_SHIFT.match(question.plain)) or _ASIDE.search(question.plain) is not None


def is_anchored(prompt: Reading) -> bool:
    """Whether it says by a name, by "you", or by turning to something else, what it belongs to."""
    return (
        bool(prompt.names)
        or not {"you", "your"}.isdisjoint(prompt.low)
        or bool(_SHIFT.match(prompt.plain))
        or _UNIQUE_NAMED.search(prompt.plain) is not None
    )


def topics(prompt: Reading) -> frozenset[str]:
    """What it asks about: the lemmas of words that say something."""
    return frozenset(prompt.lemmas[i] for i in prompt.content if prompt.low[i] not in FUNCTION) - LIGHT


def is_about_more(prompt: Reading, spoken_of: Collection[str]) -> bool:
    """Whether a prompt of which some topics were spoken of before asks about enough else."""
    count = len(topics(without_shift(prompt)))
    return count >= _LEAST_TOPICS_SPOKEN_OF and 2 * len(spoken_of) <= count


def _refers_back(plain: str) -> bool:
    named = 0
    for match in re.finditer(r"[a-z']+", plain):
        word = match.group()
        if word in _REFERRING:
            resolved = named >= _LEAST_TOPICS and re.search(r",|\bor\b|\band\b", plain[: match.start()])
            if word not in _WITHIN or not resolved:
                return True
        named += word not in FUNCTION
    return False


def _has_open_definite(prompt: Reading) -> bool:
    """Whether something is "the …" without being said which one."""
    return any(low == "the" and _is_open(prompt, i) for i, low in enumerate(prompt.low))


def _is_open(prompt: Reading, the: int) -> bool:
    end = the + 1
    while end < len(prompt.low) and _goes_on(prompt, the, end):
        end += 1
    named = end - the - 1
    if named and (
        prompt.low[the + 1] in _UNIQUE or not prompt.names.isdisjoint(prompt.lemmas[the + 1 : end])
    ):
        return False
    after = prompt.low[end] if end < len(prompt.low) else ""
    if after in _COMPLEMENTS:
        return named < 1
    # After an auxiliary the verb is among them: "when does the shop open".
    inverted = the > 0 and prompt.low[the - 1] in _AUXILIARIES
    return inverted or named < _LEAST_NAMED


def _goes_on(prompt: Reading, the: int, end: int) -> bool:
    if prompt.low[end] in FUNCTION or is_quantity_word(prompt.low[end]):
        return False
    between = prompt.text[prompt.spans[end - 1][1] : prompt.spans[end][0]]
    return end == the + 1 or not any(mark in between for mark in ",.;:?!")
