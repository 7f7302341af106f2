"""What labels say of the simple models' answers, by policy; present only where they are judged. And what the router
lacks.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

from tollway_api.error_control import Standing


class RouteMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._quality = Gauge(
            "ai_route_quality",
            "Share of the simple model's judged answers that were as good as the complex one's: the estimate, and the "
            "ends of its confidence interval.",
            ["policy", "bound"],
            registry=registry,
        )
        self._simple_share = Gauge(
            "tollway_route_simple_share",
            "Share of prompts, by the router's curve, that is left to the simple model where its answers are judged.",
            ["policy"],
            registry=registry,
        )
        self._labels = Counter(
            "tollway_route_labels_total",
            "Pairs of answers of the simple and the complex model that were to be judged, by what came of it.",
            ["policy", "outcome"],
            registry=registry,
        )

        self._lacking = Gauge(
            "tollway_route_examples_missing",
            "Examples of policies that the router does without, because they could not be embedded yet.",
            registry=registry,
        )

    def observe_lacking(self, examples: int) -> None:
        self._lacking.set(examples)

    def observe_label(self, policy: str, outcome: str) -> None:
        self._labels.labels(policy, outcome).inc()

    def observe_standing(self, policy: str, known: Standing | None) -> None:
        if known is None:
            self._simple_share.remove_by_labels({"policy": policy})
        else:
            self._simple_share.labels(policy).set(known.left_to_simple)
        if known is None or not known.counts.judged:
            self._quality.remove_by_labels({"policy": policy})
            return
        for bound, value in known.shares_right._asdict().items():
            self._quality.labels(policy, bound).set(value)
