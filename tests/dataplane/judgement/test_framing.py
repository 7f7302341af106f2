"""The small words by which one and the same thing is asked about."""

import pytest

from tollway_dataplane.judgement.framing import framed_otherwise
from tollway_dataplane.prompts.reading import read

DIFFER = [
    ("Who is the CEO of Nokia?", "Who was the CEO of Nokia?", "tenses differ: present ≠ past"),
    ("Where will the games be held?", "Where were the games held?", "tenses differ: future ≠ past"),
    ("When does the pump start?", "How does the pump start?", "what is asked for differs: when ≠ how"),
    ("Why is the sky blue?", "How is the sky blue?", "what is asked for differs: why ≠ how"),
    ("How come the pump starts?", "How does the pump start?", "what is asked for differs: why ≠ how"),
    ("What happens before the audit?", "What happens until the audit?", "times differ: before ≠ until"),
    ("What may I eat during the fast?", "What may I eat after the fast?", "times differ: during ≠ after"),
    ("Why do few people vote?", "Why do a few people vote?", "quantifiers differ: few ≠ a few"),
    ("Is every mammal warm-blooded?", "Is one mammal warm-blooded?", "quantifiers differ: all ≠ one"),
    ("Do all states have a sales tax?", "Do most states have a sales tax?", "quantifiers differ: all ≠ most"),
    ("Do most dogs like water?", "Do some dogs like water?", "quantifiers differ: most ≠ some"),
    ("Do many birds migrate?", "Do most birds migrate?", "quantifiers differ: many ≠ most"),
    ("Is every mammal warm-blooded?", "Is a mammal warm-blooded?", "quantifiers differ: all ≠ one"),
    ("How do I rename each file?", "How do I rename a file?", "quantifiers differ: all ≠ one"),
    ("Explain rain in one sentence", "Explain rain in a paragraph", "lengths differ: sentence ≠ paragraph"),
    ("Explain rain in one sentence", "Explain rain in detail", "lengths differ: sentence ≠ long"),
    ("Explain rain in one sentence", "Explain rain", "lengths differ: sentence ≠ none"),
    ("Briefly explain rain", "Explain rain in depth", "lengths differ: short ≠ long"),
    (
        "Explain rain in simple terms",
        "Explain rain in technical terms",
        "registers differ: plain ≠ technical",
    ),
    ("Explain rain like I'm five", "Explain rain technically", "registers differ: plain ≠ technical"),
    (
        "Explain how rain forms to a child",
        "Explain how rain forms to an expert",
        "audiences differ: child ≠ expert",
    ),
    ("Explain rain for a beginner", "Explain rain", "audiences differ: beginner ≠ none"),
    ("Is either of them open?", "Are both of them open?", "quantifiers differ: either ≠ both"),
    ("Benefits for people over 65", "Benefits for people aged 65", "bounds differ: more ≠ none"),
    ("Flights under $300 to Rome", "Flights at least $300 to Rome", "bounds differ: less ≠ more"),
    ("How do I give blood?", "How do I get blood?", "what is done differs: give ≠ get"),
    ("Dosage of semaglutide", "Dosage of semaglutine", "names differ: semaglutide ≠ semaglutine"),
]
DIFFER += [
    (
        f"{word} did the bridge collapse?",
        "Did the bridge collapse?",
        f"what is asked for differs: {word.lower()} ≠ whether",
    )
    for word in ("Why", "When", "Where")
]
_JOINED = {
    "cause": ("because of", "due to"),
    "concession": ("despite", "in spite of", "regardless of"),
    "replacement": ("instead of", "rather than"),
}
DIFFER += [
    (f"Is it loud {one} rain?", f"Is it loud {other} rain?", f"connectives differ: {mine} ≠ {yours}")
    for mine, ones in _JOINED.items()
    for yours, others in _JOINED.items()
    for one in ones
    for other in others
    if mine != yours
]
DIFFER += [
    ("Is it shut because it rains?", "Is it shut if it rains?", "connectives differ: cause ≠ condition"),
    ("Add salt and sugar", "Add salt instead of sugar", "connectives differ: addition ≠ replacement"),
]
DIFFER += [
    (
        f"Should I take it every {span}?",
        f"Should I take it every other {span}?",
        "quantifiers differ: regularly ≠ alternately",
    )
    for span in ("day", "week", "month")
]
AGREE = [
    ("May I join even if I live abroad?", "May I join if I live abroad?"),
    ("Where can I see it?", "Can I see it?"),
    ("Is it shut because of snow?", "Is it shut due to snow?"),
    ("Is it every other day?", "Is it every second day?"),
    ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
    ("What is the way to reset a password?", "How do I reset a password?"),
    ("How long does it take?", "When does it end?"),
    ("Could you tell me how to reset it?", "How do I reset it?"),
    ("Will you explain how it works?", "How does it work?"),
    ("Benefits for about 65 people", "Benefits for 65 people"),
    ("Give me the list of ports", "Get the list of ports"),
    ("Why was my last parcel returned?", "What is the reason that a delivery comes back to its sender?"),
    ("Show all open tickets", "Show every open ticket"),
    ("Where are all the lighthouses?", "Where are the lighthouses?"),
    ("Take it every day", "Take it a day"),
    ("Is there an egg in it?", "Is there one egg in it?"),
    ("Briefly summarise the letter", "Give a summary of the letter"),
    ("Explain rain in simple terms", "Give a simple explanation of rain"),
    ("Define rain in one line", "Define rain in one sentence"),
    ("Explain rain to a child", "Explain rain for kids"),
    ("Explain the way to Rome", "Explain how to get to Rome"),
    ("How do I recieve a parcel?", "How do I receive a parcel?"),
    ("Preprocess the scans", "Start preprocessing the scans"),
]


@pytest.mark.parametrize(("one", "other", "said"), DIFFER)
def test_what_changes_the_answer_is_named(one: str, other: str, said: str) -> None:
    assert framed_otherwise(read(one), read(other)) == said
    assert framed_otherwise(read(other), read(one)) != ""


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_what_is_another_way_to_say_the_same_is_let_pass(one: str, other: str) -> None:
    assert framed_otherwise(read(one), read(other)) == ""
