"""What a provider says about a request goes on to the caller; what in it looks like a key or the name of somebody's
account does not, because providers like to repeat both. Pure; `dispatch` calls it.
"""

import html
import re
from collections.abc import Iterable
from typing import Final

REMOVED: Final = "[removed]"
MOST_SAID: Final = 500  # characters of it
_SECRETS: Final = re.compile(
    r"""
    \b(?:sk|pk|rk|gsk|xai|hf|ak|pplx|nvapi|ghp|fw|r8|tgp)[-_][\w*.…-]{3,}       # keys by their prefix, masked ones too
    | \b(?:org|proj|acct?|user|org(?:anization)?_id|account_id)[-_:=][\w-]{6,}  # accounts by theirs
    | \b(?:AIza|AKIA|ASIA|eyJ)[\w*.-]{8,}                                # Google's, AWS's, and signed tokens
    | \bBearer\s+[\w.~+/=-]+
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b                    # ids of organisations and projects
    | \b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}\b                 # what no word of a sentence looks like
    """,
    re.VERBOSE | re.IGNORECASE,
)


def without_secrets(sentence: str, ours: Iterable[str] = ()) -> str:
    """The sentence with our own keys out of it, and everything that looks like a key or an account's id; and only then
    cut, since of a key that was cut nobody could tell that it is one.
    """
    for each in sorted(ours, key=len, reverse=True):  # one may be the beginning of another
        sentence = re.sub("".join(map(_however_written, each)), REMOVED, sentence)
    return _SECRETS.sub(REMOVED, sentence)[:MOST_SAID]


def _however_written(character: str) -> str:
    """As a pattern. A sign may stand encoded, as in an address or in JSON, once or several times over, or in HTML."""
    if character.isascii() and character.isalnum():
        return character
    plain, in_address = re.escape(character), "".join(f"%(?:25)*{byte:02x}" for byte in character.encode())
    in_json, in_html = rf"\\+u{ord(character):04x}", re.escape(html.escape(character))
    by_number = f"&#0*{ord(character)};|&#x0*{ord(character):x};"
    blank = "|[+]" if character == " " else ""
    return rf"(?:{in_html}|\\*{plain}|(?i:{in_address}|{in_json}|{by_number}){blank})"
