"""Whether a prompt is simple, by either classifier."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.own_weights import OwnWeights, write
from tollway_api.snapshot import Route
from tollway_dataplane.core.decision import RouteReason
from tollway_dataplane.core.facts import ChatRequest
from tollway_dataplane.routing.complexity import Examples, Prompt, embedding, heuristic, prompts_of, texts_of
from tollway_dataplane.routing.router import shipped

SETUP = Setup("http://a/v1", "http://b/v1")
AXIS = np.eye(384, dtype=np.float32)


def route(**fields: object) -> Route:
    return compiled(SETUP.but(policy={"route": fields}).objects()).policies[0].route


BY_WORDS, BY_SHARE = route(), route(complexity={"classifier": "Embedding"}, simpleShare="50%")


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("What is a fjord?", RouteReason.SIMPLE),
        ("word " * 50, RouteReason.SIMPLE),
        ("word " * 51, RouteReason.MANY_WORDS),
        ("Please EXPLAIN why.", RouteReason.KEYWORD),
        ("Compare: A, B", RouteReason.KEYWORD),
        ("The comparer analyzed it", RouteReason.SIMPLE),
        ("", RouteReason.SIMPLE),
        ("a-" * 100_000, RouteReason.MANY_WORDS),
    ],
)
def test_many_words_and_some_words_make_a_prompt_hard(prompt: str, reason: RouteReason) -> None:
    assert heuristic(BY_WORDS).assess(Prompt(prompt)).reason is reason


def test_from_the_threshold_on_the_simple_model_answers() -> None:
    classifier = embedding(BY_SHARE, shipped())
    found = [
        classifier.assess(Prompt(text, AXIS[0]))
        for text in ("Hi", "Prove it: " + "2 + 2 = 4, and so on. " * 60)
    ]
    assert [each.reason for each in found] == [RouteReason.SIMPLE, RouteReason.COMPLEX]
    for each in found:
        assert each.probability is not None
        assert each.is_simple == (each.probability >= classifier.thresholds[0])


def test_own_weights_decide_and_their_dial_is_read() -> None:
    own = OwnWeights(300, 1.0, 0.0, (0.0,) * 62, ((0.75, 0.5, 1.0), (0.25, 1.0, 0.9)))
    usual = embedding(BY_SHARE, shipped())
    fitted = embedding(replace(BY_SHARE, weights=write(own)), shipped())
    assert fitted.thresholds == pytest.approx((0.75,), abs=1e-4)
    found = fitted.assess(Prompt("Hi", AXIS[0]))
    assert found.has_own_weights
    assert found.probability == pytest.approx(usual.assess(Prompt("Hi", AXIS[0])).probability)


@pytest.mark.parametrize(
    "weights",
    ["w1.0123456789ab.AAAA", write(OwnWeights(1, 1.0, 0.0, (0.0,), ()))],
    ids=["another version", "too few"],
)
def test_where_own_weights_do_not_fit_the_shipped_model_decides_and_that_is_said(weights: str) -> None:
    usual, found = (
        embedding(each, shipped()).assess(Prompt("Hi", AXIS[0]))
        for each in (BY_SHARE, replace(BY_SHARE, weights=weights))
    )
    assert found == replace(usual, has_own_weights=False)


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ((0.0, 0.0), (RouteReason.SIMPLE, 0, 0.0)),
        ((1.01, 0.0), (RouteReason.MIDDLE, 1, 0.0)),
        ((1.01, 1.01), (RouteReason.COMPLEX, 2, 1.01)),
    ],
)
def test_the_first_of_several_models_that_is_likely_enough_answers(
    thresholds: tuple[float, ...], expected: tuple[RouteReason, int, float]
) -> None:
    classifier = replace(embedding(BY_SHARE, shipped()), thresholds=thresholds)
    found = classifier.assess(Prompt("Hi", AXIS[0]))
    assert (found.reason, found.step, found.threshold) == expected


def test_a_prompt_without_a_vector_is_told_by_words_and_says_so() -> None:
    found = embedding(BY_SHARE, shipped()).assess(Prompt("Please explain why."))
    assert (found.reason, found.was_embedded, found.probability) == (RouteReason.KEYWORD, False, None)


@pytest.mark.parametrize(
    ("thresholds", "by_words"),
    [
        ((1.01,), (RouteReason.COMPLEX, RouteReason.KEYWORD)),
        ((0.0,), (RouteReason.SIMPLE, RouteReason.SIMPLE)),
        ((1.01, 0.5), (RouteReason.MIDDLE, RouteReason.KEYWORD)),
        ((0.9, 0.0), (RouteReason.SIMPLE, RouteReason.MIDDLE)),
        ((1.01, 1.01), (RouteReason.COMPLEX, RouteReason.KEYWORD)),
    ],
)
def test_words_give_no_model_what_the_dial_never_does_and_take_none_what_it_always_has(
    thresholds: tuple[float, ...], by_words: tuple[RouteReason, RouteReason]
) -> None:
    classifier = replace(embedding(BY_SHARE, shipped()), thresholds=thresholds)
    found = [classifier.assess(Prompt(text)) for text in ("What is a fjord?", "Please explain why.")]
    assert tuple(each.reason for each in found) == by_words
    assert all(each.step == 1 for each in found if each.reason is RouteReason.MIDDLE)


@pytest.mark.parametrize("threshold", [1.01, 0.001, 0.0])
@pytest.mark.parametrize("if_unknown", [False, True])
def test_where_a_dial_moves_a_prompt_without_a_vector_is_what_is_said_of_those_wherever_it_stands(
    threshold: float, *, if_unknown: bool
) -> None:
    found = embedding(BY_SHARE, shipped()).assess(Prompt("What is a fjord?"))
    found = found.at(threshold, if_unknown=if_unknown)
    assert (found.is_simple, found.was_embedded) == (if_unknown, False)


@pytest.mark.parametrize(
    "more", [{"has_tools": True}, {"is_structured": True}, {"turns": 1}], ids=["tools", "a form", "a chat"]
)
def test_less_is_left_to_the_simple_model(more: dict[str, Any]) -> None:
    classifier = embedding(BY_SHARE, shipped())
    plain, other = Prompt("What is a fjord?", AXIS[0]), Prompt("What is a fjord?", AXIS[0], **more)
    assert classifier.probability(plain, AXIS[0]) > classifier.probability(other, AXIS[0])


def test_an_example_decides_of_itself_and_hardly_of_what_is_unlike_it() -> None:
    examples = Examples.of([AXIS[0]], [AXIS[1]])
    assert examples.beside(0.2, AXIS[0]) > 0.9
    assert examples.beside(0.9, AXIS[1]) < 0.1
    assert examples.beside(0.9, AXIS[2]) == pytest.approx(0.9, abs=0.01)


def test_examples_may_be_of_one_kind_alone() -> None:
    assert Examples.of([], [AXIS[0]]).beside(0.9, AXIS[0]) < 0.1


def test_a_classifier_by_probability_wants_a_dial() -> None:
    with pytest.raises(ValueError, match="quality or a share"):
        embedding(BY_WORDS, shipped())


@pytest.mark.parametrize(
    ("messages", "parameters", "found"),
    [
        ([{"role": "user", "content": "Hi"}], {}, (0, False, False)),
        ([{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}], {}, (0, False, False)),
        (
            [
                {"role": "user", "content": "A"},
                {"role": "assistant", "content": "B"},
                {"role": "user", "content": "Hi"},
            ],
            {},
            (2, False, False),
        ),
        ([{"role": "user", "content": "Hi"}], {"tools": [{}]}, (0, True, False)),
        ([{"role": "user", "content": "Hi"}], {"response_format": {"type": "json_object"}}, (0, False, True)),
        ([{"role": "user", "content": "Hi"}], {"response_format": {"type": "text"}}, (0, False, False)),
    ],
    ids=["plain", "instructed", "a chat", "tools", "json", "text"],
)
def test_a_request_is_seen_with_its_turns_tools_and_form(
    messages: list[dict[str, Any]], parameters: dict[str, Any], found: tuple[int, bool, bool]
) -> None:
    prompt = prompts_of(ChatRequest("r", "auto", messages, parameters, prompt="Hi"))[-1]
    assert (prompt.turns, prompt.has_tools, prompt.is_structured) == found


def test_of_parts_all_texts_are_read() -> None:
    parts = [{"type": "text", "text": "What"}, {"type": "image_url"}, {"type": "text", "text": "is this?"}]
    request = ChatRequest("r", "auto", [{"role": "user", "content": parts}])
    assert prompts_of(request)[0].text.split() == ["What", "is", "this?"]


def test_an_earlier_turn_is_seen_as_it_was_when_it_was_the_last() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "compare and explain"}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "One?\r\n"},
        *(called, result),
        {"role": "assistant", "content": "It is."},
        {"role": "user", "content": [{"type": "text", "text": "Two?"}]},
        *(called, result),
    ]
    for count, turns in ((2, 1), (4, 1), (6, 2), (8, 2)):
        found = prompts_of(ChatRequest("r", "auto", messages[:count]))
        assert [(each.text, each.turns) for each in found] == [("One?", 0), ("Two?", 3)][:turns]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([{"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}], ("A", 0)),
        ([{"role": "assistant", "content": "A"}, {"role": "tool", "content": "T"}], ("T", 1)),
        ([], ("", 0)),
    ],
)
def test_without_a_user_it_is_the_last_message_that_counts(
    messages: list[dict[str, Any]], found: tuple[str, int]
) -> None:
    request = ChatRequest("r", "auto", messages)
    (prompt,) = prompts_of(request)
    assert (prompt.text, prompt.turns) == found
    assert texts_of(request) == [prompt.text]


@pytest.mark.parametrize(
    "text",
    ["  Hi.\r\n", "one  two\tthree \n four five", "Entree\u0301?", "Entr\u00e9e?", " ", "entre\u0301e now"],
)
def test_words_are_the_same_as_written_and_as_the_cache_reads_them(text: str) -> None:
    request = ChatRequest("r", "auto", [{"role": "user", "content": text}])
    told = heuristic(replace(BY_WORDS, word_threshold=4, keywords=("entr\u00e9e",)))
    assert [told.of(each) for each in texts_of(request)] == [
        told.assess(each) for each in prompts_of(request)
    ]
