"""The dashboard as Grafana reads it: complete, without overlaps, and about one installation at a time."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tools.dashboard import ROWS
from tools.generate_dashboard import TARGET, of_installation

DASHBOARD: dict[str, Any] = json.loads(TARGET.read_text(encoding="utf-8"))
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]


def test_every_panel_is_drawn_once_and_in_its_place() -> None:
    assert [each["title"] for each in PANELS] == [panel.title for row in ROWS for panel in row.panels]
    identities = [each["id"] for each in DASHBOARD["panels"]]
    assert len(set(identities)) == len(identities)
    taken = [
        (x, y)
        for place in (each["gridPos"] for each in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken), "panels overlap"
    assert max(x for x, _ in taken) < 24
    tops = [each["gridPos"]["y"] for each in DASHBOARD["panels"] if each["type"] == "row"]
    assert all(upper < lower for upper, lower in pairwise(tops))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_explains_itself_and_asks_the_prometheus_that_is_chosen(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert 'namespace=~"$namespace"' in target["expr"]
        assert "[R]" not in target["expr"]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("max(tollway_redis_up)", 'max(tollway_redis_up{namespace=~"$namespace"})'),
        (
            'sum by (code) (rate(tollway_refusals_total{code="x"}[R]))',
            'sum by (code) (rate(tollway_refusals_total{namespace=~"$namespace", code="x"}[$__rate_interval]))',
        ),
        (
            "ai_tokens_per_second_sum / ai_tokens_per_second_count",
            'ai_tokens_per_second_sum{namespace=~"$namespace"} / ai_tokens_per_second_count{namespace=~"$namespace"}',
        ),
    ],
    ids=["plain", "with labels and a range", "two"],
)
def test_a_query_is_about_the_installation_that_is_chosen(written: str, asked: str) -> None:
    assert of_installation(written) == asked
