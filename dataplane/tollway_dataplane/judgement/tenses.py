"""When what is done is done: "the server crashed" is not "the server crashes", and "I have moved" not "I had moved".
The forms of a verb that both prompts have tell, with what stands before it; where they do not, nothing is said.
Auxiliaries alone ("is it", "was it") are compared by `framing`. Pure and symmetric in what it decides; called by
`judge`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from tollway_dataplane.judgement.passive import UNCHANGED, VERB_OF
from tollway_dataplane.prompts.everyday_words import IRREGULAR
from tollway_dataplane.prompts.function_words import ADVERBS, AUXILIARY, LITTLE, OWNING, parted
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import MOST_WORDS_KEPT, Reading
from tollway_dataplane.prompts.word_forms import alike

# What has been done may be told as what was done, and what had been done too; but not one as the other.
_DONE: Final = frozenset({"done", "done before"})
_DOING: Final = frozenset({"doing"})
_BY_AUXILIARY: Final[Mapping[str, frozenset[str]]] = {
    word: tense
    for words, tense in (
        ("did was were", _DONE),
        ("have has ve", frozenset({"done"})),
        ("had", frozenset({"done before"})),
        ("do does am is are m re", _DOING),
        ("will ll", frozenset({"to be done"})),
    )
    for word in words.split()
}
_BEING: Final = frozenset("am is are m re".split())
# Before these stands when something is done to it: "has it been sent", "will it be sent". Who is being charged and who
# was may both complain of one charge.
_DONE_TO: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "been": _BY_AUXILIARY,
    "be": {"will": _BY_AUXILIARY["will"], "ll": _BY_AUXILIARY["ll"]},
}
_WITH_ING: Final = {"dying": "die", "lying": "lie", "tying": "tie"}
_IRREGULAR: Final = {
    form: verb
    for form, verb in (IRREGULAR | VERB_OF).items()
    if verb
    not in {"child", "kid", "man", "woman", "person", "foot", "tooth", "mouse", "good", "bad", "uk", "us"}
}
_WHO: Final = frozenset("i we you he she it they who that which someone somebody".split())
_SUPPOSING: Final = frozenset("if when whenever once after before unless until whether".split())
_JOINING: Final = frozenset("that because since but so".split())
_DETERMINERS: Final = OWNING.keys() | {"the", "a", "an", "this", "that"}
_MARKS: Final = frozenset(",.;:!?()\n")
_PAST, _ING, _PLAIN = "past", "ing", "plain"
_MADE_PAST: Final = {
    _PLAIN: frozenset("did didn used".split()),
    _ING: frozenset("was were wasn weren".split()),
}
_NONE: Final[frozenset[str]] = frozenset()


def tenses_differ(ours: Reading, theirs: Reading) -> str:
    """Of a verb that is in the past in one of two prompts that are alike; "" for none."""
    if not alike(ours, theirs):
        return ""
    mine, yours = _verbs(ours), _verbs(theirs)
    for verb in [verb for verb, is_past in mine.items() if verb in yours and (is_past or yours[verb])]:
        one, other = _tenses(ours, verb), _tenses(theirs, verb)
        if one and other and one.isdisjoint(other):
            return f"tenses differ: {_shown(one)} ≠ {_shown(other)} ({verb})"
    return ""


def _shown(tense: frozenset[str]) -> str:
    return "done" if tense == _DONE else ", ".join(sorted(tense))


@once
def _verbs(reading: Reading) -> dict[str, bool]:
    """What may be one, and whether a past form of it is there, or one with what makes it past."""
    words = reading.plain_set
    past = {_PAST, *(form for form, signs in _MADE_PAST.items() if not signs.isdisjoint(words))}
    found: dict[str, bool] = {}
    for verb, form in map(_form, parted(reading)[0]):
        if verb:
            found[verb] = found.get(verb, False) or form in past
    return found


@lru_cache(MOST_WORDS_KEPT)
def _form(low: str) -> tuple[str, str]:
    """The verb, and how it stands; "" twice of what is none, or does not tell."""
    if low in UNCHANGED or low in AUXILIARY or low in LITTLE:
        return "", ""
    if low in _WITH_ING:
        return _WITH_ING[low], _ING
    if low in _IRREGULAR:
        return _IRREGULAR[low], _PAST
    verb = english().lemma(low)
    if not english().is_verb(verb):
        return "", ""
    if verb == low or (low.endswith("s") and not low.endswith("ss")):
        return verb, _PLAIN
    if low.endswith("ed"):
        return verb, _PAST
    return (verb, _ING) if low.endswith("ing") else ("", "")


def _tenses(reading: Reading, verb: str) -> frozenset[str]:
    low, endings = parted(reading)
    found = [_tense(reading, low, endings, i) for i, word in enumerate(low) if _form(word)[0] == verb]
    return _NONE.union(*found)


def _tense(reading: Reading, low: Sequence[str], endings: Mapping[int, str], i: int) -> frozenset[str]:
    form = _form(low[i])[1]
    first = _begins(reading, low, i)
    at = i - 1
    while at >= first and low[at] in ADVERBS:
        at -= 1
    if at < first:
        # An order; what has been done to what follows ("boiled eggs") is none.
        return _DOING if form == _PLAIN and first == i else _NONE
    if any(low[j] in _SUPPOSING and low[j + 1] not in AUXILIARY for j in range(first, at)):
        return _NONE  # "if I lose it" is "if I have lost it"
    before = low[at]
    if before == "to":
        is_over = at > first and low[at - 1] == "used" and (at - 1 == first or low[at - 2] not in AUXILIARY)
        return _DONE if is_over and form == _PLAIN else _NONE
    if before in _DONE_TO and form == _PAST:
        return _done_to(low, endings, first, at)
    if (bare := _bare(before)) in AUXILIARY or before.endswith("n't"):
        return _by(bare, form)
    if endings.get(at) in _BY_AUXILIARY:
        return _by(endings[at], form)
    if before in _WHO:
        # Before who acts may be what is asked with: "did you pay".
        turned = _bare(low[at - 1]) if at > first else ""
        return _by(turned, form) if turned in AUXILIARY else _alone(form)
    is_told = low[first] in _DETERMINERS and all(map(_names, low[first + 1 : at + 1]))
    # "Sent by" has been done to it, and behind a noun "rates" may be one, too: "my exchange rates are".
    behind = [*low[i + 1 : _end(reading, i)], ""]
    is_verb = behind[0] != "by" if form == _PAST else low[i].endswith("s") and AUXILIARY.isdisjoint(behind)
    return _alone(form) if is_told and is_verb else _NONE


def _begins(reading: Reading, low: Sequence[str], i: int) -> int:
    """The first word of the clause."""
    for j in range(i - 1, -1, -1):
        if _is_stopped(reading, j) or (low[j] in _JOINING and low[j + 1] in _DETERMINERS):
            return j + 1
    return 0


def _end(reading: Reading, i: int) -> int:
    """Behind the last word of the clause."""
    count = len(reading.spans)
    return next((j + 1 for j in range(i, count - 1) if _is_stopped(reading, j)), count)


def _names(word: str) -> bool:
    """Whether it may be part of who acts: "my old server"."""
    return word not in AUXILIARY and word not in LITTLE and word not in _WHO


def _bare(word: str) -> str:
    return word.removesuffix("n't")


def _by(auxiliary: str, form: str) -> frozenset[str]:
    if auxiliary in _BEING and form != _ING:
        return _NONE  # what is done to it: `framing` compares "is" and "was"
    return _BY_AUXILIARY.get(auxiliary, _NONE)


def _done_to(low: Sequence[str], endings: Mapping[int, str], first: int, at: int) -> frozenset[str]:
    """By the auxiliary that stands nearest before it."""
    for j in range(at - 1, first - 1, -1):
        for auxiliary in (_bare(low[j]), endings.get(j, "")):
            if auxiliary in AUXILIARY or auxiliary in _BY_AUXILIARY:
                return _DONE_TO[low[at]].get(auxiliary, _NONE)
    return _NONE


def _alone(form: str) -> frozenset[str]:
    """Without an auxiliary."""
    return _NONE if form == _ING else _DONE if form == _PAST else _DOING


def _is_stopped(reading: Reading, j: int) -> bool:
    """Whether a mark stands behind a word."""
    between = reading.text[reading.spans[j][1] : reading.spans[j + 1][0]]
    return between != " " and not _MARKS.isdisjoint(between)
