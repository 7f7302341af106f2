"""What is said in a chat for politeness alone: a turn of nothing else changes no answer. Yes, no, okay and their like
are none of it, since they may answer what was asked. Pure; called by `identity` and `conversation`.
"""

import re
from typing import Final

from tollway_dataplane.core.facts import Turn
from tollway_dataplane.prompts.reading import Reading

# Left out where two turns are compared word by word.
_POLITE_WORDS: Final = frozenset(
    "hi hello hey hiya heya thanks thank please cheers haha ha lol oh ah ooh".split()
)
_SAID_POLITELY: Final = re.compile(rf"[\s,]*\b(?:{'|'.join(_POLITE_WORDS)})\b[,!]*", re.IGNORECASE)
_BOTH: Final = (
    r"hi|hello|hey|hiya|heya|there|all|good (?:morning|afternoon|evening|day)|how are you(?: doing)?(?: today)?"
    r"|(?:many )?thanks?(?: you)?(?: so much| very much| a lot| a bunch)?|cheers|ta|nice to meet you|bye"
    r"|goodbye|see you"
    r"|(?:that's |that is )?(?:really |very )?(?:great|lovely|perfect|brilliant|awesome|cool|nice|helpful)|lol|haha|ha"
    r"|for (?:your|the) help|and|again"
)
_ASSISTANTS: Final = (
    r"you're (?:very )?welcome|welcome|no (?:problem|worries)|my pleasure|any ?time|of course"
    r"|(?:happy|glad) (?:to help|i could help|it helped|to hear that)"
    r"|(?:how|what) (?:can|may|could) i (?:help|assist|do)(?: you)?(?: with| for you)?(?: today)?"
    r"|(?:is there )?anything else(?: i can (?:help|do)(?: you)?(?: with| for you)?)?(?: today)?"
    r"|thanks for (?:reaching out|getting in touch|contacting us)"
    r"|have a (?:good|nice|great|lovely) (?:day|one|evening|weekend)"
)
_NOTHING_ELSE: Final = {
    "user": re.compile(rf"\W*(?:(?:{_BOTH})\b\W*)+"),
    "assistant": re.compile(rf"\W*(?:(?:{_BOTH}|{_ASSISTANTS})\b\W*)+"),
}
_LONGEST: Final = 120  # characters, of one that is nothing else


def is_pleasantry(turn: Turn) -> bool:
    if len(turn.text) > _LONGEST:
        return False
    return _NOTHING_ELSE[turn.role].fullmatch(turn.text.casefold().replace("’", "'")) is not None


def is_polite(low: str) -> bool:
    """Whether a word is said for politeness."""
    return low in _POLITE_WORDS


def without_politeness(reading: Reading) -> tuple[str, ...]:
    """The words of a turn, in lower case; all of them where there are no others."""
    return tuple(word for word in reading.low if word not in _POLITE_WORDS) or reading.low


def impolite(text: str) -> str:
    """A text without the words that are said for politeness, and without the signs that go with them."""
    return _SAID_POLITELY.sub(" ", text)
