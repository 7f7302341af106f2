"""What a policy's status says of its simple model's answers: from labels in the real Redis, by the real operator."""

import time

import redis

from tests.dataplanes import Setup, compiled
from tests.installation import Installation
from tests.processes import wait_for
from tollway_api import wire
from tollway_api.error_control import EASES, Label, Scale, label_field

FLOOR = {"least": "90%", "window": "24h"}
SETUP = Setup(
    "http://127.0.0.1:9/v1",
    "http://127.0.0.1:9/v1",
    policy={"route": {"complexity": {"classifier": "Embedding"}, "minQuality": FLOOR}},
)


def label(client: "redis.Redis", right: int, wrong: int) -> None:
    """So many more of the easiest half of prompts, now."""
    sample = wire.choices_of(compiled(SETUP.objects()).policies[0])
    assert sample is not None
    key, *_ = wire.label_keys(sample, time.time_ns() // 1_000_000)
    for which, many in ((Label.RIGHT, right), (Label.WRONG, wrong)):
        client.hincrby(key, label_field(Scale.EASE, EASES.index(0.5), which), many)


def test_a_floor_is_not_known_then_met_then_broken(installation: Installation) -> None:
    with (
        installation.light_pod("dp-1"),
        installation.operator(),
        redis.Redis("127.0.0.1", port=installation.cache.port) as client,
    ):
        installation.apply(*SETUP.objects())
        few = installation.until("RoutingPolicy", "chat", "QualityMet", "TooFewLabels")
        assert few["status"] == "Unknown"
        installation.until_ready()

        def quality() -> dict[str, object]:
            shown: dict[str, object] = installation.get("RoutingPolicy", "chat")["status"]["quality"]
            return shown

        assert quality()["simpleShare"] == "0.0000"
        label(client, 1_980, 20)
        met = installation.until("RoutingPolicy", "chat", "QualityMet", "QualityMet")
        assert "Of 2000 judged answers of the simple model, to the easiest 50 % of prompts" in met["message"]
        assert (quality()["estimate"], quality()["labels"]) == ("0.9900", 2_000)
        assert (quality()["simpleShare"], quality()["measuredShare"]) == ("0.5000", "1.0000")
        label(client, 0, 1_000)
        broken = installation.until("RoutingPolicy", "chat", "QualityMet", "QualityBreached")
        assert "the complex model answers all of them" in broken["message"]
        wait_for(lambda: quality()["simpleShare"] == "0.0000", "everything is left to the complex model")
        installation.until("RoutingPolicy", "chat", "Ready", "Ready")
