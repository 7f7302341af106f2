"""What the dashboard shows: rows of panels, each a question and the queries that answer it. Metrics are written without
the installation, which `tools.generate_dashboard` adds to each, and `[R]` is the range that suits the zoom.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Grafana's names."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"
    TABLE = "table"


@dataclass(frozen=True)
class Query:
    """PromQL, and what a line is called: Grafana fills in `{{label}}`."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`unit` is one of Grafana's. Of the 24 columns of a row it takes `width`."""

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 8
    stacked: bool = False
    warns_at: float | None = None  # from where a value is yellow
    alarms_at: float | None = None  # and red


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def _percentile(share: float, metric: str, *by: str, where: str = "") -> str:
    labels = ", ".join((*by, "le"))
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket{where}[R])))"


_ALL: Final = 'ai_request_duration_seconds_count{operation!="judging"}'
_FAILED: Final = 'ai_request_duration_seconds_count{operation!="judging", status=~"5.."}'
_HITS: Final = 'ai_cache_lookups_total{outcome="hit"}'
_LOOKUPS: Final = 'ai_cache_lookups_total{outcome=~"hit|miss"}'

ROWS: Final = (
    Row(
        "At a glance",
        (
            Panel("Requests", "In a second.", "reqps", (Query(f"sum(rate({_ALL}[R]))"),), Kind.NUMBER, 4),
            Panel(
                "Failed",
                "Share of requests answered with a status of 500 or more.",
                "percentunit",
                (Query(f"(sum(rate({_FAILED}[R])) or vector(0)) / sum(rate({_ALL}[R]))"),),
                Kind.NUMBER,
                4,
                warns_at=0.01,
                alarms_at=0.05,
            ),
            Panel(
                "Hit ratio",
                "Share of cache look-ups that were answered from memory; bypasses aside.",
                "percentunit",
                (Query(f"sum(increase({_HITS}[$__range])) / sum(increase({_LOOKUPS}[$__range]))"),),
                Kind.NUMBER,
                4,
            ),
            Panel(
                "Spent",
                "USD at providers, in the time that is shown.",
                "currencyUSD",
                (Query("sum(increase(ai_cost_per_tenant[$__range]))"),),
                Kind.NUMBER,
                4,
            ),
            Panel(
                "Saved",
                "USD that hits, and answers of simple models, did not cost, in the time that is shown.",
                "currencyUSD",
                (
                    Query("sum(increase(ai_cost_saved_usd_total[$__range]))", "by the cache"),
                    Query("sum(increase(ai_cost_saved_by_routing_usd_total[$__range]))", "by routing"),
                ),
                Kind.NUMBER,
                4,
            ),
            Panel(
                "Fullest budget",
                "Used and held, as a share of its limit.",
                "percentunit",
                (Query("max(ai_budget_utilization_ratio)"),),
                Kind.NUMBER,
                4,
                warns_at=0.8,
                alarms_at=1,
            ),
        ),
    ),
    Row(
        "Traffic and latency",
        (
            Panel(
                "Requests by source",
                "Where answers came from; none: refused.",
                "reqps",
                (Query("sum by (source) (rate(ai_requests_total[R]))", "{{source}}"),),
                stacked=True,
            ),
            Panel(
                "Latency by source, P50",
                "From the request's arrival to the end of its reply.",
                "s",
                (Query(_percentile(0.5, "ai_request_duration_seconds", "source"), "{{source}}"),),
            ),
            Panel(
                "Latency by source, P99",
                "From the request's arrival to the end of its reply. Hits should stay below 0.5 s.",
                "s",
                (Query(_percentile(0.99, "ai_request_duration_seconds", "source"), "{{source}}"),),
            ),
            Panel(
                "Replies by status",
                "499: the caller left.",
                "reqps",
                (Query(f"sum by (status) (rate({_ALL}[R]))", "{{status}}"),),
                stacked=True,
            ),
            Panel(
                "Refusals",
                "By the code of the reply.",
                "reqps",
                (Query("sum by (code) (rate(tollway_refusals_total[R]))", "{{code}}"),),
                stacked=True,
            ),
            Panel(
                "Data planes",
                "Requests under way, and how late the event loop is (P99): above 0.05 s the processor is too small.",
                "short",
                (
                    Query("sum by (pod) (tollway_requests_in_flight)", "{{pod}} under way"),
                    Query(_percentile(0.99, "tollway_event_loop_lag_seconds", "pod"), "{{pod}} lag, s"),
                ),
            ),
        ),
    ),
    Row(
        "Cache",
        (
            Panel(
                "Hit ratio",
                "Share of cache look-ups that were answered; bypasses aside.",
                "percentunit",
                (
                    Query(f"sum(rate({_HITS}[R])) / sum(rate({_LOOKUPS}[R]))", "now"),
                    Query("avg(ai_cache_hit_ratio)", "since start"),
                ),
            ),
            Panel(
                "Look-ups",
                "By what came of them, and why.",
                "reqps",
                (
                    Query(
                        "sum by (outcome, reason) (rate(ai_cache_lookups_total[R]))",
                        "{{outcome}}: {{reason}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Accuracy of hits by meaning",
                "Of judged hits, the share that was right, and the ends of its confidence interval.",
                "percentunit",
                (Query("max by (index, bound) (ai_cache_hit_accuracy)", "{{index}} {{bound}}"),),
            ),
            Panel(
                "Serves from",
                "The least probability that is served by meaning, where the error rate is bounded.",
                "none",
                (Query("max by (index) (tollway_cache_operating_point) <= 1", "{{index}}"),),
            ),
            Panel(
                "Judged hits",
                "By what the judge said, or why it said nothing.",
                "short",
                (
                    Query(
                        "sum by (index, outcome) (increase(tollway_cache_labels_total[R]))",
                        "{{index}}: {{outcome}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Remembered",
                "Answers to remember, by what came of it.",
                "reqps",
                (Query("sum by (outcome) (rate(tollway_cache_stores_total[R]))", "{{outcome}}"),),
                stacked=True,
            ),
        ),
    ),
    Row(
        "Money",
        (
            Panel(
                "Spent an hour",
                "USD at providers, of the ten tenants that spend most. _other: all that have no line of their own.",
                "currencyUSD",
                (Query("topk(10, sum by (tenant) (rate(ai_cost_per_tenant[R]))) * 3600", "{{tenant}}"),),
                stacked=True,
            ),
            Panel(
                "Saved an hour, and what the cache costs",
                "USD that hits and simple models did not cost; USD spent to embed prompts and to judge hits.",
                "currencyUSD",
                (
                    Query("sum(rate(ai_cost_saved_usd_total[R])) * 3600", "saved by the cache"),
                    Query("sum(rate(ai_cost_saved_by_routing_usd_total[R])) * 3600", "saved by routing"),
                    Query(
                        "sum by (purpose) (rate(ai_cost_overhead_usd_total[R])) * 3600",
                        "spent on {{purpose}}",
                    ),
                ),
            ),
            Panel(
                "Budgets",
                "Used and held, as a share of the limit; without a tenant: shared ones.",
                "percentunit",
                (
                    Query(
                        "topk(20, max by (tenant, limit) (ai_budget_utilization_ratio))",
                        "{{tenant}} {{limit}}",
                    ),
                ),
                Kind.BARS,
                warns_at=0.8,
                alarms_at=1,
            ),
            Panel(
                "Tokens",
                "In a second, by model and direction.",
                "short",
                (Query("sum by (model, direction) (rate(ai_tokens_total[R]))", "{{model}} {{direction}}"),),
                stacked=True,
            ),
            Panel(
                "Not known exactly",
                "USD an hour that were estimated, where providers did not say; USD used beyond what was held.",
                "currencyUSD",
                (
                    Query("sum(rate(ai_cost_estimated_usd_total[R])) * 3600", "estimated"),
                    Query(
                        "sum by (tenant) (ai_budget_overshoot_usd)", "overshoot of {{tenant}}, since start"
                    ),
                ),
            ),
            Panel(
                "Settlements",
                "That the ledger did not take at once, and those that were given up, which no budget knows of.",
                "short",
                (
                    Query("sum(increase(tollway_ledger_unsettled_total[R]))", "not at once"),
                    Query("sum(increase(tollway_ledger_uncounted_total[R]))", "given up"),
                ),
            ),
        ),
    ),
    Row(
        "Models",
        (
            Panel(
                "Routing share",
                "Which model answered, and why that was chosen.",
                "percentunit",
                (
                    Query(
                        "sum by (model, reason) (rate(ai_routed_requests_total[R]))"
                        " / scalar(sum(rate(ai_routed_requests_total[R])))",
                        "{{model}}: {{reason}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Quality of simple models' answers",
                "Of those that were judged, the share as good as the complex model's, and the ends of its confidence "
                "interval.",
                "percentunit",
                (Query("max by (policy, bound) (ai_route_quality)", "{{policy}} {{bound}}"),),
            ),
            Panel(
                "Left to simple models",
                "Share of prompts, by the router's curve, that labels let a simple model have; the least of all data "
                "planes.",
                "percentunit",
                (Query("min by (policy) (tollway_route_simple_share)", "{{policy}}"),),
            ),
            Panel(
                "Attempts",
                "At providers, by what came of them.",
                "reqps",
                (
                    Query(
                        "sum by (model, outcome) (rate(ai_upstream_requests_total[R]))",
                        "{{model}}: {{outcome}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Fallbacks",
                "From which model to which, and why.",
                "reqps",
                (
                    Query(
                        "sum by (from, to, trigger) (rate(ai_fallback_count_total[R]))",
                        "{{from}} → {{to}}: {{trigger}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Circuit breakers",
                "How many data planes and endpoints see a policy's model in which state.",
                "short",
                (
                    Query(
                        "count by (policy, model, state) (tollway_model_state)",
                        "{{policy}} {{model}}: {{state}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Cooldowns",
                "For how long providers still want to be left alone.",
                "s",
                (
                    Query(
                        "max by (policy, model) (tollway_model_cooldown_seconds)",
                        "{{policy}} {{model}}",
                    ),
                ),
            ),
            Panel(
                "Errors of providers",
                "By status, or what became of the connection.",
                "reqps",
                (Query("sum by (model, kind) (rate(ai_upstream_errors_total[R]))", "{{model}}: {{kind}}"),),
                stacked=True,
            ),
            Panel(
                "Attempts of a request",
                "On average, of those for which a provider was asked.",
                "none",
                (
                    Query(
                        "sum(rate(ai_upstream_attempts_per_request_sum[R]))"
                        " / sum(rate(ai_upstream_attempts_per_request_count[R]))"
                    ),
                ),
            ),
            Panel(
                "Time to first token",
                "Of streams, at the model that answered.",
                "s",
                (
                    Query(_percentile(0.5, "ai_time_to_first_token_seconds", "model"), "{{model}} P50"),
                    Query(_percentile(0.99, "ai_time_to_first_token_seconds", "model"), "{{model}} P99"),
                ),
                width=12,
            ),
            Panel(
                "Tokens a second",
                "Of one answer: of streams after the first token, and else of the whole call. Median.",
                "short",
                (Query(_percentile(0.5, "ai_tokens_per_second", "model"), "{{model}}"),),
                width=12,
            ),
        ),
    ),
    Row(
        "Redis",
        (
            Panel(
                "Answers",
                "1 where Redis answers every data plane.",
                "none",
                (Query("min by (role) (tollway_redis_up)", "{{role}}"),),
            ),
            Panel(
                "Memory",
                "What each uses, and its maxmemory.",
                "bytes",
                (
                    Query("max by (role) (redis_memory_usage_bytes)", "{{role}}"),
                    Query("max by (role) (redis_memory_max_bytes) > 0", "{{role}}, maxmemory"),
                ),
            ),
            Panel(
                "Memory used",
                "As a share of maxmemory. A full cache forgets; a full ledger refuses.",
                "percentunit",
                (
                    Query(
                        "max by (role) (redis_memory_usage_bytes) / (max by (role) (redis_memory_max_bytes) > 0)",
                        "{{role}}",
                    ),
                ),
                Kind.BARS,
                warns_at=0.8,
                alarms_at=0.95,
            ),
        ),
    ),
    Row(
        "Embedding service",
        (
            Panel(
                "Requests",
                "Of whoever asks the service for vectors, by the reply's status. Nothing where it does not run.",
                "reqps",
                (
                    Query(
                        "sum by (status) (rate(tollway_embed_request_duration_seconds_count[R]))",
                        "{{status}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Latency",
                "From the request's arrival to its reply.",
                "s",
                (
                    Query(_percentile(0.5, "tollway_embed_request_duration_seconds"), "P50"),
                    Query(_percentile(0.99, "tollway_embed_request_duration_seconds"), "P99"),
                ),
            ),
            Panel(
                "Waiting",
                "Texts taken on and not embedded yet, and requests under way. What is refused is more than may wait.",
                "short",
                (
                    Query("sum by (pod) (tollway_embed_texts_waiting)", "{{pod}} texts"),
                    Query("sum by (pod) (tollway_embed_requests_in_flight)", "{{pod}} requests"),
                ),
            ),
            Panel(
                "Texts and tokens",
                "Embedded in a second.",
                "short",
                (
                    Query("sum(rate(tollway_embed_batch_texts_sum[R]))", "texts"),
                    Query("sum(rate(tollway_embed_tokens_total[R]))", "tokens"),
                ),
            ),
            Panel(
                "Texts a run",
                "How many texts share one run of the encoder, on average: 16 at most, and then it is busy.",
                "none",
                (
                    Query(
                        "sum(rate(tollway_embed_batch_texts_sum[R]))"
                        " / sum(rate(tollway_embed_batch_texts_count[R]))"
                    ),
                ),
            ),
            Panel(
                "Refusals of the embedding service",
                "By the code of the reply.",
                "reqps",
                (Query("sum by (code) (rate(tollway_embed_refusals_total[R]))", "{{code}}"),),
                stacked=True,
            ),
        ),
    ),
    Row(
        "Snapshots and operators",
        (
            Panel(
                "Revisions by pod",
                "What each data plane runs.",
                "none",
                (Query("max by (pod, revision) (tollway_snapshot_info)"),),
                Kind.TABLE,
            ),
            Panel(
                "Pods by revision",
                "As pods say it, and as the operator has heard it. One line each, but for a moment after an edit.",
                "short",
                (
                    Query("count by (revision) (tollway_snapshot_info)", "{{revision}}"),
                    Query("max by (revision) (tollway_operator_pods)", "{{revision}}, heard"),
                ),
            ),
            Panel(
                "Acknowledged and rejected",
                "Snapshots, by data planes.",
                "short",
                (
                    Query("sum(increase(tollway_operator_acks_total[R]))", "acknowledged"),
                    Query("sum(increase(tollway_operator_nacks_total[R]))", "rejected, as told"),
                    Query("sum(increase(tollway_snapshots_rejected_total[R]))", "rejected, as tried"),
                ),
            ),
            Panel(
                "Leader and waiting edits",
                "How many operators lead, which should be one, and for how long the oldest edit has been waiting.",
                "short",
                (
                    Query("sum(tollway_operator_leads)", "leaders"),
                    Query("max(tollway_operator_queue_age_seconds)", "oldest edit, s"),
                    Query("max by (kind) (tollway_operator_watch_age_seconds)", "watch of {{kind}}, s"),
                ),
            ),
            Panel(
                "Reconciliations",
                "By outcome, and how long their steps take (P99).",
                "short",
                (
                    Query("sum by (outcome) (increase(tollway_operator_reconciles_total[R]))", "{{outcome}}"),
                    Query(_percentile(0.99, "tollway_operator_step_seconds", "step"), "{{step}}, s"),
                ),
            ),
            Panel(
                "Objects and problems",
                "What the operator knows, and what is wrong with it.",
                "short",
                (
                    Query("max by (kind) (tollway_operator_objects)", "{{kind}}"),
                    Query("max by (severity) (tollway_operator_problems)", "problems: {{severity}}"),
                ),
            ),
        ),
    ),
)
