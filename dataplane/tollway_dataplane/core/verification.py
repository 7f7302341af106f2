"""May this remembered answer serve this prompt? Closeness of embeddings alone cannot say: a question and its
reverse can be closer than two wordings of one question. So critical facts must agree as well.

Pure; called with the nearest neighbours of one partition.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from tollway_api.semantic_cache_index import CriticalCheck
from tollway_api.snapshot import Index
from tollway_dataplane.core.decision import CacheReason

_NUMBER_WORDS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
    "billion first second third half double twice"
).split()
_CALENDAR_WORDS: Final = (
    "monday tuesday wednesday thursday friday saturday sunday january february march april june july august "
    "september october november december today tomorrow yesterday"
).split()
_CURRENCY_WORDS: Final = (
    "dollar dollars euro euros pound pounds cent cents usd eur gbp jpy yen yuan rupee rupees"
).split()
# "may" is a month only with a number beside it, and "second" is rarely a number; both only make it stricter.
_STRICT_WORDS: Final = frozenset(_NUMBER_WORDS + _CALENDAR_WORDS + _CURRENCY_WORDS)
_NEGATIONS: Final = frozenset(
    (
        "no not never none nobody nothing neither nor without cannot cant dont doesnt didnt isnt arent wasnt "
        "werent wont wouldnt shouldnt couldnt hasnt havent hadnt except unless hardly lack lacks avoid stop"
    ).split()
)
# Words that carry how a thing is asked rather than what is asked.
_FUNCTION_WORDS: Final = frozenset(
    (
        "a an the this that these those is are was were be been am do does did can could will would shall should "
        "may might must i me my mine we us our you your it its he she they them their what which how "
        "to of in on at for with by from as and or so then than there here please kindly tell give show let "
        "know want need like just also some any have has had get hello hi hey thanks thank"
    ).split()
)

# Words that say how the next content word stands to the rest: "from Paris" is not "to Paris", "and" is not "or".
_LINKS: Final = frozenset(
    "to from into onto in on with without by for and or than before after over under between against".split()
)
# Punctuation that is more than how a sentence is built; what Unicode calls symbols and marks comes to it.
_OPERATORS: Final = frozenset("#%&*/@[]{}|_\\")

_WORD: Final = re.compile(r"[^\W_]+(?:[.,:/'’-][^\W_]+)*(?:\+\+|#)?")
# `-C` is not `-c`, `\d` not `\D`, "5 MW" not "5 mW", `.bashrc` not `bashrc`, and `--` not `-`.
_SPELLED: Final = re.compile(
    r"(?<![\w-])--?[^\W_][\w-]*|[\\%+/@#$][^\W\d_]+|(?<=\d)\s?[^\W\d_]{1,3}\b|(?<![\w.])\.\w[\w.-]*|--"
)
_VARIATION: Final = "\ufe0f"  # says how a sign before it is to be drawn
_AMOUNT: Final = re.compile(r"[$€£¥₹%°]|\d")


def verify(prompt: str, remembered: str, similarity: float, index: Index) -> CacheReason:
    """SEMANTIC when the remembered prompt's answer may serve; otherwise what speaks against it. Symmetric in the
    two prompts.
    """
    if similarity < index.threshold:
        return CacheReason.BELOW_THRESHOLD
    if similarity < index.strict_threshold and (_is_exacting(prompt) or _is_exacting(remembered)):
        return CacheReason.BELOW_STRICT_THRESHOLD
    for check, (facts_of, reason) in _CHECKS.items():
        if check in index.checks and facts_of(prompt) != facts_of(remembered):
            return reason
    if CriticalCheck.KEYWORDS in index.checks and _relations_conflict(prompt, remembered):
        return CacheReason.RELATIONS_DIFFER
    return CacheReason.SEMANTIC


def _words(text: str) -> list[str]:
    return [match.group().casefold().replace("’", "'") for match in _WORD.finditer(text)]


def _is_exacting(text: str) -> bool:
    """Whether a prompt has numbers, amounts or dates, and so wants the strict threshold."""
    return bool(_AMOUNT.search(text)) or not _STRICT_WORDS.isdisjoint(_words(text))


def _numbers(text: str) -> tuple[str, ...]:
    """Numbers, amounts and dates, in order: "from 3 to 5" is not "from 5 to 3"."""
    signs = re.findall(r"[$€£¥₹%°]", text)
    numbers = [word for word in _words(text) if any(map(str.isdigit, word)) or word in _STRICT_WORDS]
    return (*numbers, *signs)


def _negation(text: str) -> bool:
    """Whether the prompt is negative; two negations make none."""
    words = _words(text)
    count = sum(word.replace("'", "") in _NEGATIONS or word.endswith("n't") for word in words)
    return count % 2 == 1


def _keywords(text: str) -> tuple[str, ...]:
    """Content words in order, each once, without their commonest endings. Order matters: "dollars to euros" is
    not "euros to dollars". Any further word on either side makes another question: "price" of "gold".
    """
    stems = (_stem(word) for word in _words(text) if not _is_function_word(word))
    return (*dict.fromkeys([*stems, *_capital_words(text)]), *_signs(text))


def _capital_words(text: str) -> tuple[str, ...]:
    """Short words whose capitals make them names: "US" is not "us", "IT" is not "it"."""
    if text.isupper():
        return ()
    found = (match.group() for match in _WORD.finditer(text))
    return tuple(
        word for word in found if len(word) > 1 and word.isupper() and _is_function_word(word.casefold())
    )


def _signs(text: str) -> list[str]:
    """In order, pictures, operators, and the marks that are vowels and tones in many scripts, of which an encoder knows
    few. Then what counts as it is spelled.
    """
    return [
        *(char for char in text.replace(_VARIATION, "") if _is_sign(char)),
        *(found.strip() for found in _SPELLED.findall(text)),
    ]


def _is_sign(char: str) -> bool:
    return char in _OPERATORS or unicodedata.category(char)[0] in "SM"


def _links(text: str) -> dict[str, set[str]]:
    """The linking words that stand before each content word."""
    links: dict[str, set[str]] = {}
    last = ""
    for word in _words(text):
        if word in _LINKS:
            last = word
        elif not _is_function_word(word):
            if last:
                links.setdefault(_stem(word), set()).add(last)
            last = ""
    if last:
        links[""] = {last}  # "the slot I put it in"
    return links


def _relations_conflict(prompt: str, remembered: str) -> bool:
    """Whether both say how some content word stands to the rest, and say different things. A word with a link in one
    of them only is no conflict: "how to reset" and "how do I reset" are one question.
    """
    ours, theirs = _links(prompt), _links(remembered)
    return any(ours[word] != theirs[word] for word in ours.keys() & theirs.keys())


def _is_function_word(word: str) -> bool:
    """Also when contracted: "what's", "I'm"."""
    base, _, ending = word.partition("'")
    return base in _FUNCTION_WORDS and ending in {"", "s", "m", "d", "re", "ve", "ll"}


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    """A crude stem, equal for a noun and its plural; wrong stems only cost a hit."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


# In the order of what says most about a difference: a number is also a content word.
_CHECKS: Final[dict[CriticalCheck, tuple[Callable[[str], object], CacheReason]]] = {
    CriticalCheck.NUMBERS: (_numbers, CacheReason.NUMBERS_DIFFER),
    CriticalCheck.NEGATION: (_negation, CacheReason.NEGATION_DIFFERS),
    CriticalCheck.KEYWORDS: (_keywords, CacheReason.KEYWORDS_DIFFER),
}
