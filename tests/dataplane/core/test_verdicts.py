"""What a model's reply says of two answers, where it was asked for one word."""

import pytest

from tollway_dataplane.core.verdicts import says_yes


@pytest.mark.parametrize(
    "reply",
    [
        "yes",
        "Yes.",
        "**Yes**",
        "__YES__\n",
        '"yes"',
        "Yes, it does",
        "Yes, A and B give the same price.",
        "Yes, exactly.",
        "yes – both say that the reset is under Settings.",  # noqa: RUF001 - as models write it
        "Yes, there is no difference.",
        "Yes. They do not differ in substance.",
        "Yes; only the wording differs.",
        "Yes because both name the same page.",
        "Answer: yes",
        "The answer is **yes**.",
        "<think>The amounts differ? No, they are the same.</think>\n\nYes",
        "Yes\n\nBoth answers give the same three steps.",
        "Yes, it would.",
        "Yes, B serves the user just as well.",
        "Yes, it answers the question.",
        "Yes, both name Paris",
        "Yes, they are identical. Both say 3 days.",
        "Yes, since they agree.",
    ],
)
def test_what_plainly_says_yes_is_understood(reply: str) -> None:
    assert says_yes(reply) is True


@pytest.mark.parametrize(
    "reply",
    [
        "no",
        " **NO** \n",
        '"no"',
        "No, they differ",
        "No, since the amounts differ.",
        "No - A is about Lyon, B about Nice",
        "No, they do not say the same.",
        "No: the same topic, another number is wrong",
        "no they contradict each other",
        "Verdict: No.",
        "<think>Yes, at first sight.</think>No",
    ],
)
def test_what_plainly_says_no_is_understood(reply: str) -> None:
    assert says_yes(reply) is False


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes and no",
        "Yes and no.",
        "Yes / no",
        "yes or no",
        "Yes, no",
        "No. Yes.",
        "Yes. No, wait: the amounts differ.",
        "Yes, but A leaves out the fee.",
        "No, but close enough.",
        "Yes, they differ.",
        "Yes, apart from the date",
        "Yes, nearly",
        "Yes, for the most part",
        "Yes (A says 3, B says 5)",
        "Yes: A would mislead the user",
        "Yes, they are roughly the same",
        "Yes, if the date is right",
        "Yes\n\nBoth are nearly the same.",
        "Yes, A is wrong about the date.",
        "Yes, it leaves out the date",
        "Yes, it says Berlin instead of Paris",
        "Yes, it does to some extent",
        "Yes, it is about another city",
        "Yes, it adds a fee",
        "Yes, both name Paris, while A names the year",
        "Yes, if the user means Paris",
        "Yes, it says Berlin",
        "Yes, because it says Berlin",
        "Yes, they are the same. B leaves out the fee.",
        "Yes. B is older",
        "Yes, the second is shorter and has another date",
        "Yes, I think so",
        "Yes, it does. It names Berlin.",
        "Yes, it serves as well as Berlin would",
        "Yes, A doesn't say how.",
        "No, both are the same.",
        "No, it partly answers.",
        "No difference.",
        "No one is served by either.",
        "Yesterday",
        "yes-men say so",
        "Not really",
        "not no",
        "maybe",
        "It depends. Yes for some.",
        "I would say yes",
        "Ja",
        "<think>Yes, it seems",
        "A: yes, B: no",
        "Yes — unless the fee has changed",
        "In principle, yes",
        *(
            f"Yes, {kind} {reserve}"
            for kind in ("they do,", "both name Paris,", "they are the same,")
            for reserve in (
                "in principle",
                "in theory",
                "technically",
                "in general",
                "in essence",
                "on the whole",
                "more or less",
                "unless it rains",
                "so long as it is May",
                "assuming that A is right",
                "on condition that it is paid",
                "subject to the date",
                "once it is paid",
                "only on weekdays",
                "provided it is May",
                "given the context",
            )
        ),
        "Yes, both are on the same topic",
        "Yes, both miss the point",
        "Yes, they overlap",
        "Yes, they broadly agree",
        "1",
    ],
)
def test_what_says_neither_or_both_or_takes_it_back_is_no_label(reply: str) -> None:
    assert says_yes(reply) is None
