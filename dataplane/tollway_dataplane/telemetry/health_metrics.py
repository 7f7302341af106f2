"""How the models are, for Prometheus, which asks now and then."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tollway_dataplane.fallback.health import EndpointState

_LABELS: Final = ("policy", "model", "endpoint")


class HealthMetrics(Collector):
    def __init__(self, endpoint_states: Callable[[], Iterable[EndpointState]]) -> None:
        self._endpoint_states = endpoint_states

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "tollway_model_state",
            "1 for the state that a policy's model is in, by how it has answered lately; of those that were asked.",
            labels=[*_LABELS, "state"],
        )
        cooldown = GaugeMetricFamily(
            "tollway_model_cooldown_seconds",
            "For how long a model's provider still wants to be left alone.",
            labels=_LABELS,
        )
        for each in self._endpoint_states():
            labels = [each.policy, each.model, each.endpoint]
            state.add_metric([*labels, each.state], 1)
            if each.cooling_s:
                cooldown.add_metric(labels, each.cooling_s)
        yield state
        yield cooldown
