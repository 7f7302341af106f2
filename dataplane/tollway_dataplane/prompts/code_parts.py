"""Code in a prompt. Of prose the words are compared, and signs and their order beside them; of code what stands around
which sign is all that counts: `a[1:]` is not `a[:1]`, `(a + b) * c` not `a + (b * c)`. Blanks are `blanks`' matter.

What is code is told by marks of it (fences, backticks), by signs that sentences do not have, and by operators between
words. It errs towards code: two prompts that are taken for different are answered once more. Pure and symmetric but for
the order in which the two are named; called by `spelling`, `competence` and `turn_pairs`.
"""

import re
from itertools import pairwise
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading

_LINES_OF_CODE: Final = re.compile(
    r"```|[{};]\s*$|=>|==|</?\w+>|\b(def|class|function|return|import|SELECT)\b.*[(:{*]", re.MULTILINE
)
# What it finds has one of these.
_MAY_BE_LINES: Final = re.compile(r"[`{};=<(:*]")
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_MARKED: Final = re.compile(r"`+([^`]+)`+")
# Parts of code within prose have one of these.
_MAY_HAVE: Final = re.compile(r"[#*/@\[\]{}|_\\<>=+^~$&`%(]|(?<!\S)[!?:]\w|\b\w[,;:-]\w\b|\s[?:-]\s")
# In a word between blanks: signs, a call, a negation, one-letter names with nothing but a mark between them. Not so in
# "option(s)", in amounts, names, addresses, alternatives ("and/or", "R&D").
_SIGNED: Final = re.compile(
    r"[#*/@\[\]{}|_\\<>=+^~$&%]|\w\((?!e?s\))|\)\w|^[!?]\w|^:(?![DPOpo]$)\w|(?<![\w.,:])[^\W\d_][,;:-]\w(?!\w)"
)
_HARMLESS: Final = re.compile(
    r"[~<>+#@]?[$]?\d[\d.,:]*[%+]?\w*|\w+(?:\+\+?|\#)|[@#]\w+|[$]\w+|\d+(?:/\d+)+|(?=\w*\w\w)\w+(?:[/&]\w+)+"
    r"|[\w.+-]+@[\w.-]+|https?://\S+|www\.\S+"
)
_QUOTES: Final = "\"'“”„«»\u2018\u2019"
_OUTER: Final = _QUOTES + ".,;:…"
_ITEM: Final = re.compile(r"[-*+>#•]+|\d+[.)]")  # at the beginning of a line
_OPERATOR: Final = re.compile(r"[-+*/=<>|&^!:]*[+*/=<>|&^][-+*/=<>|&^!:]*")
# These are operators between the names of code alone: otherwise a dash, the end of a question, "cats and dogs".
_LOOSE: Final = re.compile(r"[-?:%@~!\u2013]+|and|or|xor")
_NEGATION: Final = "not"
_BRACKETS: Final = "()[]{}"
_LONGEST: Final = 16  # words of a part whose bracket is not closed
# Where these are, capitals count.
_STRICT: Final = re.compile(r"[()\[\]{}=<>|\\_;]")
# Behind "a" these make it a name.
_NO_NOUNS: Final = frozenset(
    (each,) for each in "and or from to in of on by with is are do does mean for into than as".split()
) | {()}
# A name of one letter that is no word of English.
_LETTER: Final = re.compile(r"(?<![\w'’])[^\W\d_aAiI](?![\w'’])")
_JOINED: Final = re.compile(r"[\s,]*(?:and|or|vs\.?|versus|&|/)?\s*")


def has_code(text: str) -> bool:
    """Whether it has lines of code."""
    return _MAY_BE_LINES.search(text) is not None and _LINES_OF_CODE.search(text) is not None


def coded_otherwise(ours: Reading, theirs: Reading) -> str:
    """What differs in the code of two prompts, "" when nothing does."""
    mine, yours = code_parts(ours), code_parts(theirs)
    # Prompts with lines of code that are not of the same words are not judged at all.
    if mine != yours and (ours.low == theirs.low or not (has_code(ours.text) or has_code(theirs.text))):
        only_mine = [part for part in mine if part not in yours]
        only_yours = [part for part in yours if part not in mine]
        # The same parts may stand in another order.
        shown = (only_mine, only_yours) if only_mine or only_yours else (mine, yours)
        return " ≠ ".join(", ".join(each) or "none" for each in shown)
    one, other = _letters(ours), _letters(theirs)
    if one == other or sorted(one) != sorted(other) or (_is_list(ours) and _is_list(theirs)):
        return ""
    return f"{' '.join(one)} ≠ {' '.join(other)}"


@once
def code_parts(reading: Reading) -> tuple[str, ...]:
    """Each part of code, its words and signs with blanks between; all of a prompt that has lines of code."""
    text = reading.text
    if has_code(text):
        return (" ".join(_TOKEN.findall(text[:1].casefold() + text[1:].rstrip(".?! \n"))),)
    if not _MAY_HAVE.search(text):
        return ()
    marked = [" ".join(_TOKEN.findall(each)) for each in _MARKED.findall(text)]
    text = _MARKED.sub(" ` ", text).replace(" & ", " and ").rstrip(".?! \n")
    return (*marked, *(part for line in text.splitlines() for part in _parts_of_line(line)))


def _parts_of_line(line: str) -> list[str]:
    chunks = line.split()
    if chunks and _ITEM.fullmatch(chunks[0]):
        del chunks[0]
    is_code = _places([chunk.lstrip(_QUOTES).rstrip(_OUTER) or chunk for chunk in chunks])
    parts: list[str] = []
    at = 0
    while at < len(chunks):
        end = at
        while end < len(chunks) and (is_code[end] or _is_open(chunks[at:end])):
            end += 1
        if part := _normalised(" ".join(chunks[at:end])):
            parts.append(part)
        at = max(end, at + 1)
    return parts


def _places(chunks: list[str]) -> list[bool]:
    """Which of the words between blanks are code, operators and what they join among them."""
    found = [_is_signed(chunk) for chunk in chunks]
    for i, chunk in enumerate(chunks):
        beside = chunks[i - 1 : i] + chunks[i + 1 : i + 2]
        if len(beside) == 2 and (
            (_OPERATOR.fullmatch(chunk) and FUNCTION.isdisjoint(each for each in beside if len(each) > 1))
            or (_LOOSE.fullmatch(chunk) and all(map(_is_named, beside)) and not all(map(_is_number, beside)))
        ):
            found[i - 1 : i + 2] = [True] * 3
        elif chunk.lstrip("(") == _NEGATION and i + 1 < len(chunks) and _is_named(chunks[i + 1]):
            found[i : i + 2] = [True] * 2
    return found


def _is_signed(chunk: str) -> bool:
    return _SIGNED.search(chunk) is not None and not _HARMLESS.fullmatch(
        chunk.strip(_OUTER + _BRACKETS + "?!")
    )


def _is_named(chunk: str) -> bool:
    """Whether it is the name of something in code: a letter, a digit, or what has signs."""
    bare = chunk.strip("()")
    return (len(bare) == 1 and bare.isalnum()) or _is_signed(chunk) or bare == _NEGATION


def _is_number(chunk: str) -> bool:
    return chunk.strip("()").isdigit()


def _is_open(chunks: list[str]) -> bool:
    """Whether a part goes on, because a bracket is not closed."""
    text = "".join(chunks)
    return len(chunks) < _LONGEST and any(text.count(a) > text.count(b) for a, b in ("()", "[]", "{}"))


def _normalised(part: str) -> str:
    """Without brackets around it that are the sentence's; "" where no sign is left."""
    part = part.lstrip(_QUOTES).rstrip(_OUTER) or part
    while part.endswith(")") and part.count(")") > part.count("("):
        part = part[:-1]
    while part.startswith("(") and (part.count("(") > part.count(")") or _is_wrapped(part)):
        part = part[1:].removesuffix(")") if _is_wrapped(part) else part[1:]
    if part.replace(" ", "").isalnum():
        return ""
    return " ".join(_TOKEN.findall(part if _STRICT.search(part) else part.casefold()))


def _is_wrapped(part: str) -> bool:
    inner = part[1:-1]
    return part[:1] == "(" and part[-1:] == ")" and "(" not in inner and ")" not in inner


@once
def _letters(reading: Reading) -> list[str]:
    """Names of one letter, in order: "cp a b". "I" is none, and "a" is one where it is no article."""
    return [reading.low[i] for i in _places_of_letters(reading)]


@once
def _places_of_letters(reading: Reading) -> list[int]:
    if _LETTER.search(reading.text) is None:
        return []
    low = reading.low
    single = [i for i, word in enumerate(low) if len(word) == 1 and word.isalpha() and word != "i"]
    return [
        i for i in single if low[i] != "a" or low[i + 1 : i + 2] in _NO_NOUNS or _is_beside_code(reading, i)
    ]


def _is_beside_code(reading: Reading, i: int) -> bool:
    low = reading.low
    if any(
        len(word) == 1 and word not in {"a", "i"} for word in (*low[max(0, i - 1) : i], *low[i + 1 : i + 2])
    ):
        return True
    start, end = reading.spans[i]
    around = reading.text[max(0, start - 2) : start] + " " + reading.text[end : end + 2]
    return any(not char.isalnum() and not char.isspace() and char not in _OUTER + "?!" for char in around)


@once
def _is_list(reading: Reading) -> bool:
    """Whether its letters stand beside each other as any two things do, where order says little: "A and B"."""
    text, spans = reading.text, [reading.spans[i] for i in _places_of_letters(reading)]
    between = [text[one[1] : other[0]] for one, other in pairwise(spans)]
    return all(each.strip() and _JOINED.fullmatch(each) for each in between)
