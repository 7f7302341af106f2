"""What the judge looks at in two prompts."""

from itertools import combinations

import pytest

from tests.views import ViewOf
from tollway_dataplane.judgement.judge import View
from tollway_dataplane.judgement.pair_features import NAMES, features


def named(ours: View, theirs: View) -> dict[str, float]:
    found = features(
        ours.reading, theirs.reading, ours.words, theirs.words, float(ours.vector @ theirs.vector)
    )
    return dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "Can I change the password of my account?"),
        ("Remove the hot water, not the cold one", "Keep the water"),
        ("Send 20 dollars to Ann in Paris", "Ann wants 30 euros sent from Rome to Paris on Monday"),
        ("Is a slow train cheaper than a bus?", "Is a fast bus dearer than slower buses?"),
        ("How?", "What is the best way to grow tomatoes indoors?"),
        ("Do I lock it?", "Is it me?"),
        ("Does the table have a schema, the schema of columns?", "The schema has columns and a table"),
        ("Is a bus as good as two buses?", "How good is a bus?"),
        ("The hot, the warm and the cold tap", "A cold drink"),
        ("Compare 3, 3 and 5", "Compare 3, 5 and 5"),
    ],
)
def test_swapping_two_prompts_changes_no_feature(view: ViewOf, one: str, other: str) -> None:
    forth, back = named(view(one), view(other)), named(view(other), view(one))
    assert forth == pytest.approx(back, abs=1e-6)


PROMPTS = (
    "Compare the red bus, the blue bus and two buses",
    "Is the bus blue, or are both buses red?",
    "Turn the hot tap off, not the cold one",
    "Keep the cold tap on and the other taps closed",
    "Send 20, 20 and 30 dollars to Ann and then to Bob",
    "Has Bob sent Ann a few thousand dollars or 30?",
    "Who was George H. W. Bush, and who was George W. Bush?",
    "The the the",
    "Which of my accounts has an accout number on 5 May?",
    "Is every account numbr one of my numbers?",
)


def test_of_any_two_prompts_no_feature_hangs_on_which_comes_first(view: ViewOf) -> None:
    views = [view(prompt) for prompt in PROMPTS]
    for one, other in combinations(views, 2):
        assert named(one, other) == pytest.approx(named(other, one), abs=1e-9), one.reading.text
