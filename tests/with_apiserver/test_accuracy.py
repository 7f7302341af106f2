"""What a status says of an index's errors: from labels in the real Redis, by the real operator."""

import time

import redis

from tests.dataplanes import Setup, compiled
from tests.installation import Installation
from tests.processes import wait_for
from tollway_api import wire
from tollway_api.error_control import POINTS, Label, Scale, label_field

INDEX = "default/answers"
SETUP = Setup(
    "http://127.0.0.1:9/v1",
    "http://127.0.0.1:9/v1",
    index={"accuracy": {"maxErrorRate": "2%", "window": "24h"}},
)


def label(client: "redis.Redis", right: int, wrong: int) -> None:
    """So many more at 0.95, now."""
    sample = wire.hits_of(compiled(SETUP.objects()).indexes[INDEX])
    assert sample is not None
    key, *_ = wire.label_keys(sample, time.time_ns() // 1_000_000)
    client.hincrby(key, label_field(Scale.PROBABILITY, POINTS.index(0.95), Label.RIGHT), right)
    client.hincrby(key, label_field(Scale.PROBABILITY, POINTS.index(0.95), Label.WRONG), wrong)


def test_a_bound_is_not_known_then_met_then_broken(installation: Installation) -> None:
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*SETUP.objects())
        few = installation.until("SemanticCacheIndex", "answers", "AccuracyMet", "TooFewLabels")
        assert few["status"] == "Unknown"
        installation.until_ready()
        label(client, 2_000, 2)
        met = installation.until("SemanticCacheIndex", "answers", "AccuracyMet", "AccuracyMet")
        assert "Of 2002 judged hits from probability 0.95 on 0.1 % were wrong" in met["message"]

        def accuracy() -> dict[str, object]:
            shown: dict[str, object] = installation.get("SemanticCacheIndex", "answers")["status"]["accuracy"]
            return shown

        assert accuracy().keys() == {"errorRate", "lower", "upper", "labels", "threshold"}
        assert (accuracy()["errorRate"], accuracy()["threshold"]) == ("0.0010", "0.95")
        label(client, 0, 500)
        broken = installation.until("SemanticCacheIndex", "answers", "AccuracyMet", "AccuracyBreached")
        assert "Nothing is served by meaning" in broken["message"]
        wait_for(lambda: accuracy()["threshold"] == "", "nothing is served")
        installation.until("SemanticCacheIndex", "answers", "Ready", "Ready")


def test_an_index_without_a_bound_says_so(installation: Installation) -> None:
    with installation.light_pod("dp-1"), installation.operator():
        installation.apply(*SETUP.but(index={}).objects())
        installation.until("SemanticCacheIndex", "answers", "AccuracyMet", "NoBound")
        assert "accuracy" not in installation.get("SemanticCacheIndex", "answers")["status"]
