"""The Grafana dashboard: rows of panels, each a title, a unit and queries; everything else follows from these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from helm.generate.panel import Kind, Panel
from helm.generate.panels import ROWS

UID: Final = "shipper-overview"
WIDTH: Final = 24
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(slots=True)
class _Place:
    """Where the next panel goes: left to right, then down."""

    x: int = 0
    y: int = 0
    height: int = 0

    def take(self, width: int, height: int) -> dict[str, int]:
        if self.x + width > WIDTH:
            self.feed()
        taken = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.x, self.height = self.x + width, max(self.height, height)
        return taken

    def feed(self) -> None:
        self.x, self.y, self.height = 0, self.y + self.height, 0


def text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    return {
        "uid": UID,
        "title": "shipper",
        "description": "Is anything being lost, does everything arrive, and is there room.",
        "tags": ["shipper"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    place = _Place()
    panels: list[dict[str, Any]] = []
    for title, row in ROWS:
        place.feed()
        panels.append(
            _numbered(
                panels,
                {
                    "type": "row",
                    "title": title,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": place.take(WIDTH, 1),
                },
            )
        )
        place.feed()
        for panel in row:
            panels.append(_numbered(panels, _panel(panel, place.take(panel.width, panel.height))))
    return panels


def _numbered(before: list[dict[str, Any]], panel: dict[str, Any]) -> dict[str, Any]:
    return {"id": len(before) + 1, **panel}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "noValue": "0" if panel.kind is Kind.STAT else "no data",
    }
    if panel.steps:
        colours = ("green", "orange", "red")
        steps = [
            {"color": colour, "value": bound}
            for colour, bound in zip(colours[: 1 + len(panel.steps)], (None, *panel.steps), strict=True)
        ]
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults | _drawn(panel), "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "exemplar": panel.kind is Kind.HEATMAP,
                "format": "heatmap" if panel.kind is Kind.HEATMAP else "time_series",
                "instant": False,
                "range": True,
            }
            for number, (legend, query) in enumerate(panel.queries)
        ],
    }


def _drawn(panel: Panel) -> dict[str, Any]:
    if panel.kind is not Kind.LINES:
        return {}
    return {
        "custom": {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind is Kind.STAT:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "area"}
    if panel.kind is Kind.HEATMAP:
        return {
            "calculate": False,
            "yAxis": {"unit": panel.unit},
            "color": {"mode": "scheme", "scheme": "Oranges"},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "cellGap": 1,
        }
    return {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _variables() -> list[dict[str, Any]]:
    """Each choice narrows the next. `.*` also matches series that lack the label, as `cluster` often is."""
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    series = "shipper_build_info"
    wanted = {
        "cluster": series,
        "namespace": f'{series}{{cluster=~"$cluster"}}',
        "job": f'{series}{{cluster=~"$cluster",namespace=~"$namespace"}}',
    }
    chosen = [
        {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": _DATASOURCE,
            "query": {"query": f"label_values({source}, {name})", "refId": name},
            "definition": f"label_values({source}, {name})",
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]},
        }
        for name, source in wanted.items()
    ]
    return [datasource, *chosen]
