"""Segment cards: size, value, typical figures, and what sets a segment apart, in numbers and in words."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import fsum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_numpy
from gpuseg.matrix.transform import feature_values
from gpuseg.segments.facts import DECIDING, facts_of
from gpuseg.segments.model import Model
from gpuseg.segments.naming import tastes
from gpuseg.segments.phrases import Alike, distinguishing
from gpuseg.segments.stories import story
from gpuseg.segments.totals import Totals

VALUE_FEATURE = "amount_sum"
_PROJECTED_POINTS = 1_500
_PROJECTION_ROWS = 16_384
# From this correlation on, one feature tells what the other would.
_ALIKE, _GRID = 0.8, 64


def describe_segments(
    model: Model, totals: Totals, *, as_of: str, timezone: str, group_floor: int = 1
) -> dict[str, Any]:
    """Content of `segments.json`.

    Parameters
    ----------
    model : Model
    totals : Totals
        From `assign_profiles`.
    as_of, timezone : str
        The run's.
    group_floor : int, default 1
        Noise of fewer profiles is in no figure: otherwise everyone's less those of all segments would be theirs.

    Returns
    -------
    dict
        JSON values; effect sizes are differences of means of the scaled matrix columns, in standard deviations.
    """
    n_assigned, n_noise, n_no_data = int(totals.counts[:-1].sum()), int(totals.counts[-1]), totals.n_no_data
    if n_noise < group_floor:
        totals = totals.without_noise()
    n_counted = int(totals.counts.sum())
    features = [_feature(item, model, totals) for item in model.published]
    cards = _segment_cards(model, totals, features, [item["name"] for item in features])
    alike = _alike(model, totals.sample)
    for card in cards:
        found = distinguishing(card["features"], features, n_profiles=card["n_profiles"], alike=alike)
        card["distinguishing"] = found
    for card, name, facts in zip(cards, model.names, facts_of(cards, totals.means()), strict=True):
        card |= {"name": name} | story(card, features, facts)
    if model.method == "rules":
        rules = [rule["where"] for rule in model.choice["rules"]["rules"]]
        for card in cards:
            card["rule"] = rules[card["segment_id"]] if card["segment_id"] < len(rules) else None
    value = totals.sums.get(VALUE_FEATURE)
    value_total = fsum(value) if value is not None else None
    return {
        "format": 1,
        "method": model.method,
        "as_of": as_of,
        "timezone": timezone,
        "n_profiles": n_assigned + n_noise + n_no_data,
        "n_assigned": n_assigned,
        "n_noise": n_noise,
        "n_no_data": n_no_data,
        "n_segments": model.n_segments,
        "value_feature": VALUE_FEATURE if value is not None else None,
        "value_total": value_total,
        "value_per_profile": value_total / n_counted if value_total is not None and n_counted else None,
        "choice": dict(model.choice),
        "features": features,
        "segments": cards,
        "noise": _noise(totals, n_noise, n_assigned, value_total) if n_noise else None,
        "projection": _projection(model, totals.sample),
    }


def deciding_cards(model: Model, totals: Totals) -> list[dict[str, Any]]:
    """Cards with the figures that decide about names, in order of `segment_id`; of medians, the dearest, only those."""
    features = [_feature(item, model, totals, spread=False) for item in model.published]
    wanted = [item["name"] for item in features if item["name"] in DECIDING]
    return _segment_cards(model, totals, features, wanted)


def _segment_cards(
    model: Model, totals: Totals, features: Sequence[Mapping[str, Any]], with_median: Sequence[str]
) -> list[dict[str, Any]]:
    effects = _effects(model, with_noise=bool(totals.counts[-1]))
    medians = _medians(totals.sample, with_median, model.n_segments)
    return [_card(segment, totals, features, effects, medians) for segment in range(model.n_segments)]


def _effects(model: Model, *, with_noise: bool) -> dict[str, npt.NDArray[np.float64]]:
    """Feature to effect size per segment."""
    weights = np.array([column.weight for column in model.transform.columns])
    counts, means = model.groups() if with_noise else (model.counts, model.means)
    scaled = means / weights
    overall = (counts[:, None] * scaled).sum(axis=0) / counts.sum()
    return {name: scaled[:, i] - overall[i] for i, name in enumerate(model.transform.features)}


def _alike(model: Model, sample: pa.Table) -> Alike:
    """Whether two features correlate strongly, either way, over the sampled rows of the matrix.

    In whole 64ths of a standard deviation all sums are exact, so that no machine draws the line elsewhere.
    """
    weights = np.array([column.weight for column in model.transform.columns])
    rows = np.rint(model.transform.apply(sample.slice(0, _PROJECTION_ROWS)) / weights * _GRID)
    products = len(rows) * (rows.T @ rows) - np.outer(rows.sum(axis=0), rows.sum(axis=0))
    spread = np.sqrt(products.diagonal())
    close = np.abs(products) >= _ALIKE * np.outer(spread, spread)
    places = {name: place for place, name in enumerate(model.transform.features)}

    def alike(one: str, other: str) -> bool:
        return one in places and other in places and bool(close[places[one], places[other]])

    return alike


def _feature(item: Mapping[str, Any], model: Model, totals: Totals, *, spread: bool = True) -> dict[str, Any]:
    name = item["name"]
    columns = {column.feature: column for column in model.transform.columns}
    column = columns.get(name)
    known = int(totals.n_known[name].sum())
    present = _known(feature_values(totals.sample, name)) if spread else np.empty(0)
    return {
        "name": name,
        "family": item["family"],
        "label": item["label"],
        "saying": item["saying"],
        "unit": item["unit"],
        "mean": fsum(totals.sums[name]) / known if known else None,
        "median": _median(present),
        "std": float(present.std()) if present.size else None,
        "n_known": known,
        "transform": column.transform if column else "none",
        "used": column is not None,
        "weight": column.weight if column else 0.0,
    }


def _card(
    segment: int,
    totals: Totals,
    features: Sequence[Mapping[str, Any]],
    effects: Mapping[str, npt.NDArray[np.float64]],
    medians: Mapping[str, Sequence[float | None]],
) -> dict[str, Any]:
    value = totals.sums.get(VALUE_FEATURE)
    value_total = fsum(value) if value is not None else 0.0
    figures = {}
    for feature in features:
        name = feature["name"]
        known = int(totals.n_known[name][segment])
        figures[name] = {
            "mean": float(totals.sums[name][segment] / known) if known else None,
            "median": medians[name][segment] if name in medians else None,
            "effect_size": float(effects[name][segment]) if name in effects else None,
            "n_known": known,
        }
    n_profiles, profile_share = int(totals.counts[segment]), float(totals.counts[segment] / totals.counts.sum())
    value_share = float(value[segment] / value_total) if value is not None and value_total else None
    ratio = value_share / profile_share if value_share is not None and profile_share and value_total > 0 else None
    return {
        "segment_id": segment,
        "name": "",
        "headline": "",
        "summary": "",
        "n_profiles": n_profiles,
        "profile_share": profile_share,
        "value_sum": float(value[segment]) if value is not None else None,
        "value_share": value_share,
        "value_per_profile": float(value[segment]) / n_profiles if value is not None and n_profiles else None,
        "value_ratio": ratio,
        "value_change": None if ratio is None else ratio - 1.0,
        "features": figures,
        "tastes": tastes(figures, features),
        "distinguishing": [],
    }


def _noise(totals: Totals, n_noise: int, n_assigned: int, value_total: float | None) -> dict[str, Any]:
    """Size and value of the profiles in no segment; their value is None where it is in no figure."""
    value = totals.sums.get(VALUE_FEATURE) if totals.counts[-1] else None
    return {
        "n_profiles": n_noise,
        "profile_share": n_noise / (n_assigned + n_noise),
        "in_figures": bool(totals.counts[-1]),
        "value_sum": float(value[-1]) if value is not None else None,
        "value_share": float(value[-1] / value_total) if value is not None and value_total else None,
    }


def _medians(sample: pa.Table, names: Sequence[str], n_segments: int) -> dict[str, list[float | None]]:
    """Median of each feature in each segment, None where no sampled profile of it has a value."""
    labels = as_numpy(sample["segment_id"])
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(n_segments + 1)).tolist()
    found = {}
    for name in names:
        values = feature_values(sample, name)[order]
        found[name] = [_median(_known(values[start:end])) for start, end in pairwise(bounds)]
    return found


def _known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values[~np.isnan(values)]


def _median(values: npt.NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _projection(model: Model, sample: pa.Table) -> dict[str, Any] | None:
    """First two principal components of the sampled matrix rows, for a picture."""
    rows = model.transform.apply(sample.slice(0, _PROJECTION_ROWS))
    points, shares = _principal_components(rows.astype(np.float64))
    labels = as_numpy(sample["segment_id"])
    return {
        "method": "pca",
        "explained_variance_share": [round(float(share), 6) for share in shares],
        "points": [
            [round(float(x), 4), round(float(y), 4), int(label)]
            for (x, y), label in zip(points[:_PROJECTED_POINTS], labels, strict=False)
        ],
    }


def _principal_components(
    rows: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rows on their first two principal axes, shape (n, 2), and the share of variance of each."""
    centered = rows - rows.mean(axis=0)
    variances, axes = np.linalg.eigh(centered.T @ centered / len(rows))
    first = axes[:, ::-1][:, :2]
    # An axis has no direction of its own; its largest part points up.
    first = first * np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    points = np.zeros((len(rows), 2))
    points[:, : first.shape[1]] = centered @ first
    return points, variances[::-1][:2] / variances.sum()
