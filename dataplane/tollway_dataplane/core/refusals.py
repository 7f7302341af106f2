"""Answers in which a model declines to answer: asked again, or asked of another model, the question may get one. Pure;
such answers are not remembered.
"""

import re
from typing import Final

_BEGINNING: Final = 300  # characters; a longer answer that declines something has answered the rest
_NOT: Final = r"(?:can'?t|cannot|can\ not|unable|won'?t|not\ able)"
_DECLINES: Final = re.compile(
    rf"""^\W*(?:
      (?:i(?:'?m|\ am)\ (?:very\ |so\ |truly\ )?(?:sorry|afraid)|i\ apologi[sz]e|(?:my\ )?apologies|sorry|unfortunately
      |regrettably)\b.{{0,60}}?\bi(?:'m|\ am)?\ (?:{_NOT}|don'?t|do\ not)\b
    | (?:i(?:'?m|\ am)\ sorry|sorry|unfortunately)\b[^.]{{0,20}}?\b(?:that|this)(?:'s|\ is)\ not\ possible\b
    | no,\ i\ {_NOT}\b
    | i\ (?:{_NOT}|will\ not|must\ decline|am\ {_NOT})\b.{{0,60}}?
      \b(?:help|assist|provide|answer|comply|fulfil|do\ that|discuss|support|share|continue|create|generate|write
      |access|see|tell|give|browse|verify)
    | i'm\ {_NOT}\ to\b
    | as\ an?\ (?:ai|artificial|large|language)\b.{{0,80}}?\b(?:{_NOT}|don'?t|do\ not|am\ not)\b
    | i\ (?:don't|do\ not)\ (?:have\ (?:access|(?:any\ |enough\ )?information|real-time|enough|the\ ability)|know)\b
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_refusal(answer: str) -> bool:
    """Whether an answer declines to answer, by how it begins. In English alone."""
    return bool(_DECLINES.search(answer[:_BEGINNING].replace("’", "'")))
