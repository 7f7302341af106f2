"""Does a model's reply say yes or no? It was asked for one word, and many say more. What it plainly says is understood,
and nothing is guessed: a reply that takes back what it began with says neither. Pure; called by `judging`.
"""

import re
from typing import Final

# Some models think aloud before they answer.
_THOUGHTS: Final = re.compile(r"\s*<think>.*?</think>", re.IGNORECASE | re.DOTALL)
_ALONE: Final = r"(?!['’-]?[^\W_])"  # it is no part of a longer word
# "No" before a noun is no answer ("no difference"), so what may come next without a mark between is listed.
_SAYS: Final = re.compile(
    rf"[\W_]*(?:(?:the |my |final )*(?:answer|verdict)(?: is)?[\W_]+)?(yes|no){_ALONE}"
    rf"(?P<rest>\s*(?:$|\n|[^\w\s]|_|(?:as|because|both|it|since|the|these|they){_ALONE}).*)",
    re.IGNORECASE | re.DOTALL,
)
_HEDGES: Final = re.compile(
    r"\b(?:actually|although|but|depend\w*|except|however|maybe|mostly|partially|partly|perhaps|possibly|somewhat"
    r"|though|unclear|unless|unsure|wait)\b"
)
_HARMLESS: Final = re.compile(
    r"\bno (?:\w+ )?(?:conflicts?|contradictions?|differences?|doubt)\b"
    r"|\b(?:not|\w+n't) (?:\w+ )?(?:conflict|contradict|differ|matter)\w*"
    r"|\bdiffer\w* (?:only )?(?:in )?(?:length|order|phrasing|style|wording|words)\b"
    r"|\b(?:length|order|phrasing|style|wording) differs?\b"
)
# What a reply that says yes may go on with; after anything else it may be yes with a reservation ("it says Berlin").
_DO: Final = r"(?:does|do|is|are|would|will|can|could)"
_ANSWERS: Final = (
    r"(?:they|both|these|the(?: two)? answers|answers? a and (?:answer )?b|a and b|(?:the )?two answers)"
)
_ONE: Final = r"(?:it|that|this|(?:the )?(?:answer )?[ab]|(?:the )?(?:second|other|first) (?:one|answer))"
_AGREES: Final = re.compile(
    rf"(?:(?:as|because|since)\s+)?(?:{_ANSWERS}\b.*|{_ONE}\s+{_DO}"
    rf"|{_ONE}\s+(?:{_DO}\s+)?(?:answer|serve|work|do)s?(?: the (?:question|user|prompt))?"
    r"(?: (?:just )?(?:as|equally) well)?"
    r"|completely|definitely|exactly|absolutely|fully|certainly|indeed)"
)
_SENTENCES: Final = re.compile(r"[.;:!\n]+")
_RESERVES: Final = re.compile(
    r"\b(?:adds?|almost|another|apart from|aside from|as long as|assum\w+|basically|besides|barely|broadly|close to"
    r"|conditions?|essen(?:ce|tially)|extent|extra|fail\w*|fewer|for the most part|general(?:ly)?|given|guess|if"
    r"|in part|in spirit|instead|largely|leav(?:es?|ing)|left|less|likely|mainly?|mislead\w*|miss(?:es)?|more|nearly"
    r"|most|older?|on the whole|once|only (?:as|at|by|for|in|on|to|until|with)|other|outdated|overlap\w*|principle"
    r"|probably|provid(?:ed|ing)|rather|roughly"
    r"|same (?:area|domain|kind|spirit|subject|theme|topic)|save for|seems?|similar|skips?|so long as|some|subject to"
    r"|technically|theor(?:y|etically)|think|until|up to|when|whereas|while|with the exception|without)\b"
)
_APART: Final = re.compile(
    r"\b(?:cannot|conflict\w*|contradict\w*|differ\w*|incorrect|lacks?|missing|never|no|not|\w+n't|omits?|wrong)\b"
)
_ALIKE: Final = re.compile(r"\b(?:equally|equivalent|identical|same)\b")


def says_yes(reply: str) -> bool | None:
    """None for a reply that says neither yes nor no, or both."""
    found = _SAYS.fullmatch(_THOUGHTS.sub("", reply, count=1))
    if found is None:
        return None
    rest = found["rest"].lower().replace("’", "'")
    if _HEDGES.search(rest):
        return None
    if found[1].lower() == "yes":
        return True if all(map(_agrees, _SENTENCES.split(rest))) else None
    takes_back = re.search(r"\byes\b", rest) or (_ALIKE.search(rest) and not _APART.search(rest))
    return None if takes_back else False


def _agrees(sentence: str) -> bool:
    """Whether who says yes before it means it."""
    words = sentence.strip(" \t,*_`'\"()-\u2013\u2014")
    beside = _HARMLESS.sub("", words)
    if _RESERVES.search(beside) or _APART.search(beside):
        return False
    return (
        not words
        or beside != words
        or _ALIKE.search(words) is not None
        or _AGREES.fullmatch(words) is not None
    )
