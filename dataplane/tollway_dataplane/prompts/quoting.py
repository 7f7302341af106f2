"""Quotation marks that mean something by their kind: between ' a shell expands nothing, and SQL's "name" is a column.
In the sentences of a language one kind is as good as another. Pure; called by `spelling` and `turn_pairs`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.once import once
from tollway_dataplane.prompts.reading import Reading

# Those that are no apostrophes in a word.
_MARK: Final = re.compile(r"""["“”„«»]|(?<!\w)['\u2018\u2019]|['\u2018\u2019](?!\w)""")
_MAY_QUOTE: Final = re.compile(r"""["'“”„«»\u2018\u2019]""")
# What sentences do not have: a variable, an assignment, an escape, a call, a placeholder, a command in a command.
_CODE: Final = re.compile(
    r"[$%][^\W\d_]|\$[({]|[=\\|;{}`]\S|=\s|\w\(\)|\w_\w|->|::|\b[a-z]+\((?=[\"'“\u2018])"
)
# What speaks of code, where one kind may be meant.
_OF_CODE: Final = re.compile(
    r"\b(?:(?:my|postgre|no|t-)?sql|sqlite|postgres|bash|zsh|(?:power)?shell|terminal|command|echo|grep|awk|sed|curl|ssh"
    r"|python|java(?:script)?|typescript|ruby|perl|php|rust|golang|json|ya?ml|toml|csv|xml|html|regex\w*|script"
    r"|strings?|literals?|identifiers?|columns?|variables?|printf?|quer(?:y|ies)|quot(?:e[sd]?|ing|ations?)"
    r"|escap(?:e[sd]?|ing)|interpolat\w+|apostrophes?|c\+\+|c\#|in (?:c|r|go|lua|swift|kotlin|scala)\b"
    r"|select\b.*\bfrom|insert into|where \S+ ?=)",
    re.IGNORECASE,
)


def quoted_otherwise(ours: Reading, theirs: Reading) -> str:
    """Which marks differ where their kind is meant, "" when none do. What only one of the two quotes counts where the
    text is code, not where it only speaks of it.
    """
    mine, yours = _marks(ours), _marks(theirs)
    if mine == yours:
        return ""
    one, other = ours.text, theirs.text
    is_code = _CODE.search(one) or _CODE.search(other)
    if is_code or (mine and yours and _OF_CODE.search(one) and _OF_CODE.search(other)):
        return f"{' '.join(mine) or 'none'} ≠ {' '.join(yours) or 'none'}"
    return ""


def meant_marks(reading: Reading) -> list[str]:
    """The quotation marks of a text whose kind may be meant, in order."""
    marks = _marks(reading)
    return marks if marks and (_CODE.search(reading.text) or _OF_CODE.search(reading.text)) else []


@once
def _marks(reading: Reading) -> list[str]:
    return _MARK.findall(reading.text) if _MAY_QUOTE.search(reading.text) else []
