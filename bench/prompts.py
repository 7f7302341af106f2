"""What is asked in the benches: one request of about 1 kB, questions to be remembered, as many others that mean the
same, and questions that nobody has asked. All made up, since what the cache is judged by is nobody's to give away.
"""

import json
from collections.abc import Iterator
from itertools import cycle, product
from typing import Final

_VERBS: Final = "clean repair store sell order paint move insure return replace".split()
_THINGS: Final = (
    "lamp bicycle carpet piano tent kettle curtain ladder printer mattress saddle mirror "
    "drill canoe heater microscope stroller telescope aquarium fridge"
).split()
_WORDINGS: Final = (
    "How can I {}?", "How would I {}?", "How does one {}?", "What is the way to {}?",
    "Could you tell me how to {}?", "Please explain how to {}.", "I want to know how to {}.",
    "Tell me how to {}.", "Can you explain how I {}?", "What steps do I take to {}?", "Hi, how can I {}?",
    "Hello, how do I {}?", "how do i {} please", "Please tell me how I can {}.",
)  # fmt: skip
_PLACES: Final = (
    "Lisbon Oslo Cairo Lima Quito Hanoi Perth Dakar Turin Malmo Kyoto Izmir Leeds Tampa Accra Basel Minsk Delhi Porto "
    "Bergen Austin Warsaw Nairobi Havana Bogota Prague Dublin Athens Vienna Geneva"
).split()
_WHENS: Final = "spring summer autumn winter Ramadan Easter Lent Advent Passover Diwali".split()
_DEEDS: Final = [f"{verb} a {thing}" for thing, verb in product(_THINGS, _VERBS)]

ONE: Final = "Tell me about lighthouses. " * 35  # a body of about 1 kB
REMEMBERED: Final = [f"How do I {deed}?" for deed in _DEEDS]


def body(prompt: str, **more: object) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": prompt}], **more}).encode()


def paraphrases() -> Iterator[str]:
    """Of what is remembered, over and over, but none again before 2,800 others."""
    return cycle([wording.format(deed) for wording, deed in product(_WORDINGS, _DEEDS)])


def unheard() -> Iterator[str]:
    """60,000 that differ from each other, and from what is remembered, in what they are about."""
    for when, deed, place in product(_WHENS, _DEEDS, _PLACES):
        yield f"How do people in {place} {deed} during {when}?"


def mixed() -> Iterator[str]:
    """Of 100, 34 asked before, 11 that mean the same as one asked before, and 55 that nobody has asked: what an audit
    of production found to be repeated, and to be within reach of a cache by meaning. In a fixed order without runs.
    """
    new, same, alike = unheard(), cycle(REMEMBERED), paraphrases()
    kinds = [(number * 37) % 100 for number in range(100)]
    for kind in cycle(kinds):
        yield next(same) if kind < 34 else next(alike) if kind < 45 else next(new)
