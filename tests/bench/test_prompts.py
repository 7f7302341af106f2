"""What is asked in the benches is what its name says."""

import json
from itertools import islice

from bench.fow_cache_adapter import served
from bench.prompts import ONE, REMEMBERED, body, mixed, paraphrases, unheard


def test_the_one_request_is_of_about_a_kilobyte() -> None:
    assert 900 < len(body(ONE)) < 1_100
    assert json.loads(body(ONE, stream=True))["stream"] is True


def test_no_question_is_asked_twice_where_all_are_to_differ() -> None:
    assert len(set(REMEMBERED)) == len(REMEMBERED)
    assert len(set(islice(paraphrases(), 2_800))) == 2_800
    new = list(unheard())
    assert len({*new, *REMEMBERED}) == len(new) + len(REMEMBERED)


def test_a_paraphrase_is_served_what_is_remembered_and_a_new_question_is_not() -> None:
    said = list(paraphrases_of_the_first())
    assert [each for each in said if not served(REMEMBERED[0], each)] == []
    assert [each for each in islice(unheard(), 3) if served(REMEMBERED[0], each)] == []


def paraphrases_of_the_first() -> set[str]:
    return set(islice(paraphrases(), 0, 2_800, len(REMEMBERED)))


def test_of_a_hundred_mixed_questions_as_many_are_known_as_the_audit_found() -> None:
    known, alike = set(REMEMBERED), set(islice(paraphrases(), 2_800))
    asked = list(islice(mixed(), 100))
    assert sum(each in known for each in asked) == 34
    assert sum(each in alike for each in asked) == 11
