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
    | what(?:\ is)?\ (?:the\ )?(?:time|date|day)(?:\ is\ it)?(?=\s*(?:\?|$|in\b|now\b))
    | (?:what|which)\ (?:year|month|day\ of\ the\ week)\ is\ it | how\ many\ (?:days|weeks)\ (?:until|till|since)
    | \d+\ (?:minutes?|hours?|days?|weeks?|months?)\ ago | how\ old\ (?:is|am|are)
    | still\ (?:alive|open|in\ office)
    )\b""",
    re.VERBOSE,
)
_FEEDS: Final = re.compile(
    r"""\b(?:
      weather(?!\ balloon) | forecasts? | temperature\ (?:in|outside) | what\ is\ the\ temperature(?=\s*\?*$)
    | is\ it\ (?:raining|snowing|sunny|cloudy|windy|foggy|freezing) | how\ (?:hot|cold|warm)\ is\ it
    | (?:will\ it|going\ to|gonna)\ (?:rain|snow) | (?:need|bring|take|carry)\ (?:an?\ |my\ )?(?:umbrella|raincoat)
    | (?<!network\ )traffic | news | headlines? | (?:what\ is|anything)\ (?:\w+\ )?on\ (?:tv|television)
    | (?:stock|share|bitcoin|crypto|gold|silver|oil|gas|petrol|fuel|house)\ prices?
    | prices?\ of\ (?:gold|silver|oil|gas|petrol|bitcoin|ether(?:eum)?|\w+\ (?:stock|shares?))
    | how\ much\ is\ (?:a\ |one\ )?(?:bitcoin|share) | (?:exchange|interest|mortgage|inflation|unemployment)\ rates?
    | trad(?:es|ing)\ at | (?:markets?|stocks?|economy)\ doing
    | (?:who|which\ \w+)\ (?:is|are)\ (?:winning|leading|ahead) | who\ (?:leads|tops)\ the
    | scores?\ of\ the\ (?:game|match) | what\ is\ the\ score(?=\s*\?*$) | who\ won\ the\ (?:game|match)
    | who\ is\ the\ (?:\w+\ )?(?:president|prime\ minister|chancellor|ceo|king|queen|pope|mayor|champion)
    | when\ (?:is|are|does|do)\ the\ next(?!\ (?:time|step))
    )\b""",
    re.VERBOSE,
)
# How something stands: "is the shop open?", and not "is the shop open on Sundays?", "when are you open?".
_STATE: Final = re.compile(
    r"(?:^|[,.;:!?] )(?:hey |hi |so |and |please )?(?:is|are) (?:[\w'&.-]+ ){1,4}"
    r"(?:open|closed|(?<!too )late|delayed|on time|down|up and running)\s*\?*$"
)
_MONEY: Final = (
    r"(?:euros?|dollars?|pounds?|yen|yuan|rupees?|pesos?|francs?|rou?bles?|usd|eur|gbp|jpy|inr|cny|chf)"
)
# What one currency is worth in another, and not how to change it.
_WORTH: Final = re.compile(
    rf"\b(?:what (?:is|are)|how (?:much|many)|convert(?=\D{{0,4}}\d))\b[^.?!;]{{0,30}}\b{_MONEY}\b"
    rf"[^.?!;]{{0,20}}\b(?:in|is|to|into|worth|for)\b[^.?!;]{{0,20}}\b{_MONEY}\b"
)
_GOODS: Final = (
    r"(?!(?:the|this|that|these|those|it|its|an?|your|our|my|their|each|every|one|all|any|you|i|we|they)\b"
    r"|(?:\w+ing|delivery|postage|returns?|entry|entrance|admission|membership|tickets?|too|\w*\d)\b)"
    r"[a-z]+(?: [a-z]+){0,2}"
)
# Of goods that anybody sells. "The price", "the price of shipping" and "of the basic plan" are the asked one's own.
_PRICE: Final = re.compile(
    r"(?:^|\bwhat (?:is|are) )(?:the )?(?:\w+ ){0,2}prices? of "
    r"(?!(?:the|this|that|these|those|it|its|an?|your|our|my|their|each|every|one|all|any)\b"
    r"|(?:\w+ing|delivery|postage|returns?|entry|entrance|admission|membership|tickets?)\b)"
    r"|\bhow much (?:is|are|does|do) (?:the|an?) \w+ ?\d"
    rf"|\bhow much (?:is|are) {_GOODS}\s*\?*$|\b(?:how much|what) (?:does|do) {_GOODS} cost\s*\?*$"
    rf"|\b{_MONEY} to {_MONEY} rate\b"
)
_PRICE_OF_A_NAME: Final = re.compile(
    r"\b[Hh]ow much (?:(?:is|are)(?=(?: [\w'\u2019.-]+){1,5}\s*\?*$)|(?:does|do)(?=.{1,60} cost\s*\?*$))"
    r" (?:the |an? )?(?!I\b)[A-Z]"
)
# A product has a name, or a number behind its word: "iPhone 15", "ps5". What one is served by oneself has one as well.
_OWN_GOODS: Final = (
    r"plans?|tiers?|subscriptions?|packages?|memberships?|tickets?|licen[cs]es?|editions?|accounts?|rooms?|rates?|fees?"
    r"|pass(?:es)?|seats?|shipping|delivery|postage|returns?|courses?|upgrades?"
)
_NAMED: Final = (
    rf"(?!(?:[\w'\u2019.-]+ ){{0,4}}(?i:{_OWN_GOODS})\b)(?!(?i:wh\w+|how|is|are|do|does|can|my|your|our)\b)"
    r"(?:(?:the|an?|one|new) )?(?:[\w'.-]+ ){0,3}?"
    r"(?:[A-Z]\w*|[a-z]+[A-Z]\w*|[^\W\d_]{2,} ?\d+\w*)(?: [\w.-]+){0,3}"
)
_ASKING_FOR_IT: Final = r"(?:^|[.?!,] |\b(?:[Ww]hat(?: is|'s|\u2019s)|tell me|know|give me|check) )"
_PRICE_OF_A_PRODUCT: Final = re.compile(
    rf"{_ASKING_FOR_IT}(?:the )?{_NAMED}(?:'s|\u2019s)? (?:retail |street )?(?:price|cost)s?\W*$"
    rf"|\b[Pp]rices? (?:of|for) {_NAMED}\W*$|\b[Cc]ost of {_NAMED}\W*$"
    rf"|\b[Hh]ow much (?:for|(?:do|does|would|will) (?:I|you|one) (?:pay|spend) for) {_NAMED}\W*$"
    rf"|\b[Hh]ow much (?:does|do|would|will) {_NAMED} (?:cost|go for|sell for)\W*$"
    rf"|\b[Hh]ow (?:expensive|dear|cheap) (?:is|are) {_NAMED}\W*$"
    rf"|\b[Ww]hat (?:does|do|would) {_NAMED} (?:cost|go for|sell for)\W*$"
)
# What is somebody's own, or wanted anew each time.
_OWN: Final = re.compile(
    r"""\b(?:
      where\ is\ my\ (?:order|parcel|package|delivery|refund) | my\ balance
    | (?:random|another|new)\ (?:number|uuid|password|joke) | roll\ (?:a\ |the\ )?(?:dice|die)
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
        "mayor champion order parcel package delivery refund balance random another new dice hot cold warm sunny "
        "cloudy windy foggy freezing umbrella raincoat tv television trades trading doing leads tops next open closed "
        "late delayed down running much cost costs expensive dear cheap go sell pay spend die "
        "euro euros dollar dollars pound pounds yen yuan rupee rupees peso pesos franc "
        "francs rouble roubles ruble rubles usd eur gbp jpy inr cny chf"
    ).split()
)
_WORD: Final = re.compile(r"[a-z]+")
# Written out before the patterns are asked.
_IS_SHORT: Final = re.compile(r"(?<=\bwho|\bhow)'s\b|(?<=\bwhat|\bwhen)'s\b|(?<=\bwhere)'s\b")
_PATTERNS: Final = (_NOW, _FEEDS, _STATE, _WORTH, _PRICE, _OWN)
_OF_NAMES: Final = (_PRICE_OF_A_NAME, _PRICE_OF_A_PRODUCT)  # as it is written


def is_time_dependent(prompt: str) -> bool:
    low = _lower(prompt)
    if _HINTS.isdisjoint(_WORD.findall(low)):
        return False
    low = _IS_SHORT.sub(" is", low)
    return any(each.search(low) for each in _PATTERNS) or any(each.search(prompt) for each in _OF_NAMES)


def _lower(text: str) -> str:
    return text.lower().replace("’", "'")
