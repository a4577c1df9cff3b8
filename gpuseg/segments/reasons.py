"""Why a profile is in its segment rather than in the next one, feature by feature.

A profile belongs to the segment whose center is nearest in the matrix. The squared distance to a center is a sum over
the matrix's columns, and so is the difference of two of them: what a column contributes to that difference is how much
it pulls the profile to one center rather than to the other, and nothing is left over.

Segments of hdbscan follow their neighbours, and those of a hierarchy micro-clusters, not a center. Their reasons
compare the profile with the means of both segments, and the margin may be below zero: then the other mean is nearer.
For noise the reasons are the parts of its squared distance to the nearest mean.
"""

import re
from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.matrix.transform import feature_values
from gpuseg.segments.conditions import FeatureRow, is_mark, said, subject
from gpuseg.segments.figures import amount_text
from gpuseg.segments.model import Model

_WINDOW = re.compile(r"(.+)_[0-9]+d")

Values = npt.NDArray[np.float64]


def profile_reasons(model: Model, features: pa.Table, segment: int, content: Mapping[str, Any]) -> dict[str, Any]:
    """Reasons for one profile's segment.

    Parameters
    ----------
    model : Model
    features : Arrow table
        The profile's features, one row.
    segment : int
        Its segment.
    content : mapping
        Of `segments.json`.

    Returns
    -------
    dict
        `runner_up` (`segment_id`, `segment_name`, `distance`), the nearest of the other centers; `margin`, its squared
        distance less that of the own center; and `reasons`, largest contribution first. Both are None and there are no
        reasons where the model has one segment. A reason stands for one figure over all its windows, or for an
        attribute with all its values: `code` (the figure, and whether the profile lies above or below half-way between
        both centers), `feature` (the column that decides it) with `label`, `unit`, raw `value` (None where unknown),
        `segment_value`, `runner_up_value` and `average` (means of both segments, None where there is none, and of
        everyone), `contribution` and `share` of the margin (None where the margin is not above zero), `text`, and
        `columns` with the `feature`, `value` and `contribution` of each.
        Contributions of all reasons add up to the margin.
    """
    if model.n_segments < 2:
        return {"runner_up": None, "margin": None, "reasons": []}
    row = model.transform.apply(features).astype(np.float64)[0]
    centers = model.centers.astype(np.float64)
    distances = [fsum((row - center) ** 2) for center in centers]
    other = min((each for each in range(model.n_segments) if each != segment), key=lambda each: distances[each])
    pulls = _contributions(row, centers[segment], centers[other])
    margin = fsum(pulls)
    above = 2 * row > centers[segment] + centers[other]
    teller = _Teller(model, features, content, segment, other)
    groups = _figures(model.transform.features, {item["name"]: item for item in model.published})
    reasons = [teller.reason(stem, columns, pulls, above, margin) for stem, columns in groups.items()]
    return {
        "runner_up": {
            "segment_id": other,
            "segment_name": model.names[other],
            "distance": sqrt(distances[other]),
        },
        "margin": margin,
        "reasons": sorted(reasons, key=lambda reason: -reason["contribution"]),
    }


def noise_reasons(model: Model, features: pa.Table, content: Mapping[str, Any]) -> dict[str, Any]:
    """What keeps a profile of noise apart from the segment whose mean is nearest.

    Parameters
    ----------
    model, features, content
        As for `profile_reasons`.

    Returns
    -------
    dict
        `runner_up` (`segment_id`, `segment_name`, `distance` to its mean, and `typical_distance`, the median of its own
        profiles' distances), the nearest of the segments that are described, None where none is; `margin`, which is
        None; and `reasons`, as of `profile_reasons`: their contributions add up to the squared distance, `share` is
        the part of it, and `segment_value` is None.
    """
    row = model.transform.apply(features).astype(np.float64)[0]
    centers = model.centers.astype(np.float64)
    described = [card["segment_id"] for card in content["segments"]]
    squares = {segment: (row - centers[segment]) ** 2 for segment in described}
    if model.placer.noise() is None or not squares:
        return {"runner_up": None, "margin": None, "reasons": []}
    other = min(squares, key=lambda segment: fsum(squares[segment]))
    total = fsum(squares[other])
    typical = model.placer.typical_distance(other)
    teller = _Teller(model, features, content, None, other)
    groups = _figures(model.transform.features, {item["name"]: item for item in model.published})
    above = row > centers[other]
    reasons = [teller.reason(stem, columns, squares[other], above, total) for stem, columns in groups.items()]
    return {
        "runner_up": {
            "segment_id": other,
            "segment_name": model.names[other],
            "distance": sqrt(total),
            "typical_distance": typical,
        },
        "margin": None,
        "reasons": sorted(reasons, key=lambda reason: -reason["contribution"]),
    }


def _contributions(row: Values, mine: Values, other: Values) -> Values:
    """Squared distance to the other center less that to mine, by column.

    Written as a product: all terms are float32 numbers, so in float64 hardly anything is rounded.
    """
    found: Values = (other - mine) * (mine + other - 2 * row)
    return found


def _figures(columns: Sequence[str], items: Mapping[str, FeatureRow]) -> dict[str, list[int]]:
    """Figures to the positions of their columns.

    A figure's lifetime value and all its windows are one, and so are all values of an attribute. Columns that are not
    among the items are left out.
    """
    groups: dict[str, list[int]] = {}
    for position, column in enumerate(columns):
        if column not in items:
            continue
        window = _WINDOW.fullmatch(column)
        if is_mark(items[column]):
            stem = column.partition("=")[0]
        else:
            stem = window[1] if window and window[1] in items else column
        groups.setdefault(stem, []).append(position)
    return groups


class _Teller:
    """Puts contributions beside the profile's and the segments' figures, and into words."""

    def __init__(
        self, model: Model, features: pa.Table, content: Mapping[str, Any], segment: int | None, other: int
    ) -> None:
        self.columns = model.transform.columns
        self.items = {item["name"]: item for item in model.features}
        self.features = features
        cards = {card["segment_id"]: card["features"] for card in content["segments"]}
        # Figures of a segment below the group floor are withheld.
        self.mine = None if segment is None else cards.get(segment, {})
        self.other = cards.get(other, {})
        self.everyone = {item["name"]: item for item in content["features"]}

    def reason(
        self, stem: str, columns: Sequence[int], pulls: Values, above: npt.NDArray[np.bool_], margin: float
    ) -> dict[str, Any]:
        """One figure's part."""
        total = fsum(pulls[position] for position in columns)
        # The column that pulls most in the direction of the whole figure speaks for it.
        leader = max(columns, key=lambda position: pulls[position] if total > 0 else -pulls[position])
        column = self.columns[leader]
        name = column.feature
        found = {
            "code": f"{name if is_mark(self.items[name]) else stem}.{'high' if above[leader] else 'low'}",
            "feature": name,
            "label": self.items[name]["label"],
            "unit": self.items[name]["unit"],
            "value": self._value(name),
            "segment_value": (self.mine or {}).get(name, {}).get("mean"),
            "runner_up_value": self.other.get(name, {}).get("mean"),
            "average": self.everyone[name]["mean"],
            "contribution": total,
            "share": total / margin if margin > 0 else None,
        }
        details = [
            {
                "feature": self.columns[position].feature,
                "value": self._value(self.columns[position].feature),
                "contribution": float(pulls[position]),
            }
            for position in columns
        ]
        return {**found, "text": self._text(found, column.fill), "columns": details}

    def _value(self, name: str) -> float | int | None:
        value = float(feature_values(self.features, name)[0])
        if np.isnan(value):
            return None
        return int(value) if self.items[name]["dtype"] == "int64" else value

    def _text(self, found: Mapping[str, Any], fill: float) -> str:
        unit, value, item = found["unit"], found["value"], self.items[found["feature"]]
        if value is None:
            text = f"{subject(item)} unknown, taken as {_figure(fill, unit)}"
        else:
            text = said(item, value, _figure(value, unit))
        keys = ("segment_value", "runner_up_value", "average")
        mine, other, average = (_figure(found[key], unit) for key in keys)
        here = "" if self.mine is None else f"here {mine}, "
        return f"{text} (on average {here}there {other}, everyone {average})"


def _figure(value: float | None, unit: str) -> str:
    return "unknown" if value is None else amount_text(value, unit)
