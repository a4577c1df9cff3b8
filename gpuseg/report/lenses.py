"""What the report shows of lenses: the segments of each, and how those of two of them overlap."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuseg.config_lenses import MAIN
from gpuseg.report import text
from gpuseg.report.evidence import rules_view
from gpuseg.report.views import SegmentView, segment_views

_WITHHELD = "withheld"


def lenses_view(lenses: Mapping[str, Any] | None, views: Sequence[SegmentView]) -> dict[str, Any] | None:
    """Return a table a lens and one for every two segmentations; None without lenses.

    Parameters
    ----------
    lenses : mapping or None
        `segments` and `explanations`, the contents of each lens's segments.json and explanations.json by its name, and
        `cross`, that of cross.json.
    views : sequence of SegmentView
        Of the run's segments.
    """
    if lenses is None:
        return None
    explained = lenses["explanations"]
    shown = {MAIN: list(views)} | {name: segment_views(content) for name, content in lenses["segments"].items()}
    by_id: dict[str, dict[int | None, SegmentView]]
    by_id = {name: {view.segment_id: view for view in each} for name, each in shown.items()}
    return {
        "tables": [
            {
                "name": _title(name),
                "method": text.method(str(content["method"])),
                "rows": _rows(shown[name], explained.get(name, {})),
                "has_rules": content["method"] != "rules" and bool(explained.get(name, {}).get("surrogate")),
                "n_withheld": content["withheld"]["n_segments"],
                "noise": _noise(content),
            }
            for name, content in lenses["segments"].items()
        ],
        "cross": [_cross(table, by_id) for table in lenses["cross"]["tables"]],
        "floor": text.count(lenses["cross"]["group_floor"]),
    }


def lens_lines(lenses: Mapping[str, Any] | None) -> list[str]:
    """Return each lens in some words, such as `value: 4 segments by k-means`."""
    found = [] if lenses is None else lenses["segments"].items()
    return [
        f"{name}: {text.count_of(content['n_segments'], 'segment')} by {text.method(str(content['method']))}"
        for name, content in found
    ]


def _title(name: str) -> str:
    return text.capital(name.replace("_", " "))


def _rows(views: Sequence[SegmentView], explanations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each segment with its size, and its own rule or else the widest of those by which it is recognised."""
    found = rules_view(explanations, views)
    rules = {row["segment"].segment_id: row["rules"] for row in found["rows"]} if found else {}
    return [
        {
            "segment": view,
            "n_profiles": text.count(view.n_profiles),
            "share": text.percent(view.profile_share),
            "where": view.content.get("rule"),
            "rule": next((rule["text"] for rule in rules.get(view.segment_id, ())), ""),
        }
        for view in views
    ]


def _noise(content: Mapping[str, Any]) -> dict[str, str] | None:
    noise = content.get("noise")
    if not noise or not noise["in_figures"]:
        return None
    return {"n_profiles": text.count(noise["n_profiles"]), "share": text.percent(noise["profile_share"])}


def _cross(table: Mapping[str, Any], by_id: Mapping[str, Mapping[int | None, SegmentView]]) -> dict[str, Any]:
    segments = by_id[table["rows"]]
    rows = zip(table["row_ids"], table["row_names"], table["counts"] or (), strict=False)
    return {
        "title": f"{_title(table['rows'])} and {table['columns'].replace('_', ' ')}",
        "agreement": "" if table["agreement"] is None else text.decimals(table["agreement"], 2),
        "columns": [text.shortened(str(name), 60) for name in table["column_names"]],
        "rows": [
            {
                "segment": segments.get(place),
                "name": text.shortened(str(name), 60),
                "cells": [_WITHHELD if n is None else text.count(n) for n in row],
            }
            for place, name, row in rows
        ],
    }
