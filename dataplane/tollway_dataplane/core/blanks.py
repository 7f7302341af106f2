"""Blanks that may be meant. Between the words of a sentence two are as good as one; not so in what is quoted, in code,
and where blanks are spoken of. Pure; called by `identity` and `spelling`.
"""

import re
from typing import Final

_RUN: Final = re.compile(r"(?<=\S)[ \t]*(?:\t|  )[ \t]*(?=\S)")
# A quotation mark, of any language, that is no apostrophe within a word; a sign of code; a word for blanks.
_LITERAL: Final = re.compile(
    r"[\"`\u201c-\u201f\u00ab\u00bb\u2039\u203a<>={}\\|;$]|(?<!\w)['\u2018\u2019]|['\u2018\u2019](?!\w)"
    r"|\b(?:(?:white)?spaces?|spaced|spacing|blanks?|tabs?)\b",
    re.IGNORECASE,
)


def meant_blanks(text: str) -> list[str]:
    """The tabs and the runs of blanks within its lines, in order; none where they cannot carry meaning."""
    has_runs = "  " in text or "\t" in text
    return _RUN.findall(text) if has_runs and _LITERAL.search(text) else []
