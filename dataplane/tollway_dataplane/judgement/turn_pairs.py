"""Two turns that stand for each other in two chats: is one the other with something exchanged, or its contrary? Pure
and symmetric but for the order in which the two are named; called by `earlier_turns`, and of answers by
`answer_comparison`.
"""

import re
from difflib import SequenceMatcher
from typing import Final

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.arrangement import exchanged, modes
from tollway_dataplane.judgement.chat_content import ChatContent, share_found, words_of
from tollway_dataplane.judgement.critical_facts import conflict
from tollway_dataplane.judgement.passive import voices_differ
from tollway_dataplane.judgement.persons import parts_exchanged
from tollway_dataplane.judgement.spelling import linked_otherwise, spelled_otherwise
from tollway_dataplane.prompts.blanks import meant_blanks
from tollway_dataplane.prompts.code_parts import code_parts, coded_otherwise
from tollway_dataplane.prompts.everyday_words import OPPOSED
from tollway_dataplane.prompts.lexicon import english
from tollway_dataplane.prompts.quoting import meant_marks
from tollway_dataplane.prompts.reading import Reading
from tollway_dataplane.prompts.self_contained import LIGHT
from tollway_dataplane.prompts.word_forms import is_misspelling

# Of the words of both, in order, those that they share.
_COMPARABLE: Final = 0.5
_ALIKE: Final = 0.7  # one is the other with a word or two exchanged
_ALIKE_IF_SHORT: Final = 0.6
_SHORT: Final = 4  # words
_HARDLY_EDITED: Final = 0.85
_HARDLY_EDITED_IF_SHORT: Final = 0.75
_MOST_EXCHANGED: Final = 2  # content words on either side
_LEAST_ORDERED: Final = 3  # content words, for their order to tell
_LEAST_SAME: Final = 2  # content words, for what stands around them to tell
_LEAST_ANSWERED_ALIKE: Final = 0.25
# What is still to be done, against what is done.
_UNDONE: Final = frozenset({"still", "yet", "never", "almost"})
_MEANT: Final = frozenset({CacheReason.RELATIONS_DIFFER, CacheReason.OPPOSITES, CacheReason.NEGATION_DIFFERS})
_AUXILIARY: Final = frozenset(
    "a an i it in on at to be am is are was were been do does did have has had will would can could may might must "
    "so as or us he she me my hi hello hey yes yeah yep no ok okay oh please thanks btw lol".split()
)
# All but the punctuation of sentences and words; a minus is before a number.
_SIGN: Final = re.compile(r"(?<![^\W\d])-(?=\d)|[^\w\s.,!?;:'’\"“”()…\u2013\u2014-]")
_ANSWER: Final = re.compile(r"^\W*(yes|yeah|yep|yup|no|nope|nah|not|never|i don't|i do)\b")
_NAY: Final = frozenset({"no", "nope", "nah", "not", "never", "i don't"})


def edited(ours: Reading, theirs: Reading) -> str:
    """What was exchanged, "" when nothing was, or the two are worded too differently to tell."""
    if ours.low == theirs.low:
        return _other_signs(ours, theirs)
    are_same_words = sorted(ours.low) == sorted(theirs.low)
    coded = coded_otherwise(ours, theirs) if are_same_words else ""
    if found := coded or _same_otherwise_meant(ours, theirs):
        return found
    mine, yours = set(ours.low), set(theirs.low)
    if 2 * len(mine & yours) < _COMPARABLE * (len(mine) + len(yours)) / 2:
        return ""  # they cannot be alike enough, which takes longer to find out
    matcher = SequenceMatcher(None, ours.low, theirs.low, autojunk=False)
    alike = matcher.ratio()
    if alike >= _COMPARABLE and (found := _ordered_otherwise(ours, theirs)):
        return found
    short = _are_short(ours, theirs)
    if alike < (_ALIKE_IF_SHORT if short else _ALIKE):
        return ""
    if found := _first_replaced(matcher, ours, theirs):
        return found
    if alike < (_HARDLY_EDITED_IF_SHORT if short else _HARDLY_EDITED):
        return ""
    return turned(ours, theirs) or linked_otherwise(ours, theirs) or spelled_otherwise(ours, theirs)


def replaced(ours: Reading, theirs: Reading) -> str:
    """What stands in the place of something else, be it "may" and "must", where two texts are worded alike; "" where
    nothing does, or they are worded too differently to tell. Less than `edited`: their order may be another.
    """
    matcher = SequenceMatcher(None, ours.low, theirs.low, autojunk=False)
    if matcher.ratio() < (_ALIKE_IF_SHORT if _are_short(ours, theirs) else _ALIKE):
        return ""
    mine, yours = modes(ours), modes(theirs)
    if mine and yours and mine.isdisjoint(yours):
        return f"{', '.join(sorted(mine))} ≠ {', '.join(sorted(yours))}"
    return _first_replaced(matcher, ours, theirs)


def _are_short(ours: Reading, theirs: Reading) -> bool:
    return max(len(ours.low), len(theirs.low)) <= _SHORT


def _first_replaced(matcher: SequenceMatcher[str], ours: Reading, theirs: Reading) -> str:
    places = (each for each in matcher.get_opcodes() if each[0] == "replace")
    every = (_replaced(ours, range(i, k), theirs, range(j, m)) for _, i, k, j, m in places)
    return next(filter(None, every), "")


def turned(ours: Reading, theirs: Reading) -> str:
    """What one of them says and the other denies."""
    found = conflict(ours, theirs, {CriticalCheck.NEGATION})
    is_turned = found and found.reason in {CacheReason.OPPOSITES, CacheReason.NEGATION_DIFFERS}
    return found.explanation if found and is_turned else ""


def parted_otherwise(ours: Reading, theirs: Reading) -> str:
    """Who acts in one of them, and is acted on in the other, of two texts that are alike."""
    if pair := exchanged(ours, theirs):
        return f"in another order: {', '.join(pair)}"
    return parts_exchanged(ours, theirs) or voices_differ(ours, theirs)


def _other_signs(ours: Reading, theirs: Reading) -> str:
    """Of turns of the very same words: stricter than `spelled_otherwise`, which lets prompts differ in capitals."""
    mine, yours = (" ".join(spelling_of(each)) for each in (ours, theirs))
    return f"{mine or 'none'} ≠ {yours or 'none'}" if mine != yours else ""


def spelling_of(reading: Reading) -> list[str]:
    """What counts beside the words: signs, pictures, the marks that are vowels in many scripts, words in capitals,
    quotation marks and blanks that may be meant, and code.
    """
    loud = [word for word in reading.shown if len(word) > 1 and word.isupper()]
    text = reading.text
    signs = [*_SIGN.findall(text), *loud, *meant_marks(reading)]
    return [*signs, *map(repr, meant_blanks(text)), *code_parts(reading)]


def contradict(ours: Reading, theirs: Reading) -> bool:
    """Whether two replies to the very same turn say yes and no, or have hardly a word in common."""
    mine, yours = _ANSWER.search(ours.plain), _ANSWER.search(theirs.plain)
    if mine and yours and (mine.group(1) in _NAY) != (yours.group(1) in _NAY):
        return True
    if ours.low == theirs.low:
        return False
    one, other = ({each.lemmas[i] for i in words_of(each)} - LIGHT for each in (ours, theirs))
    if min(len(one), len(other)) < 1:
        return False
    share = max(share_found(one, ChatContent([theirs])), share_found(other, ChatContent([ours])))
    return share < _LEAST_ANSWERED_ALIKE


def _same_otherwise_meant(ours: Reading, theirs: Reading) -> str:
    """What turns of the same words differ in: done or still to be done, from or to, with or without."""
    one, other = ({each.lemmas[i] for i in words_of(each)} - LIGHT for each in (ours, theirs))
    if min(len(one), len(other)) < _LEAST_SAME:
        return ""
    if min(share_found(one, ChatContent([theirs])), share_found(other, ChatContent([ours]))) < 1:
        return ""
    for check in (CriticalCheck.KEYWORDS, CriticalCheck.NEGATION):
        if (found := conflict(ours, theirs, {check})) and found.reason in _MEANT:
            return found.explanation
    mine, yours = (_UNDONE & set(each.low) | modes(each) & {"must"} for each in (ours, theirs))
    if mine != yours:
        return f"{', '.join(sorted(mine)) or 'none'} ≠ {', '.join(sorted(yours)) or 'none'}"
    return linked_otherwise(ours, theirs)


def _ordered_otherwise(ours: Reading, theirs: Reading) -> str:
    """Who lent it to whom."""
    # A name that begins a sentence is known for one by the other turn.
    names = (ours.names | theirs.names) & set(ours.lemmas) & set(theirs.lemmas) - ours.calendar
    mine, yours = (
        [lemma for lemma in dict.fromkeys(each.lemmas) if lemma in names] for each in (ours, theirs)
    )
    if mine != yours:
        return f"in another order: {', '.join(mine)}"
    if sorted(ours.low) == sorted(theirs.low) and _joined(ours.low) != _joined(theirs.low):
        return "the same words in another order"
    words = exchanged(ours, theirs) if len(ours.content) >= _LEAST_ORDERED else None
    return f"in another order: {', '.join(words)}" if words else ""


def _joined(low: tuple[str, ...]) -> list[str]:
    """The words, with those on either side of an "and" or "or" in the order of the alphabet."""
    words = list(low)
    for i in range(1, len(words) - 1):
        if words[i] in {"and", "or"} and words[i - 1] > words[i + 1]:
            words[i - 1], words[i + 1] = words[i + 1], words[i - 1]
    return words


def _replaced(ours: Reading, mine: range, theirs: Reading, yours: range) -> str:
    """Words that carry something and stand in the place of others that mean something else."""
    one, other = _carrying(ours, mine, theirs), _carrying(theirs, yours, ours)
    if one and not other:
        other = _saying(theirs, yours, ours)
    elif other and not one:
        one = _saying(ours, mine, theirs)
    if any(is_misspelling(ours.low[i], theirs.low[j]) for i in one for j in other):
        return ""
    kin = english().kin
    known = [
        frozenset[str | int]().union(*(kin(each.lemmas[i]) for i in places))
        for each, places in ((ours, one), (theirs, other))
    ]
    pairs = [(ours.lemmas[i], theirs.lemmas[j]) for i in one for j in other]
    opposed = {word for pair in pairs if pair in OPPOSED for word in pair}  # which may be forms of one word
    one = [i for i in one if ours.lemmas[i] in opposed or known[1].isdisjoint(kin(ours.lemmas[i]))]
    other = [j for j in other if theirs.lemmas[j] in opposed or known[0].isdisjoint(kin(theirs.lemmas[j]))]
    if not one or not other or max(len(one), len(other)) > _MOST_EXCHANGED:
        return ""
    return f"{' '.join(ours.low[i] for i in one)} ≠ {' '.join(theirs.low[j] for j in other)}"


def _carrying(of: Reading, places: range, against: Reading) -> list[int]:
    """Places of the words that the other text does not have anywhere."""
    words = words_of(of)
    return [
        i for i in places if i in words and of.lemmas[i] not in against.lemmas and of.low[i] not in _AUXILIARY
    ]


def _saying(of: Reading, places: range, against: Reading) -> list[int]:
    """The same of words that carry little elsewhere, but do in the place of one that carries something: "found", where
    the other turn has "stolen".
    """
    ordinary = english().is_ordinary
    return [
        i
        for i in places
        if of.low[i] not in _AUXILIARY and ordinary(of.lemmas[i]) and of.lemmas[i] not in against.lemmas
    ]
