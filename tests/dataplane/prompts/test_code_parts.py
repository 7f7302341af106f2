"""What counts as code in a prompt, and which differences in it are ones."""

import pytest

from tollway_dataplane.judgement.spelling import spelled_otherwise
from tollway_dataplane.judgement.turn_pairs import edited
from tollway_dataplane.prompts.code_parts import code_parts, coded_otherwise
from tollway_dataplane.prompts.reading import read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the same words, and signs that stand otherwise among them
        ("What does xs[2:] give?", "What does xs[:2] give?"),
        ("What does xs[low:] give?", "What does xs[:low] give?"),
        ("What does *q mean in Go?", "What does q* mean in Go?"),
        ("What does .+ match?", "What does +. match?"),
        ("What does \\w*? match?", "What does \\w?* match?"),
        ("What does ?x match", "What does x? match"),
        ("What does :q do in vim?", "What does q: do in vim?"),
        ("What is (p + q) / r?", "What is p + (q / r)?"),
        ("What is (p || q) && r?", "What is p || (q && r)?"),
        ("Is not (p and q) true?", "Is (not p) and q true?"),
        ("What is (start + end) * 2?", "What is start + (end * 2)?"),
        ("What is log(a)/b?", "What is log(a/b)?"),
        ("Does &str differ?", "Does str& differ?"),
        ("What does x,y mean?", "What does x;y mean?"),
        ("Explain char *s;", "Explain char s*;"),
        ("```\ny = xs[2:]\n```\nWhat is y?", "```\ny = xs[:2]\n```\nWhat is y?"),
        ("Explain `foo(Bar)`", "Explain `foo(bar)`"),
        # operands in another order
        ("What does g(x, y) return?", "What does g(y, x) return?"),
        ("What does pow(base, exp) give?", "What does pow(exp, base) give?"),
        ("What does mv p q do?", "What does mv q p do?"),
        ("What does cp a b do?", "What does cp b a do?"),
        ("What does x - y print?", "What does y - x print?"),
        ("What is select a from b?", "What is select b from a?"),
        ("What does ps | grep do?", "What does grep | ps do?"),
        ("Does p imply q?", "Does q imply p?"),
        # worded otherwise as well
        ("What is the result of f(g(x))?", "What does g(f(x)) give?"),
        ("Say what `a - b` is", "What is `b - a`?"),
    ],
)
def test_code_is_the_same_only_sign_by_sign(one: str, other: str) -> None:
    assert spelled_otherwise(read(one), read(other)) != ""
    assert spelled_otherwise(read(other), read(one)) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How does f(x, y) work?", "how does f(x,y) work"),
        ("What does the `ls -l` command do?", "What is the `ls -l` command for?"),
        ("What does // mean in Python?", "What does // do in Python?"),
        ("How do I use C++ vectors?", "how do i use c++ vectors"),
        ("What is the difference between x and y?", "What is the difference between y and x?"),
        ("Is B or C better?", "Is C or B better?"),
        ("Which option(s) do I have?", "which option(s) do i have"),
        ("What's R&D?", "what is r&d"),
        ("Spain and/or Portugal?", "spain and/or portugal"),
        ("I paid twice (5 dollars each)", "I paid twice, 5 dollars each"),
        ("Open 9am-5pm?", "open 9am-5pm"),
        ("Is a cat a good pet for me?", "For me, is a cat a good pet?"),
        ("What % of people vote?", "what % of people vote"),
    ],
)
def test_prose_with_a_sign_in_it_is_prose(one: str, other: str) -> None:
    assert coded_otherwise(read(one), read(other)) == ""
    assert coded_otherwise(read(other), read(one)) == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("How do I block a card?", ()),
        ("Is (a + b) * c more than f(x, y)?", ("( a + b ) * c", "f ( x , y )")),
        ("Is `x` here (see a[1])?", ("x", "a [ 1 ]")),
        ("Is that so (a/b)?", ("a / b",)),
        ("- p = q", ("p = q",)),
        ("Is P + Q more?", ("p + q",)),
        ("Is !p or not q true?", ("! p or not q",)),
        ("x(", ("x (",)),
    ],
)
def test_parts_are_found_within_prose(text: str, parts: tuple[str, ...]) -> None:
    assert code_parts(read(text)) == parts


def test_lines_of_code_in_other_words_are_left_to_who_judges_no_code() -> None:
    one, other = read("def f(x): return {x * 2}"), read("def f(x): return {x * 2} now")
    assert coded_otherwise(one, other) == ""


def test_an_earlier_turn_with_other_code_is_another() -> None:
    assert edited(read("I call xs[2:] in it"), read("I call xs[:2] in it")) != ""
    assert edited(read("I call g(x, y) in it"), read("I call g(y, x) in it")) != ""


def test_what_differs_is_named() -> None:
    one, other = read("What do xs[2:] and f(x) give?"), read("What do xs[:2] and f(x) give?")
    assert coded_otherwise(one, other) == "xs [ 2 : ] and f ( x ) ≠ xs [ : 2 ] and f ( x )"
    one, other = read("Does `a` call `b`?"), read("Does `b` call `a`?")
    assert coded_otherwise(one, other) == "a, b ≠ b, a"
