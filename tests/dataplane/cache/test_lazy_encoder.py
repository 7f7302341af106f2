"""When the encoder is loaded, and what it means that it cannot be."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from tests.dataplanes import Setup, compiled
from tollway_api.snapshot import Snapshot
from tollway_dataplane.cache.lazy_encoder import LazyEncoder
from tollway_dataplane.errors import EmbedderFault, SnapshotFault
from tollway_dataplane.prompts.reading import Encoded

NOBODY = "http://127.0.0.1:9/v1"


class Encoder:
    is_closed = False

    async def embed(self, text: str, _: float = inf) -> Encoded:
        return Encoded(np.zeros(len(text), np.float32), np.zeros((0, 384), np.float32), [])

    async def aclose(self) -> None:
        self.is_closed = True


class Loading:
    """Fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.times = 0
        self.encoder = Encoder()

    async def __call__(self) -> Encoder:
        self.times += 1
        await asyncio.sleep(0)
        if self.times <= self.failures:
            raise EmbedderFault("model.onnx is damaged")
        return self.encoder


@pytest.fixture(scope="module")
def remembering() -> Snapshot:
    return compiled(Setup(NOBODY, NOBODY).objects())


@pytest.fixture(scope="module")
def plain(remembering: Snapshot) -> Snapshot:
    return replace(
        remembering, indexes={}, policies=tuple(replace(each, cache=None) for each in remembering.policies)
    )


def routed_by_meaning() -> Snapshot:
    route = {"complexity": {"classifier": "Embedding"}, "simpleShare": "50%"}
    return replace(compiled(Setup(NOBODY, NOBODY, policy={"route": route}).objects()), indexes={})


async def test_who_neither_remembers_nor_routes_by_meaning_loads_none(plain: Snapshot) -> None:
    loading = Loading()
    encoder = LazyEncoder(loading)
    await encoder.prepare(plain)
    await encoder.aclose()
    assert loading.times == 0


async def test_an_index_has_it_loaded_once_before_anybody_asks(
    plain: Snapshot, remembering: Snapshot
) -> None:
    loading = Loading()
    encoder = LazyEncoder(loading)
    for snapshot in (plain, remembering, remembering):
        await encoder.prepare(snapshot)
    assert loading.times == 1
    assert len((await encoder.embed("abc")).vector) == 3
    await encoder.aclose()
    assert loading.encoder.is_closed


async def test_a_route_by_meaning_has_it_loaded_as_well() -> None:
    loading = Loading()
    await LazyEncoder(loading).prepare(routed_by_meaning())
    assert loading.times == 1


async def test_who_asks_before_it_is_loaded_waits_for_it() -> None:
    loading = Loading()
    encoder = LazyEncoder(loading)
    found = await asyncio.gather(*(encoder.embed("a" * length) for length in range(5)))
    assert [len(each.vector) for each in found] == [0, 1, 2, 3, 4]
    assert loading.times == 1


async def test_a_snapshot_that_needs_it_does_not_run_without_it_and_is_tried_again(
    remembering: Snapshot,
) -> None:
    encoder = LazyEncoder(Loading(failures=1))
    with pytest.raises(SnapshotFault, match="damaged"):
        await encoder.prepare(remembering)
    await encoder.prepare(remembering)


def test_what_not_every_data_plane_needs_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, tollway_dataplane.app\n"
        "late = {'onnxruntime', 'tokenizers', 'litellm', 'lightkube', 'wordllama', 'opentelemetry.exporter'}\n"
        "sys.exit(sorted(late & sys.modules.keys()) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
