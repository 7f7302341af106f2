"""`tollway fit-router`: which labels it takes, what it learns of them, and when it says that they teach nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.processes import run
from tollway_api.own_weights import read
from tollway_cli.fit_router import plot, verdict
from tollway_cli.labels import Label, LabelError, read_labels
from tollway_cli.router_fit import Fit, Interval, Rows, fit, resamples
from tollway_dataplane.routing.router import Dial, Point

SEEN = 62
TOPICS = ("refunds", "invoices", "shipping", "passwords", "returns", "vouchers", "warranties", "newsletters")


def lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def verdicts(count: int, good: int) -> list[dict[str, object]]:
    return [{"prompt": f"Question {'x' * i}", "simpleIsGoodEnough": i < good} for i in range(count)]


def written(folder: Path, text: str) -> Path:
    file = folder / "labels.jsonl"
    file.write_text(text, encoding="utf-8")
    return file


def test_verdicts_and_scores_are_labels_and_may_stand_in_one_file(tmp_path: Path) -> None:
    rows = [*verdicts(60, 30), {"prompt": " A  fjord? ", "simple": 0.5, "complex": 1}]
    found = read_labels(written(tmp_path, lines(*rows) + "\n"))
    assert len(found) == 61
    assert (found[0].simple, found[0].complex, found[59].simple) == (1.0, 1.0, 0.0)
    assert (found[-1].simple, found[-1].complex, found[-1].is_enough) == (0.5, 1.0, False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "2: is not JSON"),
        ("[]", "2: has list; write"),
        ('{"prompt": "a"}', "2: has prompt; write"),
        ('{"prompt": "a", "simpleIsGoodEnough": true, "simple": 1, "complex": 1}', "2: has complex, prompt, simple"),
        ('{"prompt": " ", "simpleIsGoodEnough": true}', "2: prompt must be text"),
        ('{"prompt": "\\ud800", "simpleIsGoodEnough": true}', "2: prompt has half of a character"),
        ('{"prompt": "a", "simpleIsGoodEnough": 1}', "2: simpleIsGoodEnough must be true or false, and is 1"),
        ('{"prompt": "a", "simple": 1.1, "complex": 1}', "2: simple must be a number from 0 to 1, and is 1.1"),
        ('{"prompt": "a", "simple": 1, "complex": true}', "2: complex must be a number from 0 to 1, and is true"),
        ('{"prompt": "a", "simple": NaN, "complex": 1}', "2: simple must be a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    first, *others = verdicts(60, 30)
    with pytest.raises(LabelError) as error:
        read_labels(written(tmp_path, f"{lines(first)}{row}\n{lines(*others)}"))
    assert f"labels.jsonl:{message}" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (verdicts(49, 20), "49 labels"),
        (verdicts(60, 9), "good enough at 9; .* 10 of either kind"),
        (verdicts(60, 60), "good enough at 60"),
        (
            [{"prompt": f"Order {i}", "simpleIsGoodEnough": i < 30} for i in range(60)],
            "only 1 different prompts",
        ),
        (
            [{"prompt": f"{i}", "simple": i % 2, "complex": 0.5} for i in range(60)],
            "the complex model's answers are no better",
        ),
    ],
    ids=["too few", "too few good ones", "no bad one", "one template", "no gap"],
)
def test_labels_of_which_nothing_can_be_learned_are_refused(
    tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        read_labels(written(tmp_path, lines(*rows)))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        read_labels(tmp_path / "none.jsonl")
    (tmp_path / "labels.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(LabelError, match="is not text in UTF-8"):
        read_labels(tmp_path / "labels.jsonl")


def test_prompts_of_one_template_are_one_group() -> None:
    label = partial(Label, simple=1.0, complex=1.0)
    assert label("Summarise order 17!").group == label("summarise ORDER 4").group
    assert label("Summarise order 17").group != label("Cancel order 17").group


def rows(count: int, *, decides: int | None, seed: int = 0) -> Rows:
    """Labels by something that is seen of each prompt; None: by chance. The shipped model knows nothing of it."""
    random = np.random.default_rng(seed)
    seen = random.normal(size=(count, SEEN))
    wanted = random.normal(size=count) if decides is None else seen[:, decides]
    labels = [
        Label(f"{chr(97 + i % 26) * (1 + i // 26)} {'?' * int(random.integers(60))}", float(each > 0), 1.0)
        for i, each in enumerate(wanted)
    ]
    return Rows(labels, random.normal(size=count), seen)


def test_what_decides_here_is_learned_and_beats_length_and_the_shipped_model() -> None:
    found = fit(rows(300, decides=7), seed=0)
    assert found.is_corrected
    assert found.is_shown
    assert int(np.argmax(np.abs(found.own.weights))) == 7
    own, shipped, length = (found.areas[each].value for each in found.areas)
    assert own > 0.7  # of half of the prompts no score has more than 0.75
    assert max(shipped, length) < 0.6
    assert own - length == pytest.approx(found.over_length.value)
    assert "Better than prompt length" in verdict(found)


def test_where_the_shipped_model_is_the_better_one_that_is_said() -> None:
    found = fit(rows(300, decides=7), seed=0)
    assert "it is the better one" not in verdict(found)
    areas = {**found.areas, "shipped model": Interval(0.99, 0.98, 1.0)}
    assert "the shipped model has 0.990. So it is the better one here" in verdict(replace(found, areas=areas))
    recalibrated = verdict(replace(found, areas=areas, is_corrected=False))
    assert "So it is the better one here. These labels say what its probabilities mean" in recalibrated
    worse = replace(found, areas=areas, over_length=Interval(-0.1, -0.2, 0.0))
    assert "The shipped model is the better one here" in verdict(worse)
    assert "{classifier: Embedding}" in verdict(worse)
    own, length = Interval(0.4, 0.3, 0.5), Interval(0.6, 0.5, 0.7)
    areas = {"own weights": own, "shipped model": Interval(0.5, 0.4, 0.6), "prompt length": length}
    said = verdict(replace(worse, areas=areas))
    assert "nor is the shipped model, which is the better one of the two (0.500)" in said
    assert "classifier: Heuristic" in said


def test_the_dial_keeps_what_it_says_on_other_labels_of_the_same_kind() -> None:
    found, others = fit(rows(600, decides=7), seed=0), rows(3_000, decides=7, seed=1)
    threshold = found.own_dial.for_quality(0.95)
    own = found.own
    log_odds = own.slope * others.log_odds + own.shift + others.seen @ np.array(own.weights)
    is_simple = 1 / (1 + np.exp(-log_odds)) >= threshold
    kept = np.where(is_simple, others.simple, others.complex).mean()
    assert is_simple.mean() > 0.4
    assert kept == pytest.approx(0.95, abs=0.03)


def test_labels_by_chance_are_said_to_teach_nothing() -> None:
    found = [fit(rows(300, decides=None, seed=seed), seed=0) for seed in range(10)]
    assert sum(each.is_shown for each in found) <= 1
    for each in found:
        said = verdict(each)
        assert each.is_shown or "No better" in said or "may be chance" in said
    worse = next(each for each in found if not each.is_better)
    assert "classifier: Heuristic, wordThreshold: " in verdict(worse)


def test_where_the_shipped_model_knows_best_it_is_only_recalibrated() -> None:
    plain = rows(300, decides=None)
    labels = [
        Label(each.prompt, float(log_odds > -1), 1.0)
        for each, log_odds in zip(plain.labels, plain.log_odds, strict=True)
    ]
    found = fit(Rows(labels, plain.log_odds, plain.seen), seed=0)
    assert not found.is_corrected
    assert not any(found.own.weights)
    assert found.own.slope > 1
    assert found.areas["own weights"].value == pytest.approx(found.areas["shipped model"].value, abs=0.01)


def same(one: Fit, other: Fit) -> bool:
    return (one.own, one.areas, one.over_length) == (other.own, other.areas, other.over_length)


def test_the_same_seed_gives_the_same_and_another_one_other_folds() -> None:
    given = rows(120, decides=3)
    assert same(fit(given, seed=0), fit(given, seed=0))
    assert not same(fit(given, seed=0), fit(given, seed=1))


def test_groups_are_drawn_whole() -> None:
    groups = np.array([0, 1, 0, 2, 1, 0])
    first, *others = resamples(groups, seed=0)
    assert first.tolist() == list(range(6))
    for draw in others[:50]:
        counts = np.bincount(draw, minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]


def test_the_plot_shows_both_and_stays_in_its_frame() -> None:
    own = Dial((Point(0.5, 0.5, 1.02), Point(0.1, 1.0, 0.8)))
    drawn = plot(own, Dial((Point(-1, 1.0, 0.8),))).splitlines()
    assert max(map(len, drawn)) < 80
    assert all(any(mark in line for line in drawn[1:]) for mark in "●·")
    assert drawn[1].startswith(" 102.0%")


def of_topics(count: int, hard: Sequence[str]) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"{'abcdefghij'[i % 10] * (1 + i // 10)}: a question about {topic}",
            "simpleIsGoodEnough": topic not in hard,
        }
        for i in range(count)
        for topic in (TOPICS[i % len(TOPICS)],)
    ]


def test_the_command_prints_what_a_policy_takes_and_the_same_each_time(tmp_path: Path) -> None:
    file = written(tmp_path, lines(*of_topics(160, TOPICS[:4])))
    done = run("tollway_cli", "fit-router", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("160 labels", "own weights over length", "quality kept", "Better than prompt length"):
        assert said in done.stdout
    patch = yaml.safe_load(done.stdout[done.stdout.index("spec:") :])
    complexity = patch["spec"]["route"]["complexity"]
    assert read(complexity["weights"]).labels == 160
    again = run("tollway_cli", "fit-router", str(file), "--patch", str(tmp_path / "patch.yaml"))
    assert again.returncode == 0
    assert yaml.safe_load((tmp_path / "patch.yaml").read_text(encoding="utf-8")) == patch


def test_the_command_writes_no_weights_that_are_worth_nothing(tmp_path: Path) -> None:
    # The longest third is hard.
    rows = [{**each, "simpleIsGoodEnough": i < 40} for i, each in enumerate(of_topics(60, ()))]
    patch = tmp_path / "patch.yaml"
    done = run("tollway_cli", "fit-router", str(written(tmp_path, lines(*rows))), "--patch", str(patch))
    assert done.returncode == 1
    assert "No better than prompt length" in done.stdout
    assert not patch.exists()


def test_the_command_says_a_mistake_in_one_sentence(tmp_path: Path) -> None:
    done = run("tollway_cli", "fit-router", str(written(tmp_path, "{}\n")))
    assert (done.returncode, done.stdout) == (2, "")
    assert "labels.jsonl:1: has nothing; write" in done.stderr
    assert len(done.stderr.splitlines()) == 1
