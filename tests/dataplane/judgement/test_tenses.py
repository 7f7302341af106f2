"""When what is done is done, over made-up sentences: each verb in each of the times that its forms tell."""

from itertools import product

import pytest

from tollway_dataplane.judgement.tenses import tenses_differ
from tollway_dataplane.prompts.reading import read

# Of a verb's forms: plain, past, participle, with -ing.
_DONE = ("the server {past}", "did it {plain}", "the server has {participle}", "it was {ing}")
_NOT_DONE = ("the server {plain}s", "does it {plain}", "it is {ing}", "it will {plain}", "it'll {plain}")
_VERBS = [
    ("crash", "crashed", "crashed", "crashing"),
    ("break", "broke", "broken", "breaking"),
    ("restart", "restarted", "restarted", "restarting"),
    ("fall over", "fell over", "fallen over", "falling over"),
]
_SENTENCES = ["What should I check, {} again?", "My boss says that {}", "{}, who pays?"]


def _said(way: str, verb: tuple[str, ...]) -> str:
    plain, past, participle, ing = verb
    first, _, rest = plain.partition(" ")
    written = way.replace("{plain}s", f"{first}{'es' if first.endswith('sh') else 's'} {rest}".strip())
    return written.format(plain=plain, past=past, participle=participle, ing=ing)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sentence.format(_said(one, verb)), sentence.format(_said(other, verb)))
        for sentence, verb in product(_SENTENCES, _VERBS)
        for one, other in product(_DONE, _NOT_DONE)
    ],
)
def test_what_is_done_is_not_what_was_done(one: str, other: str) -> None:
    """Nor what will be, in whatever form either is said."""
    assert tenses_differ(read(one), read(other))
    assert tenses_differ(read(other), read(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I sold my house, what tax do I owe?", "I am selling my house, what tax do I owe?"),
        ("I have lost my card, what now?", "I had lost my card, what now?"),
        ("I used to smoke, can I get life insurance?", "I smoke, can I get life insurance?"),
        ("My landlord raised the rent", "My landlord raises the rent"),
        ("Close my account", "I closed my account"),
        ("Do you deliver to my street?", "Did you deliver to my street?"),
        ("The train that leaves at noon", "The train that left at noon"),
        ("Has my refund been sent?", "Will my refund be sent?"),
        ("My parcel was lost, what now?", "My parcel will be lost, what now?"),
        ("I've been charged a fee, who pays it?", "I'll be charged a fee, who pays it?"),
        ("The road has been closed", "The road had been closed"),
    ],
)
def test_the_forms_of_a_verb_tell(one: str, other: str) -> None:
    """Also with who acts before it alone, and in an order."""
    assert tenses_differ(read(one), read(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I lost my card", "I have lost my card"),
        ("I lost my card", "I had lost my card"),
        ("What do I do if I lose my card?", "What do I do if I have lost my card?"),
        ("How did photosynthesis evolve?", "How has photosynthesis evolved?"),
        ("Which cards do you support?", "Which are the supported cards?"),
        ("A list of the cards that are supported", "A list of the cards that you support"),
        ("Emails sent by Ann", "The emails Ann sends"),
        ("How do I boil eggs?", "How do I make boiled eggs?"),
        ("Your exchange rates come from where?", "Where did your exchange rates come from?"),
        ("I see a $1 charge", "I was charged $1"),
        ("A cash deposit is missing", "I deposited cash and it is missing"),
        ("Freeze my account", "I'd like my account frozen"),
        ("A function that validates addresses", "A function that is used to validate addresses"),
        ("I cut my finger, what now?", "I have cut my finger, what now?"),
        ("How do I reset it?", "How to reset it?"),
        ("Has my refund been sent?", "Was my refund sent?"),
        ("Has my card been blocked?", "Is my card blocked?"),
        ("What if my card has been blocked?", "What if my card will be blocked?"),
        ("Can it be mended?", "Is it being mended?"),
        ("Why am I being charged?", "Why was I charged?"),
    ],
)
def test_nothing_is_said_where_the_forms_do_not_tell(one: str, other: str) -> None:
    """One and the same thing is told in several forms, and a noun or what has been done to a thing is no tense."""
    assert not tenses_differ(read(one), read(other))
    assert not tenses_differ(read(other), read(one))
