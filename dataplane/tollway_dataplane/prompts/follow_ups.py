"""Whether a message of a chat says something only together with what its user asked before: "And in Oslo?", "is it the
same in Bergen?", "could you tell me for silver?". Then it asks for what that asked for, and depends on time as that
does. English, erring towards "yes". Pure; called by `cacheability`.
"""

import re
from typing import Final

from tollway_dataplane.prompts.everyday_words import FUNCTION
from tollway_dataplane.prompts.reading import Reading, read_again
from tollway_dataplane.prompts.self_contained import topics

# What leads to a fragment, words that make it a sentence or an answer of its own, and how long it is at most.
_LEADING: Final = re.compile(
    r"^\W*(?:(?:and|or|ok|okay|so|then|also|thanks|thank you|cool|great|what about|how about"
    r"|(?:what|how)(?:'s| is) (?:it|that)(?: like)?)\b\W*)*"
)
_SAYING: Final = frozenset(
    "am is are was were be do does did can could will would shall should may might must have has had go get let make "
    "i i'm i'd i'll i've we you it it's that's how when where why who which what what's yes yeah yep no nope sure "
    "please both neither".split()
)
_ORDER: Final = re.compile(
    r"(?:explain|translate|summari[sz]e|write|name|list|describe|define|compare|calculate|solve|draw|draft|create|tell"
    r"|generate|count|convert|give|show|find|recommend|suggest|outline) \S"
)
_MOST_IN_A_FRAGMENT: Final = 5  # words
_MOST_COMPARED: Final = 2  # words: what is compared, and how it is
_LONGEST: Final = 80  # characters of a fragment
_LONGEST_SENTENCE: Final = 160  # characters; what is longer says what it is about
# What stands for something said before. "That" also joins clauses, "this" may point to what is pasted behind it.
_POINTING: Final = re.compile(
    r"\b(?:it(?:'s|'ll)?|those|they(?:'re)?|them|there(?<!is there)(?<!are there)|same|elsewhere|instead"
    r"|(?:that|this|which|the other|the first|the second|the next|the last|another|any) one|ones|the others?"
    r"|that(?:'s|(?= (?:is|was|will|would|in|for|at|on|too|as well|the|true|right|so)\b)|(?=\W*$))"
    r"|(?:about|like|than|for|with|of|is|was|does|did|will) (?:that|this)(?= (?:in|for|at|on)\b|\W*$))\b"
)
_POSSESSIVE_AT_END: Final = re.compile(r"\w's\W*$")
# What points back where there is hardly anything else: "is Bergen warmer?", "does silver rise too?".
_COMPARING: Final = re.compile(
    r"\b(?:also|too|as well|still|again|then|(?:gone|going|go) (?:up|down)"
    r"|(?:dear|nic|sunni|warm|cold|hott|cool|wett|dri|high|low|cheap|fast|slow|larg|small|bigg)er"
    r"|better|worse|more|less|different|similar)\b(?!.*\bthan\b)"
)
# Of what a question before it has asked after: "is Rome hot?", "what is Bergen like?".
_HOW_IT_IS: Final = re.compile(
    r"^(?:and |so )?(?:(?:is|will|was) (?:\w+ ){1,2}(?:be )?"
    r"(?:sunny|rainy|snowy|cloudy|windy|foggy|humid|hot|cold|warm|wet|dry)"
    r"|what(?: is|'s) \w+(?: \w+)? like|how is it looking in \w+|who (?:runs|leads|owns|heads) \w+)\W*$"
)
_OF_ITS_OWN: Final = re.compile(r"\b(?:who|where|why|what)(?:'s|'re| is| are| was| were)\b|\babout\b")
_FOR_WHICH: Final = frozenset("for in at on of near from to by with around".split())
# What is asked of the one who answers, and not about anything.
_ASKING: Final = frozenset(
    "check compare repeat redo do tell say show know try answer list add include run calculate convert update mean yes "
    "yeah yep no nope sure please".split()
)


def leans_back(message: str) -> bool:
    if is_fragment(message):
        return True
    if len(message) > _LONGEST_SENTENCE:
        return False
    reading = read_again(message)
    if _POINTING.search(reading.plain) or _HOW_IT_IS.search(reading.plain):
        return True
    own = topics(reading) - reading.names - reading.calendar - _ASKING
    if len(own) <= _MOST_COMPARED and (
        _COMPARING.search(reading.plain) or _POSSESSIVE_AT_END.search(reading.plain)
    ):
        return True
    return not _OF_ITS_OWN.search(reading.plain) and all(
        _is_complement(reading, i) for i in reading.content if reading.lemmas[i] in own
    )


def _is_complement(reading: Reading, place: int) -> bool:
    """Whether a word says only for which, or where: "for silver", "in the north"."""
    while place and reading.low[place - 1] not in FUNCTION:
        place -= 1
    before = [low for low in reading.low[:place] if low not in {"the", "a", "an", "my", "our"}]
    return bool(before) and before[-1] in _FOR_WHICH


def is_fragment(message: str) -> bool:
    """Whether it says nothing by itself and only something else for a part of what was asked before it: "And in Oslo?",
    "what about tomorrow".
    """
    if len(message) > _LONGEST:
        return False
    text = _LEADING.sub("", message.lower().replace("’", "'"))
    words = re.findall(r"[\w'.-]+", text)
    return not _ORDER.match(text) and len(words) <= _MOST_IN_A_FRAGMENT and _SAYING.isdisjoint(words)
