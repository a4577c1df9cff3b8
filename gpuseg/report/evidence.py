"""Views of why the segments are as they are: their number, rules that tell them apart, plain RFM beside them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from gpuseg.report import pictures, text
from gpuseg.report.views import WINDOW, SegmentView
from gpuseg.segments.people import People

_MOST_RULES = 2
_MOST_FEATURES = 12
# The reason for the number of segments, in the words of the method and in those of its readers.
_PLAIN = (
    (r" \((?:mean silhouette|prediction strength|stability)[^()]*\)", ""),
    (
        r"no number leaves gaps between most of the segments or makes",
        "{many} shade into each other, and no number makes",
    ),
    (r"no number leaves gaps between most of the segments", "{many} shade into each other without clear gaps"),
    (r"beyond (\d+), more segments are only slightly tighter", r"with more than \1 segments little is gained"),
    (r"is the largest number of segments that come out again", "is the most segments that come out again"),
    (r" with gaps between", ", with clear gaps between"),
    (r"on resampled profiles", "when other {many} are drawn"),
    (r"on other profiles", "when other {many} are drawn"),
    (r"\bthe profiles\b", "the {many}"),
)


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
    is_drawn : bool
        Whether a curve of it tells anything by itself; inertia falls with every further segment.
    """

    key: str
    label: str
    meaning: str
    places: int = 3
    is_drawn: bool = True


MEASURES = (
    Measure("silhouette", "Silhouette", "how clearly apart the segments are; higher is better"),
    Measure(
        "prediction_strength",
        "Prediction strength",
        "whether half of the people predict the other half; higher is better",
    ),
    Measure("stability", "Stability", "whether other draws of people give the same segments; higher is better"),
    Measure("davies_bouldin", "Davies-Bouldin", "how wide segments are for their distance; lower is better"),
    Measure("calinski_harabasz", "Calinski-Harabasz", "spread between against spread within; higher is better", 0),
    Measure(
        "inertia",
        "Inertia",
        "how far people lie from the average of their segment",
        0,
        is_drawn=False,
    ),
)


def choice_view(choice: Mapping[str, Any], people: People) -> dict[str, Any]:
    """Return why there are as many segments as there are: in words, and for analysts curves and a table."""
    tried = sorted(choice.get("candidates") or (), key=lambda candidate: int(candidate["segments"]))
    measures = [m for m in MEASURES if any(text.finite(c.get(m.key)) is not None for c in tried)]
    segments = text.count_of(choice["segments"], "segment")
    return {
        "title": f"Why {segments}" if choice.get("requested") == "auto" else f"{segments}, as asked",
        "reason": text.sentence(_plain_reason(str(choice.get("reason") or ""), people)),
        "full_reason": text.sentence(str(choice.get("reason") or "")),
        "any_refused": not all(candidate.get("accepted", True) for candidate in tried),
        "curves": [
            {
                "label": measure.label,
                "meaning": measure.meaning,
                "svg": Markup(pictures.curve(tried, choice, key=measure.key, places=measure.places)),
            }
            for measure in measures
            if measure.is_drawn
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


def _plain_reason(reason: str, people: People) -> str:
    for pattern, words in _PLAIN:
        reason = re.sub(pattern, words.replace("{many}", people.many), reason)
    return reason


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
                    {
                        "text": text.sentence(str(rule["text"])),
                        "precision": text.percent(rule.get("precision")),
                        "is_measured": rule.get("precision") is not None,
                    }
                    for rule in (entry.get("rules") or ())[:_MOST_RULES]
                ],
                "is_cut": len(entry.get("rules") or ()) > _MOST_RULES,
                "n_withheld": entry.get("n_rules_withheld", 0),
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
