"""Views of why the segments are as they are: their number, rules that tell them apart, plain RFM beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from gpuseg.report import pictures, text
from gpuseg.report.views import WINDOW, SegmentView

_MOST_RULES = 2
_MOST_FEATURES = 12


@dataclass(frozen=True)
class Measure:
    """One figure by which numbers of segments are compared.

    Parameters
    ----------
    key, label : str
        Its name in segments.json and in words.
    meaning : str
        What it says, and which direction is better.
    places : int
        Decimals.
    """

    key: str
    label: str
    meaning: str
    places: int = 3


MEASURES = (
    Measure("silhouette", "Silhouette", "how clearly apart the segments are; higher is better"),
    Measure(
        "prediction_strength",
        "Prediction strength",
        "whether half of the customers predict the other half; higher is better",
    ),
    Measure("stability", "Stability", "whether other draws of customers give the same segments; higher is better"),
    Measure("davies_bouldin", "Davies-Bouldin", "how wide segments are for their distance; lower is better"),
    Measure("calinski_harabasz", "Calinski-Harabasz", "spread between against spread within; higher is better", 0),
    Measure("inertia", "Inertia", "how far customers lie from the middle of their segment; look for the bend", 0),
)


def choice_view(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return why there are as many segments as there are: the reason, a curve a measure, and a table of all."""
    tried = sorted(choice.get("candidates") or (), key=lambda candidate: int(candidate["segments"]))
    measures = [m for m in MEASURES if any(text.finite(c.get(m.key)) is not None for c in tried)]
    return {
        "automatic": choice.get("requested") == "auto",
        "segments": text.count_of(choice["segments"], "segment"),
        "reason": text.sentence(str(choice.get("reason") or "")),
        "any_refused": not all(candidate.get("accepted", True) for candidate in tried),
        "curves": [
            {
                "label": measure.label,
                "meaning": measure.meaning,
                "svg": Markup(pictures.curve(tried, choice, key=measure.key, places=measure.places)),
            }
            for measure in measures
        ],
        "measures": [measure.label for measure in measures],
        "rows": [
            {
                "segments": text.count(candidate["segments"]),
                "figures": [text.decimals(candidate.get(m.key), m.places) for m in measures],
                "smallest_share": text.percent(candidate.get("smallest_share")),
                "accepted": "yes" if candidate.get("accepted", True) else "no",
                "chosen": candidate["segments"] == choice["segments"],
            }
            for candidate in tried
        ],
    }


def rules_view(explanations: Mapping[str, Any], views: Sequence[SegmentView]) -> dict[str, Any] | None:
    """Return the rules of the surrogate tree, a few a segment, or None where there are none."""
    surrogate = explanations.get("surrogate")
    if not surrogate:
        return None
    by_id = {view.segment_id: view for view in views}
    shown = [entry for entry in surrogate.get("segments") or () if entry["segment_id"] in by_id]
    return {
        "fidelity": text.percent(surrogate.get("fidelity")),
        "n_held_out": text.count(surrogate.get("n_held_out")),
        "rows": [
            {
                "segment": by_id[entry["segment_id"]],
                "precision": text.percent(entry.get("precision")),
                "coverage": text.percent(entry.get("coverage")),
                "rules": [
                    {"text": text.sentence(str(rule["text"])), "precision": text.percent(rule.get("precision"))}
                    for rule in (entry.get("rules") or ())[:_MOST_RULES]
                ],
                "is_cut": len(entry.get("rules") or ()) > _MOST_RULES,
            }
            for entry in shown
        ],
    }


def baseline_view(explanations: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the comparison with RFM scores, or None where there is none."""
    baseline = explanations.get("baseline")
    if not baseline:
        return None
    ranked = sorted(
        baseline.get("features") or (),
        key=lambda row: (-max(text.finite(row.get(side)) or 0.0 for side in ("segments", "baseline")), row["feature"]),
    )
    # Of the windows of one figure the clearest stands for all.
    clearest = {WINDOW.sub("", str(row["feature"])): row for row in reversed(ranked)}
    rows = [row for row in ranked if row is clearest[WINDOW.sub("", str(row["feature"]))]]
    return {
        "finding": text.sentence(str(baseline.get("finding") or "")),
        "segments_mean": text.percent(baseline.get("segments_mean")),
        "baseline_mean": text.percent(baseline.get("baseline_mean")),
        "is_cut": len(ranked) > min(len(rows), _MOST_FEATURES),
        "rows": [
            {
                "label": text.label(str(row["label"])),
                "segments": text.percent(row.get("segments")),
                "baseline": text.percent(row.get("baseline")),
                "segments_width": _width(row.get("segments")),
                "baseline_width": _width(row.get("baseline")),
            }
            for row in rows[:_MOST_FEATURES]
        ],
    }


def _width(share: Any) -> str:
    return f"{min(max(text.finite(share) or 0.0, 0.0), 1.0) * 100:.1f}"
