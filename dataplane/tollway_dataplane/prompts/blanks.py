"""Blanks that may be meant. Between the words of a sentence two are as good as one, and none before it counts; not so
in what is quoted, in code, at the beginning of lines, and where blanks are spoken of. Pure; called by `identity`,
`spelling` and `turn_pairs`.
"""

import re
from typing import Final

_RUN: Final = re.compile(r"(?<=\S)(?:  | ?\t)[ \t]*(?=\S)")
_INDENTED: Final = re.compile(r"\n[ \t]+\S")
_LINE: Final = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)
_WORDS: Final = (
    "space spaces whitespace whitespaces spaced spacing blank blanks tab tabs indent indents indented indentation "
    "token tokens character characters column columns align aligns aligned alignment trailing leading padded padding"
).split()
_SPOKEN_OF: Final = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
# One is in each of those words. Of a long prompt that has none, looking for them is a tenth of the work.
_STEMS: Final = (
    *("spac", "blank", "tab", "indent", "token", "character", "column"),
    *("align", "trailing", "leading", "padd"),
)
_AS_BYTES: Final = frozenset(map(str.encode, _WORDS))
# What no word of ASCII has becomes blanks.
_APART: Final = bytes(
    byte if byte in b"abcdefghijklmnopqrstuvwxyz0123456789_" else ord(" ") for byte in range(256)
)
# What is said to be worked on: behind a colon, or in a prompt about how something is written.
_WORKED_ON: Final = re.compile(r":\s|\b(?:proof-?read|punctuat|typo|gramma)", re.IGNORECASE)
# A sign that sentences do not have, a quotation mark of any language among them; one that is no apostrophe in a word.
_SIGN: Final = re.compile(
    r"[^\w\s.,?!:'\u2018\u2019\u2026\u2013\u2014%&-]|(?<!\w)['\u2018\u2019]|['\u2018\u2019](?!\w)"
)
_MAY_QUOTE: Final = re.compile(r"""["'`“”«»\u2018\u2019]""")
# Where a string begins: at no apostrophe and no inch, but behind the letters that Python has before one.
_OPENS: Final = r"(?<!\w)(?:[fFrRbBuU]{1,2}(?=[\"']))?"
_STRING: Final = re.compile(
    rf"""{_OPENS}(?:"([^"\n]*)"|'([^'\n]*)'(?!\w)|[“”]([^“”\n]*)[“”]|[\u2018\u2019]([^\u2018\u2019\n]*)\u2019(?!\w))"""
)
# Between backticks all is code, strings in it as well, be it a part of a line or lines; and all behind a fence that is
# not closed, as in a prompt that was cut.
_CODE: Final = re.compile(r"(?<!`)(?:(`+)(?!`)(.*?)(?<!`)\1(?!`)|`{3,}(?!`)(.*)\Z)", re.DOTALL)
# Right before it there is code: a call, an assignment, an argument.
_CODE_BEFORE: Final = "([{=+,:<>|&!"
_BESIDE_SIGN: Final = re.compile(r"[^\w\s][ \t]|[ \t][^\w\s]")
# Of a spreadsheet, where each is written twice.
_DOUBLED: Final = re.compile(r'""(?=\w)|(?<=\w)""|(?<=\w[?!.,])""')
_LETTERS: Final = re.compile(r"\w+")
_BLANK: Final = re.compile(r"\s")
# At the beginning of a line: a key, or one of a list.
_ENTRY: Final = re.compile(r"^[ \t]*(?:[-*+] |[\w.\"'-]+:(?:\s|$))", re.MULTILINE)


def meant_blanks(text: str) -> list[str]:
    """The tabs and the runs of blanks within its lines, in order, where a line is indented the blanks that each begins
    with, and the strings and pieces of code of which blanks are a part; none where they cannot carry meaning.
    """
    indented = ("\n" in text and _INDENTED.search(text)) or indent_is_meant(text)
    indents = _LINE.findall(text) if indented else []
    has_runs = "  " in text or "\t" in text
    return [
        *(_RUN.findall(text) if has_runs and _counts_runs(text) else ()),
        *indents,
        *(_strings(text) if _MAY_QUOTE.search(text) else ()),
    ]


def _counts_runs(text: str) -> bool:
    return _SIGN.search(text) is not None or _WORKED_ON.search(text) is not None or speaks_of_blanks(text)


def _strings(text: str) -> list[str]:
    """Of the strings that are empty or have a blank at either end, and in code also beside a sign, where the blanks
    are: "w w " is one of two words with a blank behind them. Of what is between backticks, wherever there are any.
    """
    found = []
    if "`" in text:
        inside = (match[2] or match[3] or "" for match in _CODE.finditer(text))
        found = [_shape(code) for code in inside if _BLANK.search(code)]
        text = _CODE.sub(" ", text)
    if '""' in text:
        text = _DOUBLED.sub('"', text)
    for match in _STRING.finditer(text):
        content = match.group(match.lastindex or 0)
        is_code = match.start() > 0 and text[match.start() - 1] in _CODE_BEFORE
        if content != content.strip() or not content or (is_code and _BESIDE_SIGN.search(content)):
            found.append(_shape(content))
    return found


def _shape(content: str) -> str:
    """Where its blanks are, among which signs; words are compared elsewhere."""
    return f'"{_LETTERS.sub("w", content)}"'


def indent_is_meant(text: str) -> bool:
    """Whether its first line begins with blanks that may be meant: before code, or before what YAML has."""
    if not text[:1].isspace():
        return False
    return _SIGN.search(text) is not None or _ENTRY.search(text) is not None or speaks_of_blanks(text)


def speaks_of_blanks(text: str) -> bool:
    lowered = text.lower()
    if not any(stem in lowered for stem in _STEMS):
        return False
    # By bytes, which takes a fifth of the time; but of letters beyond ASCII it does not tell which are parts of a word.
    words = lowered.encode("utf-8", "surrogatepass").translate(_APART).split()
    if _AS_BYTES.isdisjoint(words):
        return False
    return lowered.isascii() or _SPOKEN_OF.search(text) is not None
