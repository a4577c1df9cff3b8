"""What the template shows of segments and features: numbers already written out, nothing computed anew."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuseg.report import text
from gpuseg.report.colours import Cell, diverging, segment_colour, text_on
from gpuseg.segments.people import People
from gpuseg.segments.phrases import UNTOLD, idea_of, stem_of

# Longer tables are no longer read row by row.
_HEATMAP_ROWS = 20
_ANNOTATED_COLUMNS = 12
_NAMED_COLUMNS = 8
_EFFECT_LIMIT = 3.0
# Effect sizes from which on a cell says that a segment lies above or below the average, and far so.
_CLEAR, _FAR = 0.25, 0.9
WINDOW = re.compile(r"_\d+d$")


@dataclass(frozen=True)
class SegmentView:
    """One segment as it is shown everywhere: number, name, colour and its figures.

    Parameters
    ----------
    segment_id : int
        The public id.
    name, short_name : str
        Words for people, not escaped; the short name is cut where a whole one would push the numbers away.
    colour, text_colour : str
        Hex colours of the segment and of text on it.
    n_profiles : int
        People in it.
    profile_share, value_share, value_sum, value_each, value_ratio : float or None
        Its part of the people and of the value, the value per head, and that against the average.
    content : mapping
        The segment's entry of segments.json.
    """

    segment_id: int
    name: str
    short_name: str
    colour: str
    text_colour: str
    n_profiles: int
    profile_share: float | None
    value_share: float | None
    value_sum: float | None
    value_each: float | None
    value_ratio: float | None
    content: Mapping[str, Any]

    def figure(self, name: str, statistic: str) -> float | None:
        """One figure of a feature: `mean`, `median` or `effect_size`."""
        return text.finite(((self.content.get("features") or {}).get(name) or {}).get(statistic))


def segment_views(segments: Mapping[str, Any]) -> list[SegmentView]:
    """Return the segments in the order of segments.json, each with its colour."""
    views = []
    for position, entry in enumerate(segments["segments"]):
        number = int(entry["segment_id"])
        name = str(entry.get("name") or f"Segment {number}")
        colour = segment_colour(position, number)
        views.append(
            SegmentView(
                segment_id=number,
                name=name,
                short_name=text.shortened(name, 60),
                colour=colour,
                text_colour=text_on(colour),
                n_profiles=int(entry["n_profiles"]),
                profile_share=text.finite(entry.get("profile_share")),
                value_share=text.finite(entry.get("value_share")),
                value_sum=text.finite(entry.get("value_sum")),
                value_each=text.finite(entry.get("value_per_profile")),
                value_ratio=text.finite(entry.get("value_ratio")),
                content=entry,
            )
        )
    return views


def value_word(segments: Mapping[str, Any]) -> str:
    """Return what the value is called in a sentence: sales, or the label of the value feature."""
    name = segments.get("value_feature")
    if not name or str(name).startswith("amount_"):
        return "sales"
    return next((str(f["label"]) for f in segments["features"] if f["name"] == name), str(name))


def numbers_table(views: Sequence[SegmentView]) -> list[dict[str, Any]]:
    """Return the rows of the table beside the map of segments."""
    return [
        {
            "segment": view,
            "n_profiles": text.count(view.n_profiles),
            "profile_share": text.percent(view.profile_share),
            "value_share": text.percent(view.value_share),
            "value_each": text.money(view.value_each),
        }
        for view in views
    ]


def cards(views: Sequence[SegmentView], segments: Mapping[str, Any], people: People) -> list[dict[str, Any]]:
    """Return the segment cards; what they are worth has words of its own and is no difference besides."""
    by_name = {str(feature["name"]): feature for feature in segments["features"]}
    value = segments.get("value_feature")
    effects = [text.finite(item.get("effect_size")) for v in views for item in v.content.get("distinguishing") or ()]
    limit = min(max((1.0, *(abs(effect) for effect in effects if effect is not None))), _EFFECT_LIMIT)
    return [
        {
            "segment": view,
            "n_profiles": text.count_of(view.n_profiles, people.one, people.many),
            "profile_share": text.percent(view.profile_share),
            "value_share": text.percent(view.value_share),
            "profile_width": _width(view.profile_share),
            "value_width": _width(view.value_share),
            "headline": str(view.content.get("headline") or view.content.get("summary") or ""),
            "rule": view.content.get("rule"),
            "told": _told(view.content),
            "apart": [
                _apart(item, by_name, limit=limit)
                for item in view.content.get("distinguishing") or ()
                if stem_of(str(item["feature"]))[0] != value or not view.content.get("worth")
            ],
            "actions": [
                {"text": str(action["text"]), "because": str(action["because"])}
                for action in view.content.get("actions") or ()
            ],
        }
        for view in views
    ]


def heatmap(views: Sequence[SegmentView], features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the heatmap: features with the largest effects first, one cell per segment."""
    effects = {str(f["name"]): [view.figure(str(f["name"]), "effect_size") for view in views] for f in features}
    strength = {name: max((abs(e) for e in row if e is not None), default=-1.0) for name, row in effects.items()}
    # Where no segment lies clearly off the average there is nothing to see.
    ranked = sorted((name for name in strength if strength[name] >= _CLEAR), key=lambda name: -strength[name])
    labels = {str(feature["name"]): text.label(str(feature["label"])) for feature in features}
    limit = min(max((*strength.values(), 1.0)), _EFFECT_LIMIT)
    rows = [
        {"name": name, "label": labels[name], "cells": [_cell(effect, limit) for effect in effects[name]]}
        for name in _most_telling(ranked)
    ]
    return {
        "rows": rows,
        "is_cut": len(ranked) > len(rows),
        "annotated": len(views) <= _ANNOTATED_COLUMNS,
        "named": len(views) <= _NAMED_COLUMNS,
    }


def glossary(features: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the rows of the feature glossary."""
    return [
        {
            "name": str(feature["name"]),
            "label": text.label(str(feature["label"])),
            "family": str(feature.get("family") or text.NOTHING),
            "unit": str(feature.get("unit") or text.NOTHING),
            "mean": _quantity(feature, feature.get("mean")),
            "median": _quantity(feature, feature.get("median")),
            "transform": {"none": "as it is", "log1p": "logarithm"}.get(
                str(feature.get("transform")), str(feature.get("transform"))
            ),
            "used": "yes" if feature.get("used", True) else "no",
            "weight": text.quantity(feature.get("weight", 1.0), unit=""),
        }
        for feature in features
        # Spend in minor units is spend once more.
        if not str(feature["name"]).startswith("amount_minor")
    ]


def _told(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    titles = (("Who they are", "who"), ("What they do", "does"), ("What they are worth", "worth"))
    return [(title, str(content[key])) for title, key in titles if content.get(key)]


def _apart(item: Mapping[str, Any], features: Mapping[str, Mapping[str, Any]], *, limit: float) -> dict[str, str]:
    effect = text.finite(item.get("effect_size"))
    name = str(item["feature"])
    label = str(features[name]["label"]) if name in features else name
    return {
        "phrase": text.capital(str(item.get("phrase") or f"{item.get('direction', '')} {label}".strip())),
        "side": "higher" if (effect or 0.0) >= 0 else "lower",
        "width": f"{min(abs(effect or 0.0), limit) / limit * 50:.1f}",
    }


def _most_telling(ranked: Sequence[str]) -> list[str]:
    # Of all figures that tell the same, the strongest speaks; every category, network and attribute tells its own.
    strongest = {
        name if name.startswith("share_") or "=" in name else idea_of(WINDOW.sub("", name)): name
        for name in reversed(ranked)
        if stem_of(name)[0] not in UNTOLD
    }
    return [name for name in ranked if name in strongest.values()][:_HEATMAP_ROWS]


def _cell(effect: float | None, limit: float) -> dict[str, str | Cell]:
    return {"effect": text.signed(effect), "words": _place(effect), "paint": diverging(effect, limit=limit)}


def _place(effect: float | None) -> str:
    """Where a segment lies, in words."""
    if effect is None:
        return "unknown"
    if abs(effect) < _CLEAR:
        return ""
    return f"{'far ' if abs(effect) >= _FAR else ''}{'above' if effect > 0 else 'below'}"


def _quantity(feature: Mapping[str, Any], value: Any) -> str:
    return text.quantity(value, unit=str(feature.get("unit") or ""))


def _width(share: float | None) -> str:
    return f"{min(max(share or 0.0, 0.0), 1.0) * 100:.1f}"
