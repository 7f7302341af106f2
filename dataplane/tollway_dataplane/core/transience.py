"""Prompts that ask for what is true just now: their answers are other ones soon. Pure; the cache's first gate asks.

English words, erring towards "yes": a question that is asked of a model once too often costs little.
"""

import re
from typing import Final

_NOW: Final = re.compile(
    r"""\b(?:
      now(?=\s*[?.!]?\s*$) | today(?:'s)? | tonight(?:'s)? | tomorrow(?:'s)? | yesterday(?:'s)? | nowadays | currently
    | right\ now | (?:just|as\ of|until|up\ to|by)\ now | at\ (?:the\ moment|this\ moment|present) | these\ days
    | so\ far
    | recent(?:ly)? | lately | latest | newest | up[- ]to[- ]date | live\ (?:scores?|results?|updates?)
    | (?<!electric\ )(?<!alternating\ )(?<!direct\ )current(?!\ (?:account|director|ratio|flow|in\ a))
    | (?:this|last|next|past|coming)\ (?:hour|morning|afternoon|evening|night|week(?:end)?|month|quarter|season|year)
    | (?:this|last|next)\ (?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|train|bus|flight)
    | what(?:'s|\ is)?\ (?:the\ )?(?:time|date|day)(?:\ is\ it)?(?=\s*(?:\?|$|in\b|now\b))
    | (?:what|which)\ (?:year|month|day\ of\ the\ week)\ is\ it | how\ many\ (?:days|weeks)\ (?:until|till|since)
    | \d+\ (?:minutes?|hours?|days?|weeks?|months?)\ ago | how\ old\ (?:is|am|are)
    | still\ (?:alive|open|in\ office)
    )\b""",
    re.VERBOSE,
)
_FEEDS: Final = re.compile(
    r"""\b(?:
      weather(?!\ balloon) | forecasts? | temperature\ (?:in|outside) | is\ it\ (?:raining|snowing)
    | will\ it\ (?:rain|snow)
    | (?<!network\ )traffic | news | headlines?
    | (?:stock|share|bitcoin|crypto|gold|silver|oil|gas|petrol|fuel|house)\ prices?
    | prices?\ of\ (?:gold|silver|oil|gas|petrol|bitcoin|ether(?:eum)?|\w+\ (?:stock|shares?))
    | how\ much\ is\ (?:a\ |one\ )?(?:bitcoin|share) | (?:exchange|interest|mortgage|inflation|unemployment)\ rates?
    | (?:who|which\ \w+)\ (?:is|are)\ (?:winning|leading|ahead) | scores?\ of\ the\ (?:game|match)
    | who\ won\ the\ (?:game|match)
    | (?:who\ is|who's)\ the\ (?:\w+\ )?(?:president|prime\ minister|chancellor|ceo|king|queen|pope|mayor|champion)
    )\b""",
    re.VERBOSE,
)
# What is somebody's own, or wanted anew each time.
_OWN: Final = re.compile(
    r"""\b(?:
      where\ is\ my\ (?:order|parcel|package|delivery|refund) | my\ balance
    | (?:random|another|new)\ (?:number|uuid|password|joke) | roll\ (?:a\ |the\ )?dice
    )\b""",
    re.VERBOSE,
)


# One of these is in whatever the patterns match, and most prompts have none: that is seen thirty times faster.
_HINTS: Final = frozenset(
    (
        "now today tonight tomorrow yesterday nowadays currently moment present days far recent recently lately latest "
        "newest date live current hour morning afternoon evening night week weekend month quarter season year monday "
        "tuesday wednesday thursday friday saturday sunday train bus flight time day weeks ago old still weather "
        "forecast forecasts temperature raining snowing rain snow traffic news headline headlines price prices bitcoin "
        "share rate rates winning leading ahead score scores won president minister chancellor ceo king queen pope "
        "mayor champion order parcel package delivery refund balance random another new dice"
    ).split()
)
_WORD: Final = re.compile(r"[a-z]+")


def is_time_dependent(prompt: str) -> bool:
    low = prompt.lower().replace("’", "'")
    if _HINTS.isdisjoint(_WORD.findall(low)):
        return False
    return any(each.search(low) for each in (_NOW, _FEEDS, _OWN))
