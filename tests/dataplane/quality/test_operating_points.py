"""From where an index is served, as labels come and Redis goes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.error_control import EASES, POINTS, Bound, Counts, Label, Standing, Tally
from tollway_api.semantic_cache_index import CriticalCheck, JudgeType
from tollway_api.snapshot import ErrorControl, Index
from tollway_api.wire import Sample
from tollway_dataplane.errors import CacheFault
from tollway_dataplane.ports import Served
from tollway_dataplane.quality.operating_points import INDEXES, NOTHING, POLICIES, OperatingPoints

PROVEN: Tally = {POINTS.index(0.95): Counts(right=2_000)}
BROKEN: Tally = {POINTS.index(0.999): Counts(wrong=500)}


class ScriptedLabels:
    """Says what it is told to, or that Redis is away."""

    def __init__(self) -> None:
        self.says: Sequence[Tally] | None = []

    async def tallies(self, sample: Sample) -> Sequence[Tally]:
        if self.says is None:
            raise CacheFault("CacheTimeout", f"read labels at {sample.prefix}")
        return self.says

    async def count(self, sample: Sample, place: int, label: Label) -> None:
        raise AssertionError((sample, place, label))

    async def note(self, index: Index, request_id: str, served: Served) -> None:
        raise AssertionError((index, request_id, served))

    async def served(self, indexes: Sequence[Index], request_id: str) -> tuple[Index, Served] | None:
        raise AssertionError((indexes, request_id))

    async def claim(self, index: Index, request_id: str) -> bool:
        raise AssertionError((index, request_id))


class Told(dict[str, Standing | None]):
    def __call__(self, index_id: str, known: Standing | None) -> None:
        self[index_id] = known


def index(**accuracy: object) -> Index:
    """As an object with these fields of `spec.accuracy` is compiled to."""
    spec = {"accuracy": {"maxErrorRate": "2%", **accuracy}} if accuracy else {}
    made = compiled(Setup("http://a/v1", "http://b/v1", index=spec).objects())
    return made.indexes["default/answers"]


@pytest.fixture
def labels() -> ScriptedLabels:
    return ScriptedLabels()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def operating(labels: ScriptedLabels, told: Told) -> OperatingPoints[Index]:
    return OperatingPoints(INDEXES, labels, told)


async def test_an_index_without_a_bound_is_served_as_it_says(
    operating: OperatingPoints[Index], told: Told
) -> None:
    plain = index()
    operating.follow([plain])
    await operating.refresh()
    assert operating.applied(plain) is plain
    assert told == {}


async def test_before_any_label_is_read_nothing_is_taken_for_proven(
    operating: OperatingPoints[Index],
) -> None:
    assert operating.applied(index(onBreach="Bypass")).threshold == NOTHING
    assert operating.applied(index(onBreach="Tighten")).threshold == 0.98


async def proven(operating: OperatingPoints[Index], labels: ScriptedLabels) -> Index:
    """An index that is followed, and whose labels show that its bound holds."""
    asked = index(onBreach="Bypass")
    operating.follow([asked])
    labels.says = [PROVEN]
    await operating.refresh()
    return asked


async def test_labels_move_the_point_and_who_watches_is_told(
    operating: OperatingPoints[Index], labels: ScriptedLabels, told: Told
) -> None:
    asked = await proven(operating, labels)
    assert operating.applied(asked).threshold == 0.95
    known = told[asked.id]
    assert known is not None
    assert known.counts == Counts(right=2_000)
    labels.says = [BROKEN]
    await operating.refresh()
    assert operating.applied(asked).threshold == NOTHING


async def test_while_redis_is_away_what_was_known_last_stands(
    operating: OperatingPoints[Index], labels: ScriptedLabels
) -> None:
    asked = await proven(operating, labels)
    labels.says = None
    await operating.refresh()
    assert operating.applied(asked).threshold == 0.95


async def test_a_changed_bound_begins_with_what_is_known_of_it(
    operating: OperatingPoints[Index], labels: ScriptedLabels
) -> None:
    await proven(operating, labels)
    stricter = index(onBreach="Bypass", maxErrorRate="0.01%")
    operating.follow([stricter])
    assert operating.applied(stricter).threshold == NOTHING


async def test_never_looser_than_is_allowed(
    operating: OperatingPoints[Index], labels: ScriptedLabels
) -> None:
    """Also where the user's own threshold is above every point that there is."""
    asked = index(onBreach="Bypass")
    assert asked.accuracy is not None
    bound = replace(asked.accuracy.bound, threshold=0.9995, least_threshold=0.9995)
    strict = replace(asked, threshold=0.9995, accuracy=replace(asked.accuracy, bound=bound))
    operating.follow([strict])
    labels.says = [{0: Counts(right=9_000)}]
    await operating.refresh()
    assert operating.applied(strict).threshold == 0.9995


async def test_an_index_that_goes_takes_its_standing_along(
    operating: OperatingPoints[Index], labels: ScriptedLabels, told: Told
) -> None:
    asked = await proven(operating, labels)
    operating.follow([])
    assert told == {asked.id: None}


def test_the_bound_is_compiled_from_what_users_write() -> None:
    accuracy = index(sampleRate="10%", minThreshold="0.8", judge={"errorRate": "5%"}).accuracy
    assert accuracy == ErrorControl(
        Bound(0.02, 0.05, 0.95, 0.8, True), 0.1, JudgeType.CASCADE, None, 604_800_000
    )
    assert set(index().checks) == set(CriticalCheck)


async def test_of_a_policy_the_share_that_is_left_to_the_simple_model_moves(
    labels: ScriptedLabels, told: Told
) -> None:
    route = {"complexity": {"classifier": "Embedding"}, "minQuality": {"least": "90%"}}
    policy = compiled(Setup("http://a/v1", "http://b/v1", policy={"route": route}).objects()).policies[0]
    operating = OperatingPoints(POLICIES, labels, told)
    operating.follow([policy])
    assert operating.applied(policy).route.simple_share == 0
    labels.says = [{EASES.index(0.6): Counts(right=2_000)}]
    await operating.refresh()
    assert operating.applied(policy).route.simple_share == 0.4
    assert replace(operating.applied(policy), route=policy.route) == policy, "nothing else does"


async def test_a_policy_without_a_floor_is_left_alone(labels: ScriptedLabels, told: Told) -> None:
    policy = compiled(Setup("http://a/v1", "http://b/v1").objects()).policies[0]
    operating = OperatingPoints(POLICIES, labels, told)
    operating.follow([policy])
    await operating.refresh()
    assert operating.applied(policy) is policy
    assert told == {}
