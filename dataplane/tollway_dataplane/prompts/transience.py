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
    | still\ (?:alive|open|in\ office|president|prime\ minister|king|queen|ceo|champion)
    )\b""",
    re.VERBOSE,
)
_FEEDS: Final = re.compile(
    r"""\b(?:
      (?<!forecast\ )weather(?!\ (?:balloon|vane|station)) | (?<!to\ )forecasts?(?!\ (?:weather|error))
    | temperature\ (?:in|outside) | what\ is\ the\ temperature(?=\s*\?*$)
    | is\ it\ (?:raining|snowing|sunny|cloudy|windy|foggy|freezing) | how\ (?:hot|cold|warm)\ is\ it
    | (?:will\ it|going\ to|gonna)\ (?:rain|snow) | (?:need|bring|take|carry)\ (?:an?\ |my\ )?(?:umbrella|raincoat)
    | (?<!network\ )traffic | news | headlines? | (?:what\ is|anything)\ (?:\w+\ )?on\ (?:tv|television)
    | (?:stock|share|bitcoin|crypto|gold|silver|oil|gas|petrol|fuel|house)\ prices?
    | prices?\ of\ (?:gold|silver|oil|gas|petrol|bitcoin|ether(?:eum)?|\w+\ (?:stock|shares?))
    | how\ much\ is\ (?:a\ |one\ )?(?:bitcoin|share) | (?:exchange|interest|mortgage|inflation|unemployment)\ rates?
    | trad(?:es|ing)\ at | (?:markets?|stocks?|economy)\ doing
    | (?:who|which\ \w+)\ (?:is|are)\ (?:winning|leading|ahead) | who\ (?:leads|tops)\ the
    | scores?\ (?:of|in|at)\ the\ (?:\w+\ ){0,3}(?:game|match) | (?:stocks?|shares)\ (?:up|down)
    | are\ there\ (?:any\ )?(?:delays|queues|outages|disruptions|strikes|cancellations)
    | what\ is\ the\ score(?=\s*\?*$) | who\ won\ the\ (?:game|match)
    | who\ is\ (?:the\ )?(?:(?!first|second|third|last|only|your|my|paying|voting|running)[\w']+\ ){0,2}
      (?:(?:vice\ )?president|(?:\w+\ )?minister|chancellor|ceo|governor|mayor|pope|(?:king|queen)(?!\ in\b)
      |champion|(?:record|title)\ holder|head\ of\ the
      |(?:richest|oldest|tallest|fastest)\ (?:\w+\ )?(?:person|man|woman)\b(?!\ ever))
      (?!\ in\ (?!the\b)\w+\ \w+\ )
    | who\ holds\ the\ (?:\w+\ )?record | who\ is\ hosting | which\ \w+\ is\ hosting
    | when\ (?:is|are|does|do)\ the\ next(?!\ (?:time|step))
    )\b""",
    re.VERBOSE,
)
_ADJECTIVE: Final = (
    r"(?:sunny|rainy|snowy|icy|cloudy|windy|foggy|stormy|humid"
    r"|freezing|chilly|overcast|hot|cold|warm|mild|wet|dry)"
)
_WEATHER: Final = re.compile(
    rf"\b(?:will it (?:be|get|stay|feel)|(?<!why )is it(?: going to be)?) (?:(?:too|very|really|that|so) )?{_ADJECTIVE}"
    r"(?: enough\b| outside\b| out\b| there\b| (?:in|on|at) \w+|\s*\?*$)"
    rf"|\bhow {_ADJECTIVE} (?:is|will|does|was) it\b"
    r"|\bwill (?:the )?(?:rain|snow|storm|fog|wind|heat) \w+|\bwill the sun (?:shine|come out|be out)"
    r"|\bwill it (?:stop|start) (?:rain|snow)ing|\bhow deep is the snow\b|\bhow many degrees is it\b"
    rf"|^(?:{_ADJECTIVE}|rain|snow|storms?) in \w+\W*$"
    r"|\b(?:is|are|any) (?:there )?(?:an? |any )?(?:snow|rain|fog|storms?|hurricanes?|typhoons?|heat ?waves?)"
    r" (?:coming|heading|expected|in|at|outside|on the way)\b"
    r"|\b(?:air quality|humidity|pollen count|uv index) (?:in|at|like|near)\b|\blike outside\b(?! of)"
    r"|\bhow is the (?:surf|snow|sea|visibility)\b"
    r"|(?<!how )\b(?:do|should|will) (?:i|we) (?:need|wear|bring|take|pack) (?:an? |my )?"
    r"(?:coat|jacket|sweater|jumper|sun ?screen)"
    r"(?: (?:in|outside)\b[^?]*)?\s*\?*$"
)
# How something stands: "is the shop open?", and not "is the shop open on Sundays?", "when are you open?".
_STATE: Final = re.compile(
    r"(?:^|[,.;:!?] )(?:hey |hi |so |and |please )?(?:is|are) (?:[\w'&.-]+ ){1,4}"
    r"(?:open|closed|blocked|busy|(?<!too )late|delayed|on time|down|up and running)\s*\?*$"
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
# "A litre of milk", "a dozen eggs".
_MEASURED: Final = (
    r"(?:an?|one|\d+|the|per)?\ ?(?:(?:lit(?:re|er)|kilo(?:gram)?|kg|gram|pint|gallon|barrel|ounce|oz|ton(?:ne)?"
    r"|pound|loaf|bottle|cup|pack|bag)s? of (?!water\b)|dozen |(?<=per )(?:lit(?:re|er)|kilo|kg|gallon|barrel|ounce)\b)"
)
# Of goods that anybody sells. "The price", "the price of shipping" and "of the basic plan" are the asked one's own.
_PRICE: Final = re.compile(
    r"(?:^|\bwhat (?:is|are) |\b(?:give|tell|show) (?:me|us) |\bknow )(?:the )?(?:\w+ ){0,2}prices? of "
    r"(?!(?:the|this|that|these|those|it|its|an?|your|our|my|their|each|every|one|all|any)\b"
    r"|(?:\w+ing|delivery|postage|returns?|entry|entrance|admission|membership|tickets?)\b)"
    r"|\bhow much (?:is|are|does|do) (?:the|an?) \w+ ?\d"
    rf"|\bhow much (?:is|are) {_GOODS}\s*\?*$|\b(?:how much|what) (?:does|do) {_GOODS} cost\s*\?*$"
    rf"|\b{_MONEY} to {_MONEY} rate\b"
    rf"|\bwhat would {_GOODS} cost\s*\?*$|\baverage (?:rent|wage|salary|house price)s? in\b"
    rf"|\bwhat (?!is|are|was|were|do|does|did){_GOODS} costs\s*\?*$"
    rf"|\b(?:is|are) {_GOODS} (?:cheaper|dearer|(?:more|less) expensive) in\b"
    rf"|\bhow much (?:is|are|for) {_MEASURED}|\bprices? (?:per|of|for) {_MEASURED}|\bcost of {_MEASURED}"
    rf"|\b{_MEASURED}[a-z ]{{0,30}}\b(?:costs?|worth|(?:go|goes|sells?) for)\s*\?*$"
    r"|\bhow much (?:is|are) (?:an? |the )?(?:\w+ )?(?:flights?|hotels?|rents?)\b"
    r"|\bcheapest (?:\w+ )?(?:phones?|laptops?|tablets?|cars?|flights?|hotels?|tvs?|petrol|fuel)\b"
    r"|\bhow much (?:is|are|does|do|would|will) (?:an? )?(?:new |used )?(?:iphone|ipad|macbook|playstation|xbox)s?\b"
    r"(?: \w+)? ?(?:cost|be)?\s*\?*$"
)
_WHERE: Final = r"(?: (?:in|at|from|per|a) \w[\w ]{0,25})?\W*$"
_PRICE_OF_A_NAME: Final = re.compile(
    r"\b[Hh]ow much (?:(?:is|are)(?=(?: [\w'\u2019.-]+){1,5}\s*\?*$)|(?:does|do)(?=.{1,60} cost"
    rf"{_WHERE}))"
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
    rf"{_ASKING_FOR_IT}(?:the )?{_NAMED}(?:'s|\u2019s)? (?:retail |street )?(?:price|cost)s?{_WHERE}"
    rf"|\b[Pp]rices? (?:of|for) {_NAMED}\W*$|\b[Cc]ost of {_NAMED}{_WHERE}"
    rf"|\b[Hh]ow much (?:for|(?:do|does|would|will) (?:I|you|one) (?:pay|spend) for) {_NAMED}{_WHERE}"
    rf"|\b[Hh]ow much (?:does|do|would|will) {_NAMED} (?:cost|go for|sell for){_WHERE}"
    rf"|^[Pp]rice {_NAMED}\W*$|\b[Ww]hat (?:is|are) {_NAMED} worth\W*$|^{_NAMED}: price\W*$"
    rf"|\b[Hh]ow (?:expensive|dear|cheap) (?:is|are) {_NAMED}{_WHERE}"
    rf"|\b[Ww]hat (?:does|do|would|will) {_NAMED} (?:cost(?: me| us)?|go for|sell for){_WHERE}"
)
_NEWS_OF_A_NAME: Final = re.compile(
    r"\b[Ww]ho (?:runs|leads|heads|coaches|manages|owns|chairs|captains) (?:the )?[A-Z]"
    r"|(?:^|[.!?,] )[Dd]id (?:the )?[A-Z]\w+(?: [A-Z]\w+)? (?:win|lose|draw|score)\W*$"
)
# What is told of in a work is not so just now.
_OF_A_WORK: Final = re.compile(
    r"\bin (?:the|an?|this|that|my) (?:\w+ )?(?:novel|book|film|movie|story|play|poem|song)\b"
)
# What is somebody's own, or wanted anew each time.
_OWN: Final = re.compile(
    r"""\b(?:
      where\ (?:is|are)\ my\ MINE | when\ (?:will|does|is|do|are)\ my\ MINE | (?:has|have)\ my\ MINE
    | (?:did|is)\ my\ MINE\ (?:arrive|ship|come|late|delayed|on\ (?:time|its\ way)|here|ready
        |coming|shipped|lost|cancell?ed)
    | (?:status\ of|news\ (?:on|of|about))\ my\ MINE | (?<!how\ do\ i\ )(?<!how\ to\ )(?<!how\ can\ i\ )track\ my\ MINE
    | my\ balance | how\ much\ (?:money\ )?do\ i\ have\ (?:in|on|left)
    | (?:random|another|new)\ (?:number|uuid|password|joke) | roll\ (?:a\ |the\ )?(?:dice|die)
    )\b""".replace(
        "MINE",
        r"(?:\w+\ )?(?:orders?|parcels?|packages?|delivery|refund|flight|train|bus|luggage|baggage|shipment)",
    ),
    re.VERBOSE,
)


# One of these is in whatever the patterns match, and most prompts have none: that is seen thirty times faster.
_HINTS: Final = frozenset(
    word.encode()
    for word in (
        "now today tonight tomorrow yesterday nowadays currently moment present days far recent recently lately "
        "latest newest date live current hour morning afternoon evening night week weekend month quarter season year "
        "monday tuesday wednesday thursday friday saturday sunday train bus flight time day weeks ago old still "
        "weather forecast forecasts temperature raining snowing rain snow traffic news headline headlines price "
        "prices bitcoin share rate rates winning leading ahead score scores won president minister chancellor ceo "
        "king queen pope mayor champion order parcel package delivery refund balance random another new dice hot cold "
        "warm sunny cloudy windy foggy freezing umbrella raincoat tv television trades trading doing leads tops next "
        "open closed late delayed down running much cost costs expensive dear cheap go sell pay spend die rainy snowy "
        "icy stormy humid chilly overcast mild wet dry sun fog wind heat storm storms hurricane hurricanes humidity "
        "degrees average typhoon typhoons heatwave heatwaves wave waves air pollen uv outside surf sea visibility "
        "coat jacket sweater jumper sunscreen cheaper dearer cheapest worth goes sells governor holder head richest "
        "oldest tallest fastest holds hosting stocks stock shares delays queues outages disruptions strikes "
        "cancellations blocked busy orders parcels packages luggage baggage shipment have runs heads coaches manages "
        "owns chairs captains win lose draw euro euros dollar dollars pound pounds yen yuan rupee rupees peso pesos "
        "franc francs rouble roubles ruble rubles usd eur gbp jpy inr cny chf"
    ).split()
)
# All other bytes become blanks: so words are found three times faster than by a pattern.
_ONLY_LETTERS: Final = bytes(
    byte if byte in b"abcdefghijklmnopqrstuvwxyz" else ord(" ") for byte in range(256)
)
# Written out before the patterns are asked. What it begins with is sought first, which takes a tenth of the time.
_IS_SHORT: Final = re.compile(r"'s\b(?:(?<=\bwho's|\bhow's)|(?<=\bwhat's|\bwhen's)|(?<=\bwhere's))")
# A pattern looks through so many characters in one go, in which the interpreter does nothing else; what it finds is no
# longer than the second, unless it is a question up to the text's end.
_PIECE: Final = 8_192
_LONGEST: Final = 1_024
# Of a longer prompt, so much of its beginning and of its end is read: what is asked stands before or behind a document,
# and all of one of 1 MB would take more than a second.
_MOST_OF_AN_END: Final = 32_768
_ALWAYS: Final = (_NOW, _STATE, _OWN)
_PATTERNS: Final = (_FEEDS, _WEATHER, _WORTH, _PRICE)
_OF_NAMES: Final = (_PRICE_OF_A_NAME, _PRICE_OF_A_PRODUCT, _NEWS_OF_A_NAME)  # as it is written


def is_time_dependent(prompt: str) -> bool:
    if len(prompt) > 2 * _MOST_OF_AN_END:
        prompt = f"{prompt[:_MOST_OF_AN_END]}\n{prompt[-_MOST_OF_AN_END:]}"
    low = _lower(prompt)
    if _HINTS.isdisjoint(low.encode("utf-8", "surrogatepass").translate(_ONLY_LETTERS).split()):
        return False
    low = _IS_SHORT.sub(" is", low)
    if any(_is_in(low, each) for each in _ALWAYS):
        return True
    if _is_in(low, _OF_A_WORK):
        return False
    return any(_is_in(low, each) for each in _PATTERNS) or any(_is_in(prompt, each) for each in _OF_NAMES)


def _is_in(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether it is found, in pieces where the text is long, so that other threads have their turn in between."""
    for start in range(0, len(text), _PIECE):
        at, end = start, start + _PIECE + _LONGEST
        while (found := pattern.search(text, at, end)) is not None:
            # The end of a piece passes for that of the text.
            if end >= len(text) or pattern.match(text, found.start()):
                return True
            at = found.start() + 1
    return False


def _lower(text: str) -> str:
    return text.lower().replace("’", "'")
