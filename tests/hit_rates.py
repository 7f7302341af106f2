"""What a constant load of paraphrases finds, in its worst stretch and not only on average. Each is worded in many ways,
since one that misses is remembered itself, and says nothing of the index any more when it is asked again.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

HITS: Final = ("Exact", "Semantic")
_WORDINGS: Final = (
    "How can I reset my {}?", "How could I reset my {}?", "How should I reset my {}?", "How would I reset my {}?",
    "How to reset my {}?", "Please, how do I reset my {}?", "Please, how can I reset my {}?",
    "How do I reset my {}, please?", "How can I reset my {}, please?", "Tell me how to reset my {}",
    "Tell me how I can reset my {}", "What is the way to reset my {}?", "Hi, how do I reset my {}?",
    "Hi, how can I reset my {}?", "Hello, how do I reset my {}?", "Hello, how can I reset my {}?",
    "How do I go about resetting my {}?", "In what way can I reset my {}?", "I want to know how to reset my {}",
    "Can you tell me how to reset my {}?", "Could you tell me how to reset my {}?", "Show me how to reset my {}",
    "Please tell me how to reset my {}", "Please show me how to reset my {}",
)  # fmt: skip


def paraphrase(things: Sequence[str], number: int) -> str:
    """Of "How do I reset my …?", for one thing after the other, and then in other words."""
    return _WORDINGS[number // len(things) % len(_WORDINGS)].format(things[number % len(things)])


def least_share(reasons: Sequence[str], stretch: int) -> float:
    """Of hits, in the worst of all stretches of so many look-ups in a row; of all, where there are fewer."""
    stretch = max(1, min(stretch, len(reasons)))
    sums = [0, *accumulate(reason in HITS for reason in reasons)]
    return min((end - begin for begin, end in zip(sums, sums[stretch:], strict=False)), default=0) / stretch
