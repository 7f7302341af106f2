"""Writes the chart's files/dashboard.json from `tools.dashboard`, for Grafana 11 or later; `--check` only compares."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tools.dashboard import ROWS, Kind, Panel, Query
from tools.generate_metrics import planes
from tools.generated import ROOT, write_or_check

TARGET: Final = ROOT / "deploy" / "helm" / "tollway" / "files" / "dashboard.json"
_SCHEMA_VERSION: Final = 39  # of Grafana 11; later ones read it
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WITH_EXEMPLARS: Final = "ai_request_duration_seconds_bucket"
_HEIGHT: Final = 8
_NUMBER_HEIGHT: Final = 4
_INSTALLATION: Final = 'namespace=~"$namespace"'
_METRICS: Final = {each.name for several in planes().values() for each in several}
_METRIC: Final = re.compile(
    rf"\b({'|'.join(sorted(_METRICS, key=len, reverse=True))})(_bucket|_sum|_count)?\b(?!\")(?:\{{([^}}]*)\}})?"
)
Json = dict[str, Any]


def of_installation(expression: str) -> str:
    """As Grafana is to ask it: of the installation that is chosen, over a range that suits the zoom."""

    def selected(found: re.Match[str]) -> str:
        name, suffix, matchers = found.groups()
        return f"{name}{suffix or ''}{{{', '.join(filter(None, (_INSTALLATION, matchers)))}}}"

    return _METRIC.sub(selected, expression).replace("[R]", "[$__rate_interval]")


def generate() -> dict[Path, str]:
    dashboard = {
        "uid": "tollway",
        "title": "Tollway",
        "description": "What Tollway does: traffic, cache, money, models, Redis and snapshots.",
        "tags": ["tollway", "llm"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }
    return {TARGET: json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"}


def _variables() -> list[Json]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    namespaces = "label_values(tollway_snapshot_info, namespace)"
    installation = {
        "name": "namespace",
        "label": "Installation",
        "type": "query",
        "datasource": _SOURCE,
        "definition": namespaces,
        "query": {"qryType": 1, "query": namespaces, "refId": "namespaces"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }
    return [source, installation]


def _panels() -> Iterator[Json]:
    identity, top = 0, 0
    for row in ROWS:
        identity += 1
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        yield {
            "id": identity,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        top, left, tallest = top + 1, 0, 0
        for panel in row.panels:
            identity += 1
            height = _NUMBER_HEIGHT if panel.kind is Kind.NUMBER else _HEIGHT
            if left + panel.width > 24:
                top, left, tallest = top + tallest, 0, 0
            yield _panel(panel, identity, {"h": height, "w": panel.width, "x": left, "y": top})
            left, tallest = left + panel.width, max(tallest, height)
        top += tallest


def _panel(panel: Panel, identity: int, place: Mapping[str, int]) -> Json:
    is_now = panel.kind is not Kind.LINES
    defaults: Json = {"unit": panel.unit, "thresholds": _thresholds(panel)}
    if is_now or panel.stacked:
        defaults["min"] = 0
    if panel.kind is Kind.LINES:
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": stacking,
        }
    return {
        "id": identity,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "transformations": [_WITHOUT_TIME] if panel.kind is Kind.TABLE else [],
        "targets": [
            _target(query, "ABC"[number], is_now=is_now, kind=panel.kind)
            for number, query in enumerate(panel.queries)
        ],
    }


def _target(query: Query, letter: str, *, is_now: bool, kind: Kind) -> Json:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": of_installation(query.expression),
        "legendFormat": query.legend or "__auto",
        "instant": is_now,
        "range": not is_now,
        "format": "table" if kind is Kind.TABLE else "time_series",
        "exemplar": not is_now and _WITH_EXEMPLARS in query.expression,
    }


def _thresholds(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    for color, value in (("yellow", panel.warns_at), ("red", panel.alarms_at)):
        if value is not None:
            steps.append({"color": color, "value": value})
    return {"mode": "absolute", "steps": steps}


# Of a table of what holds now, time and value say nothing.
_WITHOUT_TIME: Final = {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}
_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Final[Mapping[Kind, Json]] = {
    Kind.LINES: {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    Kind.NUMBER: {"reduceOptions": _LAST, "colorMode": "value", "graphMode": "none", "textMode": "auto"},
    Kind.BARS: {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic"},
    Kind.TABLE: {"showHeader": True, "cellHeight": "sm"},
}


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, generate(), "tools/dashboard.py says", "generate"))
