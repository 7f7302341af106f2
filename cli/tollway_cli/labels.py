"""An operator's own labels for `tollway fit-router`: one JSON object a line, a prompt and how well a simple and a
complex model have answered it.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tollway_dataplane.judgement.identity import normalise

LEAST: Final = 50
LEAST_OF_A_KIND: Final = 10
LEAST_GROUPS: Final = 20
_AS_VERDICT: Final = '{"prompt": "…", "simpleIsGoodEnough": true}'
_AS_SCORES: Final = '{"prompt": "…", "simple": 0.7, "complex": 0.9}'
FORMAT: Final = f"{_AS_VERDICT}, or with scores from 0 to 1 {_AS_SCORES}"
_VERDICT: Final = frozenset({"prompt", "simpleIsGoodEnough"})
_SCORES: Final = frozenset({"prompt", "simple", "complex"})


class LabelError(ValueError):
    """What is wrong with a file of labels, in which line, and how to mend it."""


@dataclass(frozen=True)
class Label:
    prompt: str  # as the router reads it
    simple: float  # how good the simple model's answer is, from 0 to 1
    complex: float

    @property
    def is_enough(self) -> bool:
        return self.simple >= self.complex

    @property
    def group(self) -> str:
        """What is the same in prompts that differ by numbers and signs alone, and of which one would tell too much of
        the other.
        """
        return re.sub(r"[\W\d_]+", "", self.prompt.lower())


def read_labels(file: Path) -> list[Label]:
    """In the order of the file; blank lines are none. Raises LabelError."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise LabelError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabelError(f"{file}: is not text in UTF-8") from None
    found = [_label(f"{file}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    enough = sum(each.is_enough for each in found)
    if len(found) < LEAST or min(enough, len(found) - enough) < LEAST_OF_A_KIND:
        raise LabelError(
            f"{file}: {len(found)} labels, the simple model good enough at {enough}; at least {LEAST} are needed, "
            f"and {LEAST_OF_A_KIND} of either kind (some 300 tell something)"
        )
    if sum(each.complex - each.simple for each in found) <= 0:
        raise LabelError(
            f"{file}: the complex model's answers are no better than the simple one's on the whole, so there is "
            "nothing to route for: let the simple model answer everything"
        )
    if (groups := len({each.group for each in found})) < LEAST_GROUPS:
        raise LabelError(
            f"{file}: but for their numbers there are only {groups} different prompts; at least {LEAST_GROUPS} are "
            "needed"
        )
    return found


def _label(place: str, line: str) -> Label:
    try:
        content: Any = json.loads(line)
    except ValueError as error:
        raise LabelError(f"{place}: is not JSON ({error}); write {FORMAT}") from None
    if not isinstance(content, dict) or content.keys() not in (_VERDICT, _SCORES):
        names = ", ".join(sorted(content)) if isinstance(content, dict) else type(content).__name__
        raise LabelError(f"{place}: has {names or 'nothing'}; write {FORMAT}")
    prompt = content["prompt"]
    if not isinstance(prompt, str) or not normalise(prompt):
        raise LabelError(f"{place}: prompt must be text, and not blank")
    if not prompt.isascii() and any("\ud800" <= each <= "\udfff" for each in prompt):
        raise LabelError(f"{place}: prompt has half of a character (a lone surrogate, such as \\ud800)")
    if "simpleIsGoodEnough" in content:
        verdict = content["simpleIsGoodEnough"]
        if not isinstance(verdict, bool):
            raise LabelError(
                f"{place}: simpleIsGoodEnough must be true or false, and is {json.dumps(verdict)}"
            )
        return Label(normalise(prompt), float(verdict), 1.0)
    return Label(normalise(prompt), *(_score(place, name, content[name]) for name in ("simple", "complex")))


def _score(place: str, name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0 <= value <= 1:
        raise LabelError(f"{place}: {name} must be a number from 0 to 1, and is {json.dumps(value)}")
    return float(value)
