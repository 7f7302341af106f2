"""The embedding of an index is changed by editing a file, under a constant load: no request fails, the hit rate holds,
and no vector meets an index of another space.
"""

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import yaml

from tests.dataplanes import Setup
from tests.hit_rates import HITS, least_share, paraphrase
from tests.processes import wait_for
from tests.servers import Provider
from tests.with_redis.test_serve import Served, serving
from tollway_api import wire
from tollway_cli.embedded_redis import EmbeddedRedis

THINGS = (
    "password", "username", "router", "thermostat", "phone", "laptop", "camera", "printer", "alarm", "watch",
    "television", "keyboard", "account", "profile", "browser", "tablet", "speaker", "modem", "dishwasher", "oven",
    "calculator", "headset", "projector", "scanner", "console", "odometer", "subscription", "mailbox", "calendar",
    "playlist",
)  # fmt: skip
MINILM = {"embedding": {"model": "all-MiniLM-L6-v2", "dimensions": 384}}
WORDLLAMA = {"embedding": {"model": "wordllama", "dimensions": 256}}
FLOAT16 = {**MINILM, "vector": {"type": "Float16"}}
_TOO_SLOW = {"CacheTimeout", "EmbedderUnavailable"}
_MANY = 4 * len(THINGS)
DONE = "is asked and written alone"


@dataclass
class Load:
    """Paraphrases of what has been asked, over and over, and something new now and then."""

    served: Served
    things: Sequence[str]
    failed: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # of paraphrases, in the order of their answers
    new: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def share(self) -> float:
        """Of hits, among the look-ups that end from now on."""
        begin = len(self.reasons)
        wait_for(lambda: len(_ended(self.reasons[begin:])) >= _MANY, "many requests", 120)
        return self.least_since(begin)

    def least_since(self, begin: int) -> float:
        """The share of hits in the worst stretch of so many look-ups."""
        return least_share(_ended(self.reasons[begin:]), _MANY)

    def run(self) -> None:
        asked = 0
        while not self._over.is_set():
            asked += 1
            if asked % 20 == 0:
                self.new += 1
                self._ask(f"How do I paint a {_numeral(self.new)} fence?", "new")
            else:
                self._ask(paraphrase(self.things, asked), "")

    def _ask(self, prompt: str, kind: str) -> None:
        try:
            reply = self.served.ask(prompt)
        except Exception as error:  # noqa: BLE001 - whatever a caller meets
            self.failed.append(repr(error))
            return
        if reply.status_code != 200:
            self.failed.append(reply.text)
        elif not kind:
            self.reasons.append(reply.headers["x-tollway-cache-reason"])

    @contextmanager
    def going_on(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def _numeral(number: int) -> str:
    return ["wooden", "plastic", "metal", "garden", "picket", "chain", "bamboo", "stone"][number % 8]


def _ended(reasons: Sequence[str]) -> Sequence[str]:
    """Without those that a machine that stands still has cut short, which has nothing to do with embeddings:
    `tollway serve` has the deadlines that it has. Of data planes that are more patient all count
    (`with_apiserver/test_migration.py`).
    """
    return [reason for reason in reasons if reason not in _TOO_SLOW]


class Edited:
    """The manifests of one served process, and what its Redis has."""

    def __init__(self, setup: Setup, file: Path, server: EmbeddedRedis) -> None:
        self.setup, self.file, self.server = setup, file, server
        self.things: Sequence[str] = ()
        self.to(MINILM)

    def to(self, index: Mapping[str, object], per_second: int = 50) -> None:
        index = {**index, "migration": {"reembedPerSecond": per_second}}
        text = yaml.safe_dump_all(self.setup.but(index=index).objects())
        temporary = self.file.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.file)

    def versions(self) -> dict[str, tuple[int, int]]:
        """By name: how many vectors its index holds, and how many it would not take."""
        with redis.Redis("127.0.0.1", port=self.server.port, protocol=2) as client:
            found = {}
            for name in client.execute_command("FT._LIST"):
                facts = client.execute_command("FT.INFO", name)
                pairs = dict(zip(facts[::2], facts[1::2], strict=False))
                found[name.decode()] = int(pairs[b"num_docs"]), int(pairs[b"hash_indexing_failures"])
            return found

    def prompts(self) -> set[str]:
        with redis.Redis("127.0.0.1", port=self.server.port) as client:
            keys = client.scan_iter("tollway:1:vector:*")
            return {(client.hget(key, "prompt") or b"").decode() for key in keys}

    def lengths(self) -> dict[str, set[int]]:
        """Of vectors in bytes, by the index they are for."""
        with redis.Redis("127.0.0.1", port=self.server.port) as client:
            found: dict[str, set[int]] = {}
            for key in client.scan_iter("tollway:1:vector:*"):
                name = wire.INDEX_PREFIX + key.decode().split(":vector:")[1].split(":")[0]
                found.setdefault(name, set()).add(len(client.hget(key, "embedding") or b""))
            return found


@pytest.fixture
def edited(tmp_path: Path, setup: Setup, fault_redis: EmbeddedRedis) -> Edited:
    folder = tmp_path / "manifests"
    folder.mkdir()
    return Edited(setup, folder / "all.yaml", fault_redis)


@contextmanager
def remembering(tmp_path: Path, edited: Edited) -> Iterator[Served]:
    with serving(tmp_path, edited.file.parent, "--redis", edited.server.url) as served:
        for thing in THINGS:
            assert served.ask(f"How do I reset my {thing}?").status_code == 200
        # What a machine that stands still has not embedded in time is found by the very same prompt alone.
        wait_for(lambda: len(edited.prompts()) > len(THINGS) / 3, "enough are remembered")
        edited.things = [each for each in THINGS if f"How do I reset my {each}?" in edited.prompts()]
        yield served


def until_said(served: Served, text: str, times: int = 1) -> None:
    try:
        wait_for(lambda: served.process.output.count(text) >= times, text, 90)
    except AssertionError:
        raise AssertionError(served.process.output[-2_000:]) from None


def finds(served: Served, things: Sequence[str]) -> bool:
    asked = [served.ask(f"How can I reset my {thing}?").headers["x-tollway-cache-reason"] for thing in things]
    return set(_ended(asked)) <= set(HITS)


@pytest.mark.long
@pytest.mark.parametrize(
    ("there", "back"),
    [pytest.param(WORDLLAMA, MINILM, id="wordllama"), pytest.param(FLOAT16, MINILM, id="Float16")],
)
def test_an_embedding_is_changed_and_changed_back_under_load(
    tmp_path: Path, edited: Edited, there: Mapping[str, object], back: Mapping[str, object]
) -> None:
    with remembering(tmp_path, edited) as served:
        load = Load(served, edited.things)
        with load.going_on():
            load.share()  # what was not remembered in time is by then
            before = load.share()
            begin = len(load.reasons)
            for turn, index in enumerate((there, back), 1):
                edited.to(index, per_second=10)
                until_said(served, DONE, turn)
                load.share()
            assert before > 0.9, Counter(load.reasons[:begin])
            assert load.least_since(begin) >= before - 0.05, Counter(load.reasons[begin:])
        assert load.failed == []
        wait_for(lambda: len(edited.versions()) == 1, "the other version is dropped", 30)
        ((name, (documents, refused)),) = edited.versions().items()
        assert refused == 0
        assert documents >= len(edited.things)
        assert edited.lengths() == {name: {1_536}}, "nothing is left of the other one"


def test_it_goes_on_where_it_was_when_it_is_killed(tmp_path: Path, edited: Edited) -> None:
    with remembering(tmp_path, edited) as served:
        edited.to(WORDLLAMA, per_second=2)
        until_said(served, "embedded anew")
        wait_for(lambda: min(each for each, _ in edited.versions().values()) > 3, "some are", 30)
        served.process.stop(signal.SIGKILL)
    filled = min(each for each, _ in edited.versions().values())
    assert filled < len(edited.things)
    edited.to(WORDLLAMA)
    with serving(tmp_path, edited.file.parent, "--redis", edited.server.url) as served:
        assert finds(served, edited.things[:3]), "the old version is asked until the new one is complete"
        until_said(served, DONE)
        assert finds(served, edited.things)


def test_one_edit_takes_it_back(tmp_path: Path, edited: Edited) -> None:
    with remembering(tmp_path, edited) as served:
        before = set(edited.versions())
        edited.to(WORDLLAMA, per_second=1)
        until_said(served, "embedded anew")
        edited.to(MINILM)
        until_said(served, DONE)
        wait_for(lambda: set(edited.versions()) == before, "what was begun is dropped", 30)
        assert finds(served, edited.things)


def test_an_endpoint_whose_vectors_are_of_another_length_changes_nothing(
    tmp_path: Path, edited: Edited, cheap: Provider
) -> None:
    outside = {"provider": "OpenAICompatible", "model": "m", "endpoint": cheap.endpoint}
    with remembering(tmp_path, edited) as served:
        edited.to({"embedding": {**outside, "dimensions": 512}})
        why = "in the way: the endpoint's vectors of m have 256 dimensions, not 512"
        until_said(served, why)
        assert finds(served, edited.things)
        assert served.ask("How do I paint a wooden fence?").status_code == 200
        assert all(refused == 0 for _, refused in edited.versions().values())
        edited.to({"embedding": {**outside, "dimensions": 256}})
        until_said(served, DONE)
        wait_for(lambda: list(edited.lengths().values()) == [{1_024}], "the other version is dropped", 30)
