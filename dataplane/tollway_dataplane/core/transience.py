"""Prompts that ask for what is true just now: their answers are other ones soon. Pure; the cache's first gate asks.

English words, erring towards "yes": a question that is asked of a model once too often costs little.
"""

import re
from typing import Final

_NOW: Final = re.compile(
    r"""\b(?:
      today(?:'s)? | tonight(?:'s)? | tomorrow(?:'s)? | yesterday(?:'s)? | nowadays | currently | right\ now
    | (?:just|as\ of|until|up\ to|by)\ now | at\ (?:the\ moment|present) | these\ days | so\ far
    | recent(?:ly)? | latest | newest | up[- ]to[- ]date | live\ (?:scores?|results?|updates?) | current(?!\ account)
    | (?:this|last|next|past|coming)\ (?:hour|morning|afternoon|evening|night|week(?:end)?|month|quarter|season|year)
    | what(?:'s|\ is)?\ (?:the\ )?(?:time|date|day)(?:\ is\ it)?(?=\s*(?:\?|$|in\b|now\b))
    | how\ old\ (?:is|am|are) | still\ (?:alive|open|in\ office)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
_FEEDS: Final = re.compile(
    r"""\b(?:
      weather | forecasts? | temperature\ (?:in|outside) | traffic | news | headlines?
    | (?:stock|share|bitcoin|crypto|gold|silver|oil|gas|petrol|fuel|house)\ prices?
    | prices?\ of\ (?:gold|silver|oil|gas|petrol|bitcoin|ether(?:eum)?|\w+\ (?:stock|shares?))
    | (?:exchange|interest|mortgage|inflation|unemployment)\ rates?
    | (?:who|which\ \w+)\ (?:is|are)\ (?:winning|leading|ahead) | scores?\ of\ the\ (?:game|match)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def is_time_dependent(prompt: str) -> bool:
    return bool(_NOW.search(prompt) or _FEEDS.search(prompt))
