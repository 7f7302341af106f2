"""A report says of each round's ratio, of what a request costs, and of where answers came from."""

from xml.etree import ElementTree as ET

from bench.comparison import Found, Ratio, as_brief, as_markdown, picture, summary
from bench.load import Burst
from bench.report import spread, told_anew


def found(rate: float, cpu_s: float = 0.2, lone: int = 50, sources: dict[str, float] | None = None) -> Found:
    crowd, one = Burst(rate, 1.0, 2.0, 3.0, 200, 0), Burst(rate, 0.5, 0.6, 0.7, lone, 0)
    return Found(crowd, one, cpu_s, 0.0, 100.0, sources or {})


FOUND = {
    "pass-through": [found(1_000.0), found(500.0)],
    "Tollway live": [
        found(600.0, sources={"live": 90.0}),
        found(400.0, cpu_s=0.4, sources={"live": 9.0, "exact": 1.0}),
    ],
    "LiteLLM Proxy live": [found(10.0, lone=0), found(8.0, lone=0)],
}
ORIGIN = {"commit": "abc", "machine": "one", "command": "bench", "when": "today", "busy": 0.1}
REPORT = {**ORIGIN, **summary(FOUND)}


def test_ratios_are_taken_within_a_round() -> None:
    assert REPORT["ratios"] == {
        "Tollway live / pass-through": {"min": 0.6, "median": 0.7, "max": 0.8},
        "Tollway live / LiteLLM Proxy live": {"min": 50.0, "median": 55.0, "max": 60.0},
    }


def test_what_a_request_costs_and_where_answers_came_from_is_over_all_rounds() -> None:
    case = summary(FOUND)["cases"]["Tollway live"]
    assert case["cpu_ms"] == spread([1.0, 2.0])
    assert case["sources"] == {"live": 0.99, "exact": 0.01}


def test_a_lone_caller_whom_nobody_answered_in_time_has_no_time() -> None:
    cases = summary(FOUND)["cases"]
    assert "lone_p50_ms" not in cases["LiteLLM Proxy live"]
    assert cases["Tollway live"]["lone_p50_ms"]["median"] == 0.5


def test_the_page_says_which_goals_are_met() -> None:
    page = as_markdown(REPORT)
    assert "| Tollway live / pass-through | 0.7 (0.6 to 0.8) | ≥ 0.6, met |" in page
    assert "| Tollway live | 500 (400 to 600) |" in page


def test_a_picture_is_drawn_of_what_was_measured() -> None:
    said = ET.fromstring(picture(summary(FOUND)["cases"])).itertext()  # noqa: S314 - we have just drawn it
    assert {"Tollway live", "500"} <= set(said)


def test_what_readers_are_told_is_put_in_its_place_again_and_again() -> None:
    page = "before\n<!-- one -->\nold\n<!-- end of one -->\n<!-- two -->\n<!-- end of two -->\n"
    brief = as_brief(REPORT)
    once = told_anew(page, "one", brief)
    assert once == page.replace("old\n", brief) == told_anew(once, "one", brief)
    assert "| Tollway live | 500 | 3 | 0.5 | 1.5 | 100 |" in brief


def test_what_one_caller_waits_has_a_goal_of_at_most() -> None:
    waited = Ratio("Tollway semantic", "encoder alone", most=1.3)
    assert waited.of(found(100.0), found(200.0)) == 1.0, "not of their rates"
    assert (waited.goal(1.3), waited.goal(1.31)) == ("≤ 1.3, met", "≤ 1.3, missed")
    assert Ratio("Tollway live", "pass-through", least=0.6).goal(0.59) == "≥ 0.6, missed"
    assert Ratio("Tollway mixed", "pass-through").goal(0.1) == ""
