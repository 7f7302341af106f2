"""Is a prompt simple enough for the cheap model? Words and keywords: microseconds, explainable, no model."""

import re
from typing import Final

from tollway_api.snapshot import Route
from tollway_dataplane.core.decision import RouteReason

_WORD: Final = re.compile(r"\w+(?:['’-]\w+)*")
# What is longer has no blanks where words end, and looking for keywords in it would take long.
_LONGEST_WORD: Final = 1_000


def classify(prompt: str, route: Route) -> RouteReason:
    """SIMPLE, or what makes the prompt complex."""
    if (
        len(prompt) > _LONGEST_WORD * max(1, route.word_threshold)
        or len(prompt.split(maxsplit=route.word_threshold)) > route.word_threshold
    ):
        return RouteReason.MANY_WORDS
    folded = prompt.casefold()
    # Hardly any prompt has one, and to take it apart takes far longer than to look for one anywhere.
    has_any = any(each in folded for each in route.keywords)
    if has_any and not set(_WORD.findall(folded)).isdisjoint(route.keywords):
        return RouteReason.KEYWORD
    return RouteReason.SIMPLE
