"""Traffic of the benchmarks: what is drawn is what labels say of it."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.traffic import SETS, TRACE, Ask, Kind, Labelled, arrivals, labelled, read, traffic


def pair(one: str, other: str, *, same: bool) -> Mapping[str, object]:
    return {"a": one, "b": other, "same": int(same)}


def made_up(name: str, meanings: int) -> list[Mapping[str, object]]:
    """Of each meaning three ways to say it, and something that only looks like it."""
    return [
        row
        for number in range(meanings)
        for row in (
            pair(f"{name} {number}", f"{name} {number}, please", same=True),
            pair(f"{name} {number}, please", f"tell me {name} {number}", same=True),
            pair(f"{name} {number}", f"not {name} {number}", same=False),
        )
    ]


def sets(meanings: int) -> dict[str, Labelled]:
    one = labelled(made_up("apples", meanings))
    return {"apples": one, "pears": labelled(made_up("pears", meanings), first=len(one.texts))}


def asks(count: int, seed: int = 0) -> list[Ask]:
    return traffic(sets(count), [float(each) for each in range(count)], seed)


def test_what_is_labelled_the_same_has_one_meaning_also_by_a_third() -> None:
    found = labelled([pair("a", "b", same=True), pair("b", "c", same=True), pair("a", "x", same=False)])
    assert sorted(map(sorted, found.texts.values())) == [["a", "b", "c"], ["x"]]
    (of_a,) = (meaning for meaning, texts in found.texts.items() if "a" in texts)
    assert list(found.unlike[of_a]) == ["x"]


def test_a_pair_that_is_labelled_different_and_connected_all_the_same_is_no_near_miss() -> None:
    found = labelled([pair("a", "b", same=True), pair("b", "c", same=True), pair("a", "c", same=False)])
    assert found.unlike == {}


def test_no_two_sets_share_a_meaning(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for name in SETS:
        with gzip.open(tmp_path / f"cache/{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in made_up(name, 3))
    meanings = [meaning for each in read(tmp_path).values() for meaning in each.texts]
    assert len(meanings) == len(set(meanings)) == 2 * 3 * len(SETS)


def test_shares_are_the_audits() -> None:
    kinds = Counter(each.kind for each in asks(4_000))
    assert kinds[Kind.REPEAT] / 4_000 == pytest.approx(0.34, abs=0.03)
    assert kinds[Kind.PARAPHRASE] / 4_000 == pytest.approx(0.11, abs=0.03)
    assert kinds[Kind.NEAR_MISS] / 4_000 == pytest.approx(0.11, abs=0.03)


def test_a_request_is_of_its_kind() -> None:
    said: set[str] = set()
    meant: set[int] = set()
    of_text = {
        text: meaning
        for each in sets(2_000).values()
        for meaning, texts in each.texts.items()
        for text in texts
    }
    for each in asks(2_000):
        assert of_text[each.prompt] == each.meaning
        expected = {
            Kind.REPEAT: (True, True),
            Kind.PARAPHRASE: (False, True),
            Kind.NEW: (False, False),
            Kind.NEAR_MISS: (False, False),
        }[each.kind]
        assert (each.prompt in said, each.meaning in meant) == expected, each
        said.add(each.prompt)
        meant.add(each.meaning)


def test_the_same_seed_gives_the_same_traffic_and_another_gives_other() -> None:
    assert asks(200) == asks(200)
    assert asks(200) != asks(200, seed=1)


def test_prompts_that_run_out_are_said() -> None:
    with pytest.raises(ValueError, match="all prompts have been asked after"):
        traffic(sets(3), [float(each) for each in range(100)], seed=0)


def test_arrivals_keep_the_shape_of_the_trace_at_another_rate(tmp_path: Path) -> None:
    (tmp_path / "load").mkdir()
    with gzip.open(tmp_path / f"load/{TRACE}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"t": each}) + "\n" for each in (10, 11, 14, 20))
    assert arrivals(tmp_path, 4, rate=3.0) == pytest.approx([0.0, 0.1, 0.4, 1.0])
    with pytest.raises(ValueError, match="4 requests, 5 were asked for"):
        arrivals(tmp_path, 5, rate=3.0)
