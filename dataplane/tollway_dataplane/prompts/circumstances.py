"""What a turn more, or a turn left out, may change although no fact is exchanged for another: somebody says what they
are, corrects what they said, or says how they want to be answered; and prompts to which any of that matters. English
patterns, erring towards "it matters". Pure; called by what compares chats, and by `cacheability`.
"""

import re
from typing import Final

# How to answer from now on, anywhere or at the head of a clause.
_MANNER: Final = re.compile(
    r"\b(?:from now on|for the rest of|step by step|like i(?:'m| am) (?:five|\d+|an?)"
    r"|in (?:simple|plain) (?:terms|words|english)|in (?:english|french|german|spanish|italian|portuguese|dutch|polish"
    r"|russian|chinese|japanese|korean|arabic|hindi|turkish))\b"
)
_CLAUSE: Final = re.compile(r"[.!?,;:\n]+")
_STANDING: Final = re.compile(
    r"\W*(?:(?:please|also|and|but|ok|okay|so|now|just|(?:can|could) you)\W+)*"
    r"(answer|reply|respond|speak|talk to me|act (?:as|like)|pretend|imagine|role-?play|ignore|disregard|assume|suppose"
    r"|explain|translate|call me|keep|be (?:brief|short|concise|funny|honest|polite|formal)|use (?!the\b)|write"
    r"|you are (?:an?|now|my))\b"
)
_CORRECTION: Final = re.compile(
    r"\b(?:i meant|make (?:it|that)|scratch that|forget (?:it|that)|correction|on second thoughts?|changed my mind"
    r"|change (?:it|that) to|no wait|not \w+ but|instead(?! of)|actually"
    r"|(?<!'d )(?<!would )rather(?! than)|switch(?:ed)? to|plans? changed"
    r"|(?:take|took) (?:it|that) back|(?:is|are|was|were) wrong|my mistake)\b"
    r"|^\W*no\W+(?:the|an?|make|not|(?:this|that) one)\b|\w\W+sorry\W*$"
)
# What is said in passing, and changes nothing.
_LAUGH: Final = r"(?:haha|ha|lol|wow|oh|phew|yay|well|ok|okay|great)"
_IN_PASSING: Final = re.compile(
    rf"\W*(?:{_LAUGH}\W+)*(?:what (?:an?|lovely|nice|great|awful|terrible|beautiful)(?: \w+){{1,5}}"
    r"|(?:(?:i|we|they|my \w+)(?:'m| am|'re| are| is)? )?(?:(?:so|really|very|just) )*"
    r"(?:can't wait|cannot wait|excited|thrilled|delighted|looking forward to it)"
    r"|sorry to (?:bother|trouble) you(?: again)?|sorry|no (?:rush|worries|hurry)|take your time"
    r"|i see|got it|makes sense|good to know|understood|fair enough|(?:i )?thought so|never mind|fingers crossed"
    rf"|true|right|cool|fine|sure|sound|morning|maybe(?: another time)?|{_LAUGH})(?: then| thanks)?\W*(?:lol|haha)?\W*"
)
_WHO: Final = r"\b(?:i|we|he|she|they)"
_BEING: Final = re.compile(
    r"\b(?:i|we)(?:'m| am|'re| are) (?:(?:also|actually|only|not|still|just|already) )*"
    r"(?:an?|\d+|over|under|pregnant|allergic|vegan|vegetarian|diabetic|disabled|retired|unemployed|blind|deaf|married"
    r"|divorced)\b"
)
# Who asks about what is theirs tells that they have it.
_OWNING: Final = re.compile(r"\b(?:my|our|i'm|i am|we're|we are|i've|i have|we have)\b")
_OF_ONESELF: Final = re.compile(r"\bi(?:'ve|'m| am| have)\b")
_FIRST_PERSON: Final = re.compile(r"\b(?:i|my|me|we|our|us)\b")
# Advice: anything that was told may matter.
_ADVICE: Final = re.compile(
    r"\b(?:suggest|recommend|should|which|options?|best|good|advice|ideas?|better"
    r"|what (?:do|can|shall|would) (?:i|we|you))\b"
)
# Permission and duty: it matters who asks.
_LEAVE: Final = re.compile(
    r"\b(?<!how )(?:can|may|could|am) (?:i|we)\b"
    r"|\b(?:is|are) (?:it|this|that|they|there) (?:safe|ok|okay|worth|possible|allowed)\b"
    r"|\b(?:do|will) (?:i|we) (?:qualify|need|have to)\b"
)
_HAVING: Final = re.compile(
    r"\b(?:i|we)(?:'ve got| have(?: got)?| own| need| want| will be|'ll be) (?:an?|the|no|in|two|three|\d+)\b"
)
_STATE: Final = re.compile(
    rf"{_WHO}(?:'m| am|'re| are|'s| is)\b|{_WHO}(?:'ve| have| has) (?:an?|no|the|got|been|two|three|\d+)\b"
    r"|\bmy \w+(?:'s| is| has)\b"
    rf"|{_WHO} (?:take|took|live|work|use|want|need|hate|like|prefer|can't|cannot)\b"
)
# What is asked of the chat itself.
_LOOKING_BACK: Final = re.compile(
    r"\b(?:so far|everything|recap|summar\w+|earlier|previous(?:ly)?|we (?:talked|discussed|said|spoke)"
    r"|did (?:i|we|you) (?:say|tell|ask|mention|talk|discuss)|(?:you|i) (?:said|told|mentioned|asked)"
    r"|what i (?:said|told)|remember|conversation|chat|messages?)\b"
)
_ASKING: Final = re.compile(
    r"\?\s*$|^\W*(?:(?:and|so|but|also|ok|okay|oh|hi|hello|hey|then|sorry|thanks)\W+)*"
    r"(?:can|could|do|does|is|are|will|would|should|how"
    r"|what(?! (?:an?|lovely|nice|great|awful|terrible|beautiful)\b)|when|where|which|who|why)\b"
)


def standing_wish(plain: str) -> str:
    """What says how to answer from now on, "" when nothing does. `plain` is a text in lower case, here and below."""
    found = _MANNER.search(plain)
    if found:
        return found.group()
    clauses = map(_STANDING.match, _CLAUSE.split(plain))
    return next((clause.group(1).strip() for clause in clauses if clause), "")


def corrects(plain: str) -> bool:
    return _CORRECTION.search(plain) is not None


def says_what_one_is(plain: str) -> bool:
    """ "I'm a student", "we are over 60": that may matter to any answer."""
    return _BEING.search(plain) is not None


def says_what_one_has(plain: str) -> bool:
    """ "I have a trailer", "we'll be in a wheelchair": that may matter where the question leaves room."""
    return _HAVING.search(plain) is not None and not asks(plain)


def asks(plain: str) -> bool:
    return _ASKING.search(plain) is not None


def says_how_things_are(plain: str) -> bool:
    """ "I have a cat", "she's ill"."""
    return _STATE.search(plain) is not None


def tells_of_oneself(plain: str) -> bool:
    """A statement, not a question, in the first person."""
    return _FIRST_PERSON.search(plain) is not None and not asks(plain)


def speaks_of_own(plain: str) -> bool:
    """ "Do you also insure my dog?": a question that tells something."""
    return _OWNING.search(plain) is not None


def tells_with_a_question(plain: str) -> bool:
    """ "I've turned 65, do I get it for less?": what is said of oneself beside what is asked."""
    return _OF_ONESELF.search(plain) is not None


def is_in_passing(plain: str) -> bool:
    """ "What a mess!", "we can't wait": about nothing that is asked."""
    return _IN_PASSING.fullmatch(plain) is not None


def wants_advice(plain: str) -> bool:
    return _ADVICE.search(plain) is not None


def wants_leave(plain: str) -> bool:
    return _LEAVE.search(plain) is not None


def looks_back(plain: str) -> bool:
    return _LOOKING_BACK.search(plain) is not None
