"""The few kinds of panel and row that the dashboards are made of. Knows Grafana's JSON; knows no metric.

Written as plain dictionaries: what is committed is what is read here. `tests/deploy/` reads every dashboard with
Grafana's own typed model, so that a misspelt key is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
MODE_COLOURS = {"instruct": "#3274D9", "thinking": "#FF9830"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and how its series are called."""

    expr: str
    legend: str = ""
    format: str = "time_series"
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `width` of 24 columns; `unit` in Grafana's terms (s, percentunit, short, reqps, …)."""

    title: str
    description: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False
    low: float | None = None
    high: float | None = None

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Grafana's panel at a place in the grid."""
        defaults: dict[str, Any] = {"unit": self.unit, "color": {"mode": "palette-classic"}}
        if self.low is not None:
            defaults["min"] = self.low
        if self.high is not None:
            defaults["max"] = self.high
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 30 if self.stacked else 5,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            }
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": defaults, "overrides": [_colour(*pair) for pair in MODE_COLOURS.items()]},
            "options": _options(self.kind),
            "targets": [_target(query, chr(ord("A") + i)) for i, query in enumerate(self.queries)],
        }


def _target(query: Query, ref: str) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": query.format,
        "instant": query.instant,
        "range": not query.instant,
    }


def _colour(name: str, colour: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


def _options(kind: str) -> dict[str, Any]:
    if kind == "timeseries":
        return {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["mean", "lastNotNull"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if kind == "stat":
        return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
    if kind == "bargauge":
        return {"reduceOptions": reduce, "displayMode": "basic", "orientation": "vertical", "showUnfilled": True}
    if kind == "heatmap":
        return {
            "calculate": False,
            "yAxis": {"axisPlacement": "left"},
            "color": {"mode": "scheme", "scheme": "Oranges"},
        }
    raise ValueError(f"no options are known for the kind of panel {kind!r}")


@dataclass(frozen=True, slots=True)
class Row:
    """A heading with panels under it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of rows."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    def json(self) -> dict[str, Any]:
        """Grafana's dashboard, as it is imported and provisioned."""
        panels: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
            panels.append(
                {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place}
            )
            panels[-1]["panels"] = []
            x, y, tallest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                panels.append(panel.json(len(panels) + 1, x, y))
                x += panel.width
                tallest = max(tallest, panel.height)
            y += tallest
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["thinkgate"],
            "schemaVersion": 39,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "graphTooltip": 1,
            "templating": {"list": [_DATASOURCE, _JOB]},
            "links": [_LINKS],
            "annotations": {"list": []},
            "panels": panels,
        }


_DATASOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
_JOB = {
    "name": "job",
    "label": "Gateway",
    "type": "query",
    "datasource": SOURCE,
    "query": "label_values(thinkgate_threshold, job)",
    "refresh": 2,
    "includeAll": True,
    "multi": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
    "hide": 0,
}
_LINKS = {
    "title": "ThinkGate",
    "type": "dashboards",
    "tags": ["thinkgate"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
