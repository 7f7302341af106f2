"""Who judges two answers, on real parts: the cache's own judge, and a model that may be away, too dear, or unclear.
What nobody can say is no label, evicts nothing, and closes the index for nobody.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup, SharedEmbedder, running
from tests.judges import (
    INDEX,
    PARAPHRASE,
    PASSWORD,
    ScriptedJudge,
    judged_as,
    labelled,
    patient,
    primed,
    until,
)
from tests.servers import Provider
from tollway_api.error_control import Counts
from tollway_api.meta import ModelName
from tollway_api.snapshot import encode
from tollway_cli.embedded_redis import EmbeddedRedis
from tollway_dataplane.quality import judging, labelling

FIRST = "You can reset your password under Settings > Security."
SAME = "To reset your password, open Settings and choose Security."
REWORDED = "Whoever has lost theirs gets another by the link on the page for signing in."
OTHER = "You can change your username under Settings > Profile."
GERMAN = "Setzen Sie Ihr Passwort in den Einstellungen unter Sicherheit zurück."
CODE = "```python\nsession.reset(password=None)\n```"
LONG = f"{FIRST} " * 30
OTHERWISE = "How could I reset my password?"


class Scene:
    """A model that answers as it is told to, and judges, being the one for hard questions."""

    def __init__(
        self, start: Start, judged: Callable[..., Setup], judge: ScriptedJudge, redis: Redis
    ) -> None:
        self._start = patient(start)
        self._judged = judged
        self.judge = judge
        self.redis = redis

    def setup(self, complex_model: str = "judge", **accuracy: object) -> Setup:
        """Judged by the cascade of what is said nothing else of."""
        setup = self._judged(**{"onBreach": "Tighten", "judge": {}, **accuracy})
        route = {"simpleModel": "judge", "complexModel": complex_model}
        return setup.but(policy={**setup.policy, "route": route})

    async def hit(self, live: str, setup: Setup | None = None) -> Running:
        """One by meaning, beside which the model says something else now."""
        gateway = await self._start(setup or self.setup())
        await self.hit_at(gateway, live)
        return gateway

    async def hit_at(self, gateway: Running, live: str) -> None:
        self.judge.says = FIRST
        await primed(gateway)
        self.judge.says = live
        await another(gateway, PARAPHRASE)

    async def labels(self) -> Counts:
        return await labelled(self.redis)

    async def is_asked(self) -> None:
        """Waits until it is to judge."""

        async def asked() -> bool:
            return bool(self.judge.verdicts)

        await until(asked)


@pytest.fixture
async def scene(
    start: Start, judged: Callable[..., Setup], judge: ScriptedJudge, cache_redis: EmbeddedRedis
) -> AsyncIterator[Scene]:
    async with Redis.from_url(cache_redis.url, protocol=2) as redis:
        yield Scene(start, judged, judge, redis)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "PAUSES_S", (0.05, 0.05))


async def another(gateway: Running, prompt: str = OTHERWISE, key: str = ACME_KEY) -> None:
    reply = await gateway.ask(prompt, key)
    assert reply.source == "semantic", reply.headers


async def is_remembered(gateway: Running) -> bool:
    return (await gateway.ask(PASSWORD)).source == "exact"


@pytest.mark.parametrize(
    ("live", "outcome"),
    [(SAME, "Right"), (OTHER, "Wrong"), (GERMAN, "NotComparable"), (CODE, "NotComparable"), (LONG, "NotComparable")],
    ids=("the same in other words", "something else", "another language", "code", "too long"),
)  # fmt: skip
async def test_the_caches_own_judge_compares_answers_when_nobody_else_is_named(
    scene: Scene, live: str, outcome: str
) -> None:
    gateway = await scene.hit(live, scene.setup("rich", judge={"type": "Embedding"}))
    await judged_as(gateway, outcome)
    assert len(scene.judge.asked) == 2
    assert await is_remembered(gateway) is (outcome != "Wrong")
    assert (await scene.labels()).missing == (outcome == "NotComparable")


@pytest.mark.parametrize(
    ("live", "verdict", "outcome"),
    [
        (SAME, "no", "Right"),
        (REWORDED, "Yes, it does", "Right"),
        (REWORDED, "No, they differ", "Wrong"),
        (GERMAN, "**Yes**", "Right"),
        (CODE, "no", "Wrong"),
        (LONG, "yes", "Right"),
    ],
    ids=("the same", "doubted and right", "doubted and wrong", "another language", "code", "too long"),
)
async def test_by_default_a_model_is_asked_where_the_caches_own_judge_does_not_find_them_the_same(
    scene: Scene, live: str, verdict: str, outcome: str
) -> None:
    scene.judge.verdict = verdict
    gateway = await scene.hit(live)
    await judged_as(gateway, outcome)
    assert len(scene.judge.verdicts) == (live != SAME)


async def test_a_model_that_is_named_judges_and_not_the_one_for_hard_questions(
    scene: Scene, rich: Provider
) -> None:
    scene.judge.verdict = "no"
    gateway = await scene.hit(REWORDED, scene.setup("rich", judge={"model": "judge"}))
    await judged_as(gateway, "Wrong")
    assert len(scene.judge.verdicts) == 1
    assert rich.total == 0


async def test_a_model_is_asked_for_one_word_and_may_not_write_a_book(scene: Scene) -> None:
    scene.judge.verdict = "Yes."
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "Right")
    (asked,) = scene.judge.verdicts
    assert asked["max_tokens"] == 512
    assert "one word" in str(asked["messages"])


@pytest.mark.parametrize("verdict", ["Perhaps", "Yes and no", "", "I'm sorry, but I can't help with that."])
@pytest.mark.parametrize("judged_by", [{}, {"type": "Model", "model": "judge"}], ids=("Cascade", "Model"))
async def test_a_judge_that_says_neither_yes_nor_no_labels_and_evicts_nothing(
    scene: Scene, verdict: str, judged_by: dict[str, str]
) -> None:
    scene.judge.verdict = verdict
    gateway = await scene.hit(REWORDED, scene.setup(judge=judged_by))
    await judged_as(gateway, "JudgeUnclear")
    assert len(scene.judge.verdicts) == 1
    assert await scene.labels() == Counts(missing=1)
    assert await is_remembered(gateway)


async def test_while_its_model_is_away_nothing_is_evicted_and_it_is_asked_again_soon(
    scene: Scene, rich: Provider
) -> None:
    """Nor is another asked to stand in for it, whose word nobody wanted."""
    scene.judge.is_away = True
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "JudgeAway")
    assert len(scene.judge.verdicts) == 3
    assert rich.total == 0
    assert await scene.labels() == Counts(missing=1)
    assert await is_remembered(gateway)


async def test_a_model_that_is_away_for_a_moment_still_judges(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "PAUSES_S", (1.0,))
    scene.judge.is_away, scene.judge.verdict = True, "no"
    gateway = await scene.hit(REWORDED)
    await scene.is_asked()
    scene.judge.is_away = False
    await judged_as(gateway, "Wrong")
    assert await scene.labels() == Counts(wrong=1)
    assert not await is_remembered(gateway)


async def test_a_model_that_hangs_keeps_no_place_of_those_who_are_judged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "DEADLINE_S", 0.3)
    monkeypatch.setattr(judging, "REST_S", 0.0)
    monkeypatch.setattr(labelling, "_MOST_JUDGED_AT_ONCE", 1)
    scene.judge.hangs = True
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "JudgeAway")
    assert len(scene.judge.verdicts) == 1, "there is no time for another attempt"
    assert await scene.labels() == Counts(missing=1)
    scene.judge.hangs, scene.judge.verdict = False, "yes"
    await another(gateway)
    await judged_as(gateway, "Right")


async def test_while_its_model_is_away_not_even_what_the_own_judge_is_sure_of_is_a_label(
    scene: Scene,
) -> None:
    """Or right answers alone would have labels."""
    scene.judge.is_away = True
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "JudgeAway")
    scene.judge.says, asked = SAME, len(scene.judge.asked)
    await another(gateway)
    await judged_as(gateway, "JudgeRests")
    assert len(scene.judge.asked) == asked, "no live answer is paid for in vain"
    assert await scene.labels() == Counts(missing=1, skipped=1)


async def test_whether_its_model_is_back_is_tried_with_whatever_comes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with what the cache's own judge is sure of: otherwise that alone would have labels until a doubt comes."""
    monkeypatch.setattr(judging, "REST_S", 0.0)
    scene.judge.is_away = True
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "JudgeAway")
    scene.judge.says = SAME
    await another(gateway)
    await judged_as(gateway, "JudgeRests")
    assert len(scene.judge.verdicts) == 4, "once more than for the doubt"
    assert await scene.labels() == Counts(missing=1, skipped=1)
    scene.judge.is_away, scene.judge.verdict = False, "yes"
    await another(gateway)
    await judged_as(gateway, "Right")
    assert len(scene.judge.verdicts) == 5
    await another(gateway)
    await judged_as(gateway, "Right", 2)
    assert len(scene.judge.verdicts) == 5, "and then it is asked no more than before"


async def test_where_one_tenants_budget_is_empty_its_doubts_take_nothing_from_the_others(
    scene: Scene,
) -> None:
    """In an index that they share: two requests are for answers, and the third would be the judge's."""
    setup = scene.setup()
    limits = [{"name": "two", "unit": "Requests", "amount": "2"}]
    shared = setup.but(index={**setup.index, "scope": "Shared"}, acme={"limits": limits})
    gateway = await scene.hit(REWORDED, shared)
    await judged_as(gateway, "JudgeUnpaid")
    assert scene.judge.verdicts == []
    assert await scene.labels() == Counts(missing=1)
    await another(gateway)
    await judged_as(gateway, "JudgeRests")
    scene.judge.verdict = "yes"
    await another(gateway, PARAPHRASE, BETA_KEY)
    await judged_as(gateway, "Right")
    assert await scene.labels() == Counts(right=1, missing=1, skipped=1)


async def test_a_pair_that_the_provider_refuses_says_nothing_of_the_next(scene: Scene) -> None:
    scene.judge.refuses = True
    gateway = await scene.hit(REWORDED)
    await judged_as(gateway, "JudgeUnclear")
    scene.judge.refuses, scene.judge.verdict = False, "yes"
    await another(gateway)
    await judged_as(gateway, "Right")
    assert await scene.labels() == Counts(right=1, missing=1)


async def test_the_hits_of_a_policy_that_lacks_the_model_have_no_labels(scene: Scene) -> None:
    gateway = await scene.hit(SAME)
    await judged_as(gateway, "Right")
    index = gateway.snapshot.indexes[INDEX]
    assert index.accuracy is not None
    lacking = replace(index, accuracy=replace(index.accuracy, judge_model=ModelName("careful")))
    await gateway.dataplane.live.offer(encode(replace(gateway.snapshot, indexes={INDEX: lacking})))
    await another(gateway)
    await judged_as(gateway, "JudgeRests")


async def test_what_is_being_judged_when_the_process_ends_is_missing_and_not_forgotten(
    scene: Scene,
    cache_redis: EmbeddedRedis,
    ledger_redis: EmbeddedRedis,
    embedder: SharedEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(labelling, "DRAIN_S", 0.1)
    scene.judge.hangs = True
    async with running(scene.setup(), cache_redis.url, ledger_redis.url, embedder) as gateway:
        await scene.hit_at(gateway, REWORDED)
        await scene.is_asked()
    assert await scene.labels() == Counts(missing=1)
