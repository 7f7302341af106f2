"""What is published next while an embedding is being changed."""

from dataclasses import dataclass, field, replace

import hypothesis.strategies as st
from hypothesis import given

from tests.dataplanes import Setup, compiled
from tollway_api import wire
from tollway_api.reembedding import Progress
from tollway_api.snapshot import Beside, Index, IndexVersion, Snapshot, Stage
from tollway_operator.migration import Known, abandoned, next_step, with_left_out
from tollway_operator.redis_facts import IndexFacts, IndexSchema

MODELS: dict[str, dict[str, object]] = {
    "a": {},
    "b": {"embedding": {"model": "wordllama", "dimensions": 256}},
    "c": {"vector": {"type": "Float16"}},
}
INDEXES = {
    name: compiled(Setup("http://a/v1", "http://b/v1", index=index).objects()).indexes["default/answers"]
    for name, index in MODELS.items()
}
A, B, C = (INDEXES[name].version for name in "abc")
MADE = frozenset({A.name, B.name, C.name})
LETTER = {version.name: letter for letter, version in zip("abc", (A, B, C), strict=True)}


def shown(index: Index) -> str:
    """`a+b Joining`: a is asked, both are written."""
    asked = LETTER[index.version.name]
    return f"{asked}+{LETTER[index.beside.version.name]} {index.beside.stage}" if index.beside else asked


def standing(text: str) -> Index:
    letters, _, stage = text.partition(" ")
    beside = Beside(INDEXES[letters[2]].version, Stage(stage)) if stage else None
    return replace(INDEXES[letters[0]], beside=beside)


def steps(wanted: str, published: str, *, acked: bool = True, filled: bool = True, made: bool = True) -> str:
    progress = {B.name: Progress(A.name, complete=filled), C.name: Progress(A.name, complete=filled)}
    known = Known(acked, MADE if made else frozenset({A.name}), progress)
    return shown(next_step(INDEXES[wanted], standing(published), known))


def test_a_change_goes_its_way_and_waits_where_it_must() -> None:
    assert next_step(INDEXES["b"], None, Known(acknowledged=False)) == INDEXES["b"]
    assert steps("b", "a", made=False) == "a"
    assert steps("b", "a", acked=False) == "a+b Joining"
    assert steps("b", "a+b Joining", acked=False) == "a+b Joining"
    assert steps("b", "a+b Joining") == "a+b Filling"
    assert steps("b", "a+b Filling", filled=False) == "a+b Filling"
    assert steps("b", "a+b Filling") == "b+a Leaving"
    assert steps("b", "b+a Leaving", acked=False) == "b+a Leaving"
    assert steps("b", "b+a Leaving") == "b"
    assert steps("b", "b") == "b"


def test_one_edit_takes_it_back_at_any_point() -> None:
    assert steps("a", "a+b Joining", acked=False) == "a"
    assert steps("a", "a+b Filling", acked=False) == "a"
    assert steps("a", "b+a Leaving", acked=False) == "a+b Leaving", "it is still complete"
    assert steps("a", "a+b Leaving", acked=False) == "a+b Leaving"
    assert steps("a", "a+b Leaving") == "a"


def test_another_change_begins_when_the_one_before_is_over() -> None:
    assert steps("c", "a+b Joining") == "a+c Joining"
    assert steps("c", "a+b Filling") == "a+c Joining"
    assert steps("c", "b+a Leaving", acked=False) == "b+a Leaving"
    assert steps("c", "b+a Leaving") == "b"


def test_what_was_filled_from_something_else_is_not_filled() -> None:
    known = Known(acknowledged=True, made=MADE, progress={C.name: Progress(A.name, complete=True)})
    assert shown(next_step(INDEXES["c"], standing("b+c Filling"), known)) == "b+c Filling"


def test_everything_but_the_versions_is_as_wanted_at_once() -> None:
    wanted = replace(INDEXES["b"], ttl_ms=5, threshold=0.5)
    made = next_step(wanted, INDEXES["a"], Known(acknowledged=False, made=MADE))
    assert (made.ttl_ms, made.threshold, made.version) == (5, 0.5, A)
    searched_otherwise = replace(INDEXES["a"], version=replace(A, m=64))
    assert (
        next_step(searched_otherwise, standing("a+b Filling"), Known(acknowledged=False))
        == searched_otherwise
    )


def test_only_versions_of_published_indexes_that_are_ours_are_abandoned() -> None:
    ours = IndexFacts(IndexSchema.of(A), 0, 0)
    foreign, other = wire.index_name(C), f"{wire.INDEX_PREFIX}default.others.0123456789ab"
    found = {
        wire.index_name(A): ours,
        wire.index_name(B): ours,
        foreign: replace(ours, schema=None),
        other: ours,
    }
    assert abandoned(found, {"default/answers": INDEXES["a"]}) == [wire.index_name(B)]
    assert abandoned(found, {"default/answers": standing("a+b Filling")}) == []
    assert abandoned(found, {}) == []
    found[other] = IndexFacts(None, 0, 0, being_dropped=True)
    assert abandoned(found, {}) == [other], "what was begun is gone through with, whoever has gone meanwhile"


@dataclass
class World:
    """Two pods, each on what it took last, and a Redis. What is remembered is a set of numbers for each version."""

    published: Index = INDEXES["a"]
    pods: list[Index] = field(default_factory=lambda: [INDEXES["a"]] * 2)
    redis: dict[str, set[int]] = field(default_factory=lambda: {A.name: set()})
    progress: dict[str, Progress] = field(default_factory=dict)
    remembered: int = 0

    def remember(self, pod: int) -> None:
        self.remembered += 1
        for version in self.pods[pod].versions:
            self.redis.setdefault(version.name, set()).add(self.remembered)

    def fill(self, pod: int) -> None:
        running = self.pods[pod]
        if running.beside is not None and running.beside.stage is Stage.FILLING:
            source, target = running.version.name, running.beside.version.name
            self.redis.setdefault(target, set()).update(self.redis[source])
            self.progress[target] = Progress(source, complete=True)

    def publish(self, wanted: Index) -> None:
        acknowledged = all(pod == self.published for pod in self.pods)
        used = {version.name for version in self.published.versions}
        left = {name for name in self.redis if name not in used}
        if acknowledged:
            for name in left:
                del self.redis[name]
                self.progress.pop(name, None)
            left = set()
        if wanted.version.name not in left:
            self.redis.setdefault(wanted.version.name, set())
        known = Known(acknowledged, frozenset(self.redis.keys() - left), self.progress)
        self.published = next_step(wanted, self.published, known)


EVENTS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from("abc")),
    st.tuples(st.sampled_from(["remember", "fill", "take"]), st.sampled_from([0, 1])),
)


@given(st.lists(EVENTS, max_size=60), st.sampled_from("abc"))
def test_whatever_is_edited_when_every_pod_finds_what_any_has_remembered(
    events: list[tuple[str, str | int]], wanted: str
) -> None:
    world = World()
    for what, argument in events:
        match what, argument:
            case "publish", str(letter):
                world.publish(INDEXES[letter])
            case "take", int(number):
                world.pods[number] = world.published
            case "remember", int(number):
                world.remember(number)
            case "fill", int(number):
                world.fill(number)
        for pod in world.pods:
            assert world.redis[pod.version.name] == set(range(1, world.remembered + 1))
    for _ in range(12):
        world.publish(INDEXES[wanted])
        world.pods = [world.published] * 2
        world.fill(0)
    assert world.published == INDEXES[wanted], "it comes to its end"
    assert world.redis.keys() == {INDEXES[wanted].version.name}


def test_the_versions_that_are_named_are_different() -> None:
    assert len({each.name for each in (A, B, C)}) == len({IndexSchema.of(each) for each in (A, B, C)}) == 3
    assert isinstance(A, IndexVersion)


def test_what_is_left_out_is_said_as_it_was_but_for_its_keys() -> None:
    keyed = replace(A, embedding=replace(A.embedding, api_key="sk-1", api_key_from="later/api-key"))
    before = replace(INDEXES["b"], version=keyed, beside=Beside(keyed, Stage.FILLING))
    said = with_left_out(Snapshot("n"), {before.id: before, "default/gone": before}, [before.id])
    kept = replace(keyed, embedding=replace(keyed.embedding, api_key=None))
    assert said.left_out == {before.id: replace(before, version=kept, beside=Beside(kept, Stage.FILLING))}
    mended = with_left_out(replace(said, indexes={before.id: before}), {before.id: before}, [before.id])
    assert mended.left_out == {}
