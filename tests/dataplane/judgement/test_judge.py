"""The verdict on a pair, by the judge that ships and the encoder it was trained with."""

import json
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from tests.views import ViewOf
from tollway_api import wire
from tollway_dataplane.core.decision import CacheReason
from tollway_dataplane.judgement.judge import Judge, shipped, shown_probability


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the price?", "What is the price of gold?"),
        ("How do I feed a cat?", "How do I feed a parrot?"),
        ("What time does the museum open?", "What time does the museum cafe open?"),
        ("Who won the final?", "Who won the semi-final?"),
        ("Write a poem about autumn rain", "Write a story about autumn rain"),
        ("What should I feed a puppy?", "What should I feed an old dog?"),
        ('What does "it" stand for?', "What does it stand for?"),
        ('What does "polish" mean?', 'What does "Polish" mean?'),
        ("Correct this: Man eating chicken", "Correct this: Man-eating chicken"),
        ("What is on 4 May?", "What is on 5th May?"),
    ],
)
def test_a_near_question_is_refused(view: ViewOf, one: str, other: str) -> None:
    assert not shipped().verdict(view(one), view(other)).serves
    assert not shipped().verdict(view(other), view(one)).serves


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can i reset my password"),
        ("How do I reset my password?", "Hi, how do I reset my password? Thanks"),
        ("What is the capital of Norway?", "Norway's capital is what?"),
        ("How do I cancel my gym membership?", "In the app, how do I cancel my gym membership?"),
        ("Where is the nearest shop?", "Where is the closest shop?"),
        ('Who wrote "Dune"?', "Who wrote Dune?"),
        ("Is the shop open on 4 May?", "Is the shop open on May 4th?"),
    ],
)
def test_the_same_question_is_served(view: ViewOf, one: str, other: str) -> None:
    verdict = shipped().verdict(view(one), view(other))
    assert verdict.serves, verdict


def test_the_order_of_two_prompts_does_not_matter(view: ViewOf) -> None:
    one, other = view("How do I feed a cat?"), view("What do cats eat?")
    assert shipped().probability(one, other) == pytest.approx(shipped().probability(other, one))


def test_what_only_one_prompt_says_is_named(view: ViewOf) -> None:
    verdict = shipped().verdict(view("What is the price?"), view("What is the price of gold?"))
    assert verdict.reason is CacheReason.BELOW_THRESHOLD
    assert "gold" in verdict.explanation


@pytest.mark.parametrize(
    "text",
    [
        "Wie hoch ist der Preis von Gold in diesem Jahr?",
        "def f(x): return {x * 2}",
        "今天天气怎么样",
        "word " * 400,
    ],
    ids=["German", "code", "Chinese", "very long"],
)
def test_what_the_judge_was_not_made_for_is_left_to_exact_hits(view: ViewOf, text: str) -> None:
    other = view(text.replace("Gold", "Silber") + " now")
    assert shipped().verdict(view(text), other).reason is CacheReason.NOT_JUDGED


def test_weights_of_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match="other features"):
        Judge.parse(json.dumps({"features": ["cosine"]}))


def test_the_map_that_ships_is_near_the_identity() -> None:
    adapter = shipped().adapter
    assert float(np.abs(adapter - np.eye(len(adapter))).max()) < 1


def test_the_weights_are_those_by_which_labels_are_told_apart() -> None:
    """Or the labels of hits by the weights before would count for these."""
    text = (files("tollway_dataplane.judgement") / "judge.json").read_text(encoding="utf-8")
    assert wire.fingerprint((text,)) == wire.JUDGE_WEIGHTS, "as tools/train_judge.py says"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which is heavier, gold or lead?", "Which is lighter, gold or lead?"),
        ("Is a fox faster than a dog?", "Is a fox slower than a dog?"),
        ("Why are some rivers older than others?", "Why are some rivers younger than others?"),
        ("Is a fox nearer than a dog?", "Is a fox farther than a dog?"),
        ("Is a fox safer than a dog?", "Is a fox riskier than a dog?"),
        ("Which fan is the quietest?", "Which fan is the loudest?"),
        ("How do I sharpen it?", "How do I blunt it?"),
        ("Can I do that temporarily?", "Can I do that permanently?"),
        ("How do I cancel a debit card payment?", "How do I cancel a credit card payment?"),
    ],
)
def test_opposites_are_told_apart_in_all_their_forms(view: ViewOf, one: str, other: str) -> None:
    verdict = shipped().verdict(view(one), view(other))
    assert verdict.reason is CacheReason.OPPOSITES
    assert shipped().verdict(view(other), view(one)).reason is CacheReason.OPPOSITES


def test_in_another_language_only_the_very_same_is_served(view: ViewOf) -> None:
    one, other = view("Comment activer le mode avion ?"), view("Comment désactiver le mode avion ?")
    assert shipped().verdict(one, other).reason is CacheReason.NOT_JUDGED
    assert shipped().verdict(one, one).serves


@pytest.mark.parametrize(
    "text",
    [
        "Er sagt, sie kommt nicht mit",
        "Il dit que Marie, ma sœur, est partie",
        "Vamos a comer, niños",
        "Hij zegt, zij gaat niet mee",
    ],
    ids=["German", "French", "Spanish", "Dutch"],
)
@pytest.mark.parametrize(
    "altered",
    [
        lambda text: text.replace(",", ""),
        lambda text: text.replace(" ", ", ", 1),
        str.lower,
        str.upper,
        lambda text: text + "?",
    ],
    ids=["no comma", "a comma more", "small", "capital", "asked"],
)
def test_in_another_language_signs_and_capitals_count(
    view: ViewOf, text: str, altered: Callable[[str], str]
) -> None:
    verdict = shipped().verdict(view(text), view(altered(text)))
    assert not verdict.serves
    assert verdict.probability == 0
    assert shipped().verdict(view(text), view(text)).serves


def test_a_probability_is_never_shown_as_more_than_it_is() -> None:
    shown = {
        0.97996: "0.9799",
        0.98: "0.9800",
        0.98004: "0.9800",
        1.0: "1.0000",
        0.0: "0.0000",
        2e-7: "0.0000",
    }
    assert {each: shown_probability(each) for each in shown} == shown
