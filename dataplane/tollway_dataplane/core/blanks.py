"""Blanks that may be meant. Between the words of a sentence two are as good as one, and none before it counts; not so
in what is quoted, in code, at the beginning of lines, and where blanks are spoken of. Pure; called by `identity`,
`spelling` and `turn_pairs`.
"""

import re
from typing import Final

_RUN: Final = re.compile(r"(?<=\S)[ \t]*(?:\t|  )[ \t]*(?=\S)")
_INDENTED: Final = re.compile(r"\n[ \t]+\S")
_LINE: Final = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)
_SPOKEN_OF: Final = re.compile(
    r"\b(?:(?:white)?spaces?|spaced|spacing|blanks?|tabs?|indent(?:s|ed|ation)?|tokens?|characters?|columns?"
    r"|align(?:s|ed|ment)?|trailing|leading|padd(?:ed|ing))\b",
    re.IGNORECASE,
)
# A sign that sentences do not have, a quotation mark of any language among them; one that is no apostrophe in a word.
_SIGN: Final = re.compile(
    r"[^\w\s.,?!:'\u2018\u2019\u2026\u2013\u2014%&-]|(?<!\w)['\u2018\u2019]|['\u2018\u2019](?!\w)"
)
# At the beginning of a line: a key, or one of a list.
_ENTRY: Final = re.compile(r"^[ \t]*(?:[-*+] |[\w.\"'-]+:(?:\s|$))", re.MULTILINE)


def meant_blanks(text: str) -> list[str]:
    """The tabs and the runs of blanks within its lines, in order, and where a line is indented the blanks that each
    begins with; none where they cannot carry meaning.
    """
    indented = ("\n" in text and _INDENTED.search(text)) or indent_is_meant(text)
    indents = _LINE.findall(text) if indented else []
    has_runs = "  " in text or "\t" in text
    return [
        *(_RUN.findall(text) if has_runs and (_SIGN.search(text) or speaks_of_blanks(text)) else ()),
        *indents,
    ]


def indent_is_meant(text: str) -> bool:
    """Whether its first line begins with blanks that may be meant: before code, or before what YAML has."""
    if not text[:1].isspace():
        return False
    return _SIGN.search(text) is not None or _ENTRY.search(text) is not None or speaks_of_blanks(text)


def speaks_of_blanks(text: str) -> bool:
    return _SPOKEN_OF.search(text) is not None
