"""A panel shows each percentile beside the baseline's."""

from xml.etree import ElementTree as ET

from bench.latency_curves import drawing
from bench.report import spread


def test_a_picture_is_drawn_of_each_share_of_the_capacity() -> None:
    percentiles = {name: spread([value]) for name, value in (("p50_ms", 1.5), ("p99_ms", 30.0))}
    at = {**percentiles, **{f"baseline_{name}": value for name, value in percentiles.items()}}
    drawn = drawing({"Tollway live": {"at": {"0.25": at, "0.5": at}}})
    said = set(ET.fromstring(drawn).itertext())  # noqa: S314 - we have just drawn it
    assert {"Tollway live, ms", "25%", "50%", "p99", "baseline p50", "100"} <= said
