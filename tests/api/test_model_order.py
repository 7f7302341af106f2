"""Which of a policy's models the router chooses from: by price, and never one that costs more and is no better."""

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.catalog import bundled
from tollway_api.compiler import compile_snapshot
from tollway_api.inventory import parse_inventory
from tollway_api.model_order import steps, worth_their_price
from tollway_api.problems import Problem, ProblemReason
from tollway_api.reach import OWN
from tollway_api.routing_policy import Canary, Model, Pricing

SETUP = Setup("http://a/v1", "http://b/v1")


def model(name: str, price: str, quality: str | None = None) -> Model:
    return Model(name=name, model="openai/own", pricing=Pricing(input=price, output=price), quality=quality)


def problems_of(setup: Setup) -> list[Problem]:
    inventory, problems = parse_inventory(setup.objects())
    return [*problems, *compile_snapshot(inventory, bundled(), "default", reach=OWN).problems]


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ([model("b", "2"), model("a", "1"), model("c", "3")], ["a", "b", "c"]),
        ([model("a", "1", "0.7"), model("b", "2", "0.5"), model("c", "3", "0.9")], ["a", "c"]),
        ([model("dear", "2", "0.5"), model("good", "1", "0.6")], ["good"]),
        ([model("a", "1", "0.5"), model("b", "2", "0.5")], ["a"]),
        ([model("a", "1", "0.5"), model("b", "1", "0.6")], ["b"]),
        ([model("a", "1", "0.9"), model("unsaid", "2"), model("c", "3", "0.9")], ["a", "unsaid"]),
    ],
    ids=[
        "by price",
        "a dearer one that is worse",
        "the better one is cheaper",
        "no better",
        "same price",
        "unsaid",
    ],
)
def test_a_model_that_costs_more_is_chosen_from_only_where_it_may_be_better(
    models: list[Model], names: list[str]
) -> None:
    assert worth_their_price(models, bundled()) == names


def test_what_is_tried_out_is_never_chosen_from_whatever_it_costs() -> None:
    trial = {"canary": Canary(of="a", share="5%")}
    models = [
        model("a", "1"),
        model("cheapest", "0.5", "0.9").model_copy(update=trial),
        model("b", "2", "0.5"),
        model("dearest", "3").model_copy(update=trial),
    ]
    assert worth_their_price(models, bundled()) == ["a", "b"]


def test_a_prompt_counts_three_times_an_answer() -> None:
    """As in most chats: of these two the second is dearer by its answers and cheaper on the whole."""
    models = [
        Model(name="a", model="openai/own", pricing=Pricing(input="2", output="3")),
        Model(name="b", model="openai/own", pricing=Pricing(input="1", output="5")),
    ]
    assert worth_their_price(models, bundled()) == ["b", "a"]


def test_where_the_better_model_is_the_cheaper_one_it_answers_everything() -> None:
    setup = SETUP.but(cheap_model={"quality": "0.7"}, rich_model={"quality": "0.6"})
    route = compiled(setup.objects()).policies[0].route
    assert (route.simple, route.complex) == ("cheap", "cheap")


@pytest.mark.parametrize(
    ("simple", "hard", "field"),
    [("cheap", "rich", "spec.route.complexModel"), ("rich", "cheap", "spec.route.simpleModel")],
)
def test_who_names_a_dearer_model_that_is_said_to_be_no_better_is_told(
    simple: str, hard: str, field: str
) -> None:
    route = {"simpleModel": simple, "complexModel": hard}
    setup = SETUP.but(cheap_model={"quality": "0.7"}, rich_model={"quality": "0.7"}, policy={"route": route})
    (problem,) = [each for each in problems_of(setup) if each.field.startswith("spec.route")]
    assert (problem.field, problem.reason) == (field, ProblemReason.INVALID)
    assert "'rich' costs no less than 'cheap' and is said to be no better (0.7 to 0.7)" in problem.message


@pytest.mark.parametrize(
    ("route", "quality", "share"),
    [
        ({"complexity": {"classifier": "Embedding"}}, 0.95, None),
        ({"complexity": {"classifier": "Embedding"}, "quality": "90%"}, 0.9, None),
        ({"complexity": {"classifier": "Embedding"}, "simpleShare": "60%"}, None, 0.6),
        ({}, None, None),
    ],
    ids=["as it comes", "quality", "share", "by words"],
)
def test_the_dial_has_one_position_where_there_is_a_probability(
    route: dict[str, object], quality: float | None, share: float | None
) -> None:
    found = compiled(SETUP.but(policy={"route": route}).objects()).policies[0].route
    assert (found.quality, found.simple_share) == (quality, share)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (
            {"complexity": {"classifier": "Embedding"}, "quality": "90%", "simpleShare": "60%"},
            "give one of them",
        ),
        ({"quality": "90%"}, "write complexity: {classifier: Embedding}"),
        ({"complexity": {"examples": {"simple": ["Hi"]}}}, "write classifier: Embedding"),
    ],
)
def test_what_needs_a_probability_is_refused_without_one(route: dict[str, object], message: str) -> None:
    problems = problems_of(SETUP.but(policy={"route": route}))
    assert any(message in each.message for each in problems)


THREE = [model("a", "1", "0.5"), model("b", "2", "0.7"), model("c", "6", "0.8")]


def test_between_two_models_another_mends_as_much_as_it_closes_of_their_gap() -> None:
    first, second = steps(THREE, "a", "c", bundled())
    assert (first.model, first.shortfall) == ("a", 1.0)
    assert (second.model, second.reach) == ("b", 1.0)
    assert second.shortfall == pytest.approx(1 / 3, abs=1e-6)
    # From a to b two thirds cost 4 more, from b to c a third costs 16 more.
    assert first.reach == pytest.approx((4 / (2 / 3)) / (16 / (1 / 3)))


@pytest.mark.parametrize(
    ("models", "simple", "hard"),
    [
        (THREE[:2], "a", "b"),
        ([THREE[0], model("b", "2"), THREE[2]], "a", "c"),
        ([model("a", "1"), *THREE[1:]], "a", "c"),
        ([THREE[0], model("b", "4", "0.6"), THREE[2]], "a", "c"),
        ([*THREE, model("d", "9", "0.6")], "a", "d"),
        (THREE, "c", "a"),
    ],
    ids=["two", "unsaid between", "unsaid", "above the hull", "dominated", "upside down"],
)
def test_there_are_no_steps_where_nothing_between_is_worth_it_or_nothing_is_said(
    models: list[Model], simple: str, hard: str
) -> None:
    assert steps(models, simple, hard, bundled()) == ()


@pytest.mark.parametrize(
    ("route", "count"),
    [
        ({}, 2),
        ({"simpleModel": "a"}, 2),
        ({"simpleModel": "a", "complexModel": "c"}, 0),
        ({"simpleShare": "50%"}, 0),
    ],
    ids=["all", "one named", "both named", "a share"],
)
def test_models_between_are_chosen_from_by_quality_unless_both_ends_are_named(
    route: dict[str, object], count: int
) -> None:
    models = [
        {
            "name": name,
            "model": "openai/own",
            "endpoint": "http://a/v1",
            "pricing": {"input": price, "output": price},
            "quality": quality,
        }
        for name, price, quality in (("a", "1", "0.5"), ("b", "2", "0.7"), ("c", "6", "0.8"))
    ]
    route = {"complexity": {"classifier": "Embedding"}, **route}
    found = compiled(SETUP.but(policy={"route": route, "models": models}).objects()).policies[0].route
    assert len(found.steps) == count
