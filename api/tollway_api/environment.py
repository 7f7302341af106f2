"""Settings that a process is told by its environment, as `--help` shows them. A settings class is a dataclass whose
fields say in their annotation, as a text, what they are for.
"""

import textwrap
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

_WIDTH = 100


def described(settings: type) -> str:
    """One entry a variable: its name, its default, and what it is for."""
    hints = get_type_hints(settings, include_extras=True)
    entries = []
    for field in fields(settings):
        words = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, str)]
        text = f"{' '.join(words)} {_default(field)}"
        body = textwrap.fill(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        entries.append(f"  TOLLWAY_{field.name.upper()}\n{body}")
    return "\n".join(entries)


def _default(field: "Field[Any]") -> str:
    if field.default is MISSING:
        return ""
    return f"Default: {field.default}." if field.default not in ("", ()) else "Default: none."
