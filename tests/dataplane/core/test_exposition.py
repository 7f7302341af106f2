"""The metrics of several processes on one page."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tollway_dataplane.core.exposition import merged

# Of which Python takes the last three for ends of lines as well.
ODD = 'a "quoted" {value}, with = and \\ and\nlines\r\u2028\x85'


def registry(requests: int, *, is_slow: bool = False) -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("asked", "Requests.", ["tenant"], registry=found).labels(ODD).inc(
        requests, exemplar={"trace_id": "abc"}
    )
    Gauge("up", "Without a label.", registry=found).set(1)
    if is_slow:
        Histogram("took", "Seconds.", registry=found, buckets=[1.0]).observe(2)
    return found


def own() -> CollectorRegistry:
    found = CollectorRegistry()
    Gauge("alive", "Which are.", ["worker"], registry=found).labels("1").set(1)
    return found


@pytest.mark.parametrize(
    ("encode", "parse"),
    [
        (exposition.generate_latest, text_string_to_metric_families),
        (openmetrics.generate_latest, openmetrics_families),
    ],
    ids=["text", "OpenMetrics"],
)
def test_every_sample_is_kept_and_says_whose_it_is(encode, parse) -> None:  # type: ignore[no-untyped-def]  # the library's two formats have the same functions
    pages = {"1": encode(registry(3)).decode(), "2": encode(registry(4, is_slow=True)).decode()}
    families = list(parse(merged(pages, encode(own()).decode())))
    names = [each.name for each in families]
    assert len(names) == len(set(names)), "each family is said once"
    samples = {
        (sample.name, sample.labels.get("worker")): sample
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert samples["asked_total", "1"].value == 3
    assert samples["asked_total", "2"].value == 4
    assert samples["asked_total", "2"].labels["tenant"] == ODD
    assert samples["up", "1"].value == samples["up", "2"].value == 1
    assert samples["took_count", "2"].value == 1
    assert ("took_count", "1") not in samples
    assert samples["alive", "1"].value == 1


def test_nobody_who_answers_leaves_what_is_known_without_them() -> None:
    page = exposition.generate_latest(own()).decode()
    assert merged({}, page) == page
