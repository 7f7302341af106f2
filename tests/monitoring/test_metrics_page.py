"""The page of metrics: what it promises, and that nothing in it grows without bound."""

from tools.generate_metrics import LABELS, planes

# Dashboards and alerts are built on these.
PROMISED = {
    "ai_cache_hit_ratio": set(),
    "ai_cache_lookups_total": {"outcome", "reason"},
    "ai_cache_hit_accuracy": {"index", "bound"},
    "ai_request_duration_seconds": {"operation", "source", "status"},
    "ai_cost_per_tenant": {"tenant"},
    "ai_cost_saved_usd_total": {"tenant"},
    "ai_budget_utilization_ratio": {"tenant", "limit"},
    "ai_fallback_count_total": {"from", "to", "trigger"},
    "ai_upstream_requests_total": {"model", "outcome"},
    "ai_tokens_total": {"tenant", "model", "direction"},
    "redis_memory_usage_bytes": {"role"},
    "tollway_event_loop_lag_seconds": set(),
    "tollway_snapshot_info": {"revision"},
}
# Of each request or caller there is another one.
UNBOUNDED = {
    "request_id",
    "prompt",
    "key",
    "user",
    "session",
    "conversation",
    "message",
    "error",
    "pod",
    "id",
}


def test_what_is_promised_is_there_with_its_labels() -> None:
    found = {each.name: set(each.labels) for each in planes()["Data planes"]}
    assert {name: found.get(name) for name in PROMISED} == PROMISED


def test_every_label_is_one_of_which_it_is_said_what_bounds_it() -> None:
    used = {label for several in planes().values() for each in several for label in each.labels}
    assert used == LABELS.keys()
    assert not used & UNBOUNDED


def test_every_metric_says_what_it_counts_and_in_which_unit() -> None:
    everything = [each for several in planes().values() for each in several]
    assert len({each.name for each in everything}) == len(everything) > 50
    assert [each.name for each in everything if not each.about.endswith(".")] == []
    assert [
        each.name for each in everything if each.name.endswith("_total") != (each.kind == "counter")
    ] == []
