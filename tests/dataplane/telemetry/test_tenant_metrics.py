"""Thousands of tenants, and a bounded number of series that never fall and lose nothing."""

from collections import defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_api.snapshot import NANO_PER_USD
from tollway_dataplane.core.decision import Source
from tollway_dataplane.core.facts import Usage
from tollway_dataplane.record import JUDGING, Record
from tollway_dataplane.telemetry.tenant_metrics import OTHERS, TenantMetrics

Samples = Mapping[tuple[str, ...], float]


def shown(metrics: TenantMetrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    }


def spent(metrics: TenantMetrics) -> dict[str, float]:
    return {
        tenant: round(value * NANO_PER_USD)
        for (tenant,), value in shown(metrics, "ai_cost_per_tenant").items()
    }


def spend(metrics: TenantMetrics, tenant: str, nano: int) -> None:
    metrics.observe(Record("r", "chat", tenant=tenant, cost_nano=nano, source=Source.LIVE))


def test_a_request_is_counted_in_every_way_there_is() -> None:
    metrics = TenantMetrics(10)
    usage = Usage(30, 12)
    metrics.observe(
        Record(
            "r", "chat", tenant="acme", model="cheap", source=Source.LIVE, usage=usage, cost_nano=5_000,
            embedding_nano=1_000, estimated_nano=2_000, routed_nano=7_000,
        )
    )  # fmt: skip
    metrics.observe(Record("r", "chat", tenant="acme", source=Source.EXACT, saved_nano=4_000))
    metrics.observe(Record("r", JUDGING, tenant="acme", source=Source.LIVE, cost_nano=3_000))
    metrics.overshot("acme", 9_000)
    metrics.observe(Record("r", "unknown"))
    assert shown(metrics, "ai_cost_per_tenant") == {("acme",): 8e-6}
    assert shown(metrics, "ai_cost_saved_usd_total") == {("acme",): 4e-6}
    assert shown(metrics, "ai_cost_saved_by_routing_usd_total") == {("acme",): 7e-6}
    assert shown(metrics, "ai_cost_estimated_usd_total") == {("acme",): 2e-6}
    assert shown(metrics, "ai_cost_overhead_usd_total") == {
        ("acme", "Embedding"): 1e-6,
        ("acme", "Judging"): 3e-6,
    }
    assert shown(metrics, "ai_budget_overshoot_usd") == {("acme",): 9e-6}
    assert shown(metrics, "ai_tokens_total") == {
        ("acme", "cheap", "prompt"): 30,
        ("acme", "cheap", "completion"): 12,
    }
    assert shown(metrics, "ai_requests_total") == {("acme", "live"): 1, ("acme", "exact"): 1}


def test_who_spends_most_is_named_and_the_rest_is_one() -> None:
    metrics = TenantMetrics(2)
    for tenant in ("a", "b", "c", "d"):
        spend(metrics, tenant, 100)
    assert spent(metrics) == {"a": 100, "b": 100, OTHERS: 200}
    spend(metrics, "c", 25)
    assert "c" not in spent(metrics), "who has spent hardly more takes nobody's place"
    spend(metrics, "c", 1_000)
    assert spent(metrics) == {"b": 100, "c": 1_000, OTHERS: 225}
    spend(metrics, "a", 3_000)
    assert spent(metrics) == {"c": 1_000, "a": 3_100, OTHERS: 225}, "it goes on from where it was"


def test_without_any_names_all_are_one() -> None:
    metrics = TenantMetrics(0)
    spend(metrics, "a", 100)
    assert spent(metrics) == {OTHERS: 100}


def test_a_tenant_that_is_gone_takes_its_series_along() -> None:
    metrics = TenantMetrics(1)
    spend(metrics, "a", 100)
    metrics.keep_only({"b"})
    spend(metrics, "b", 1)
    assert spent(metrics) == {"b": 1}


def test_thousands_of_tenants_are_a_bounded_number_of_series() -> None:
    metrics = TenantMetrics(100)
    for number in range(5_000):
        spend(metrics, f"tenant-{number}", number)
    found = spent(metrics)
    assert len(found) == 101
    assert sum(found.values()) <= sum(range(5_000))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 1_000)), max_size=200))
def test_no_series_ever_falls_and_the_sum_of_all_increases_is_exact(spending: list[tuple[str, int]]) -> None:
    metrics, before, increases = TenantMetrics(2), defaultdict[str, float](float), 0.0
    for tenant, nano in spending:
        spend(metrics, tenant, nano)
        found = spent(metrics)
        assert len(found) <= 3
        for name, value in found.items():
            assert value >= before[name]
            increases += value - before[name]
            before[name] = value
    assert increases == sum(nano for _, nano in spending)


def test_a_million_small_answers_are_summed_exactly() -> None:
    metrics = TenantMetrics(1)
    for _ in range(10_000):
        spend(metrics, "a", 1)
    assert shown(metrics, "ai_cost_per_tenant") == {("a",): pytest.approx(1e-5, rel=1e-15)}
