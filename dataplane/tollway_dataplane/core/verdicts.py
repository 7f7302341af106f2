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
# How a reply goes on that says yes and means it; after anything else it may be yes with a reservation.
_CONTINUES: Final = re.compile(
    r"[\W_]*(?:$|(?:as|because|since)\b|(?:only )?(?:the )?(?:length|order|phrasing|style|wording)\b"
    r"|there(?:'s| is) no\b"
    r"|(?:they|both|these|it|the answers|the two(?: answers)?|answers? a and (?:answer )?b|a and b)\b"
    r"|(?:completely|definitely|exactly|absolutely|fully|certainly|equivalent|identical|the same|same)\b)"
)
_RESERVES: Final = re.compile(
    r"\b(?:almost|apart from|aside from|besides|barely|close to|for the most part|largely|in part|mislead\w*"
    r"|more or less|nearly|roughly|save for|says? \d|similar|up to|with the exception)\b"
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
        is_plain = _CONTINUES.match(rest) and not _RESERVES.search(rest)
        return True if is_plain and not _APART.search(_HARMLESS.sub("", rest)) else None
    takes_back = re.search(r"\byes\b", rest) or (_ALIKE.search(rest) and not _APART.search(rest))
    return None if takes_back else False
