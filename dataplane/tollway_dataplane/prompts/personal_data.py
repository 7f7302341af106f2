"""Whether a prompt has something of a person in it, as far as its form shows. Pure; an index that all tenants share is
not asked about such prompts, and remembers none.
"""

import re
from typing import Final

_SAID: Final = re.compile(
    r"""
      # An e-mail address; from the start of a word and without going back, so that no prompt takes long.
      (?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+
    | \b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){3,7}(?:\s?[A-Z0-9]{1,3})?\b # IBAN, ISO 13616
    | \b\d{3}-\d{2}-\d{4}\b                                         # a US social security number
    | \b(?:\d{1,3}\.){3}\d{1,3}\b                                   # an IPv4 address
    | \bmy\ (?:(?:full|first|last)\ )?name(?:'s|\ is)\b | \bi\ live\ (?:at|on|in)\b | \bi\ was\ born\b
    | \bmy\ (?:date\ of\ birth|birthday|address|phone|e-?mail|passport|password|account|card|pin)
      (?:\ (?:number|address|code))?(?:\ is\b|\s*:)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A telephone number or a card's. Fewer digits are a date, a year or an amount.
_DIALLED: Final = re.compile(r"(?<!\w)\+?\(?\d{1,4}\)?(?:[\s./-]?\d{2,4}){2,5}(?!\w)")
_LEAST_DIGITS: Final = 9
# A millisecond for each 2,500 characters, in which nobody else is answered.
_MOST_CHARACTERS: Final = 50_000


def may_have_personal_data(prompt: str) -> bool:
    """Also where it is too long to look through."""
    if len(prompt) > _MOST_CHARACTERS:
        return True
    dialled = (sum(map(str.isdigit, match.group())) for match in _DIALLED.finditer(prompt))
    return bool(_SAID.search(prompt)) or any(digits >= _LEAST_DIGITS for digits in dialled)
