"""What a provider says about a request goes on to the caller; what in it looks like a key or the name of somebody's
account does not, because providers like to repeat both. Pure; `dispatch` calls it.
"""

import binascii
import html
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
# What a Secret may have as a header's whole value: a scheme, and what is the secret of it (RFC 9110, section 11.4).
_CREDENTIALS: Final = re.compile(r"([\w-]+)\s+([\w.~+/-]{4,}=*)")
# Below, what a key comes to in base64 may also be a piece of a word.
_FEWEST_SIGNS: Final = 6


def without_secrets(sentence: str, ours: Iterable[str] = ()) -> str:
    """The sentence with our own keys out of it, and everything that looks like a key or an account's id; and only then
    cut, since of a key that was cut nobody could tell that it is one.
    """
    told = sorted({part for each in ours for part in _parts(each)}, key=len, reverse=True)
    encoded = [(signs, "[\\w+/-]{0,2}", "[\\w+/=-]{0,4}") for each in told for signs in _in_base64(each)]
    for signs, before, after in (
        *encoded,
        *((each, "", "") for each in told),
    ):  # one may be the beginning of another
        pattern = before + "".join(map(_however_written, signs)) + after
        sentence = re.sub(pattern, REMOVED, sentence)
    return _SECRETS.sub(REMOVED, sentence)[:MOST_SAID]


def _parts(secret: str) -> Iterator[str]:
    """The secret, and what of it may be repeated alone: `Bearer X` and `Basic X` are known by X, which of the latter is
    a name and a password.
    """
    yield secret
    if found := _CREDENTIALS.fullmatch(secret):
        scheme, credentials = found.groups()
        yield credentials
        if scheme.lower() == "basic":
            with suppress(binascii.Error, UnicodeDecodeError):
                pair = b64decode(credentials).decode()
                yield from filter(None, (pair, pair.partition(":")[2]))


def _in_base64(secret: str) -> Iterator[str]:
    """The signs that say nothing but the secret, wherever in what is encoded it stands, such as behind a name: three
    bytes are four signs, so there are three places. In both alphabets (RFC 4648).
    """
    for before in range(3):
        data = bytes(before) + secret.encode()
        whole = slice(-(-before * 4 // 3), len(data) * 8 // 6)
        signs = b64encode(data).decode()[whole]
        if len(signs) >= _FEWEST_SIGNS:
            yield from {signs, signs.replace("+", "-").replace("/", "_")}


def _however_written(character: str) -> str:
    """A pattern for a character in all its spellings. A sign may stand encoded, as in an address or in JSON, once or
    several times over, or in HTML.
    """
    if character.isascii() and character.isalnum():
        return character
    plain, in_address = re.escape(character), "".join(f"%(?:25)*{byte:02x}" for byte in character.encode())
    in_json, in_html = rf"\\+u{ord(character):04x}", re.escape(html.escape(character))
    by_number = f"&#0*{ord(character)};|&#x0*{ord(character):x};"
    blank = "|[+]" if character == " " else ""
    return rf"(?:{in_html}|\\*{plain}|(?i:{in_address}|{in_json}|{by_number}){blank})"
