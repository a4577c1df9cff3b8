"""Differences between a segment and everyone, in words whose figures point the way they say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gpuseg.segments.naming import FeatureRow, amount_text, is_category, pretty

_CLEAR_EFFECT = 0.25
_MOST_TRAITS = 5
# Smaller differences vanish when rounded, or read as none.
_LEAST_GAP = 0.05
_KNOWN = 0.5
_TWICE, _HARDLY = 1.95, 0.02
_WINDOW = re.compile(r"_(\d+)d$")
# How "2.5 times", "35%" and the figure's name make a sentence: verb, as ..., more ..., less ...
_COMPARED = {
    "n_orders": ("order", "as often", "more often", "less often"),
    "n_lines": ("buy", "as many items", "more items", "fewer items"),
    "amount_sum": ("spend", "as much", "more", "less"),
    "amount_per_order": ("spend", "as much per order", "more per order", "less per order"),
    "n_active_days": ("shop on", "as many days", "more days", "fewer days"),
    "n_contacts": ("are contacted", "as often", "more often", "less often"),
    "n_responses": ("respond", "as often", "more often", "less often"),
    "n_sessions": ("visit online", "as often", "more often", "less often"),
    "n_page_views": ("open", "as many pages", "more pages", "fewer pages"),
    "n_intent_events": ("show interest", "as often", "more often", "less often"),
    "n_feedback": ("give feedback", "as often", "more often", "less often"),
    "n_social_actions": ("react on social media", "as often", "more often", "less often"),
}
_SAYINGS = {
    "recency_days": "last bought {value} days ago",
    "gap_days_mean": "buy every {value} days",
    "response_share": "respond to {value} of messages",
    "visit_recency_days": "last visited {value} days ago",
    "pages_per_session": "open {value} pages a visit",
    "session_seconds_mean": "stay {value} seconds a visit",
    "dwell_seconds_mean": "stay {value} seconds on a page",
    "funnel_depth_mean": "get to step {value} of the way to a purchase on average",
    "cart_share": "fill the cart in {value} of visits",
    "purchase_share": "buy in {value} of visits",
    "intent_score": "show intent worth {value} points",
    "rating_mean": "rate {value} on average",
    "nps_score": "recommend at a net score of {value}",
    "sentiment_mean": "comment in a tone of {value}",
    "social_recency_days": "were last seen on social networks {value} days ago",
    "created_share": "create something in {value} of social actions",
    "share_other": "buy {value} of items from other categories",
}
_MORE_OR_LESS = {
    "gap_days_std": ("less", "more", "buy {} regularly: intervals vary by {} days"),
    "tenure_days": ("longer", "shorter", "bought over a {} time: {} days from first to last purchase"),
}
# Figures that say nearly the same; the clearest of each group speaks for it.
_GROUPS = {
    **dict.fromkeys(("n_orders", "n_active_days", "gap_days_mean", "gap_days_std"), "frequency"),
    **dict.fromkeys(("n_lines", "amount_sum"), "volume"),
}
# A plainer figure goes before one that is a little clearer but harder to picture.
_PLAINNESS = {"n_active_days": 0.9, "n_lines": 0.9, "tenure_days": 0.8, "gap_days_std": 0.7}
_WINDOW_PLAINNESS = 0.95


@dataclass(frozen=True)
class Comparison:
    """The figure of a segment beside everyone's, chosen so that it differs the way the effect size says.

    Parameters
    ----------
    statistic : {"mean", "median"}
    value, overall : float
        Of the segment and of everyone.
    ratio : float or None
        `value / overall`, where both are positive quantities.
    """

    statistic: Literal["mean", "median"]
    value: float
    overall: float
    ratio: float | None

    @property
    def whom(self) -> str:
        """Whom the segment is compared with."""
        return "average customer" if self.statistic == "mean" else "typical customer"


def compare(feature: FeatureRow, figure: Mapping[str, Any], *, n_profiles: int | None = None) -> Comparison | None:
    """The mean, or else the median, if it differs visibly and in the direction of the effect size.

    Effect sizes are taken in the matrix, where heavy tails are logarithms and nulls are filled, so a mean can lie on
    the other side of everyone's; such a figure would contradict the sentence that holds it.

    Parameters
    ----------
    feature : mapping
        With `unit`, `mean` and `median` of everyone.
    figure : mapping
        With `effect_size`, `mean`, `median` and `n_known` of the segment.
    n_profiles : int, optional
        Size of the segment; a figure that less than half of it has is not compared.

    Returns
    -------
    Comparison or None
    """
    effect, n_known = figure.get("effect_size"), figure.get("n_known")
    if not effect or (n_profiles and n_known is not None and n_known < _KNOWN * n_profiles):
        return None
    statistics: tuple[Literal["mean", "median"], ...] = ("mean", "median")
    for statistic in statistics:
        mine, overall = figure.get(statistic), feature.get(statistic)
        if mine is None or overall is None or not _agrees(mine, overall, effect, str(feature["unit"])):
            continue
        ratio = mine / overall if overall > 0 and mine >= 0 else None
        return Comparison(statistic, float(mine), float(overall), ratio)
    return None


def phrase(feature: FeatureRow, found: Comparison) -> str:
    """One difference as a clause about "them": order 2.5 times as often as the average customer (155 against 63)."""
    stem, when = stem_of(feature["name"])
    mine, overall = (amount_text(value, feature["unit"]) for value in (found.value, found.overall))
    if stem in _COMPARED and found.ratio is not None:
        return f"{_compared(stem, when, found)} ({mine} against {overall})"
    against = f"against {overall} for the {found.whom}"
    how = "more" if found.value > found.overall else "less"
    if is_category(stem, feature["unit"]):
        return f"buy {how} of {pretty(stem.removeprefix('share_'))}: {mine} of items, {against}"
    if stem.startswith("share_on_"):
        return f"are {how} on {pretty(stem.removeprefix('share_on_'))}: {mine} of social actions, {against}"
    column, equals, value = stem.partition("=")
    if equals:
        return f"are {how} often {column.replace('_', ' ')} {pretty(value)}: {mine}, {against}"
    if stem in _MORE_OR_LESS:
        more, less, words = _MORE_OR_LESS[stem]
        return f"{words.format(more if found.value > found.overall else less, mine)}, {against}"
    if stem == "response_share" and max(found.value, found.overall) > 1:
        # Some messages were answered more than once.
        mine, overall = (amount_text(value, "responses") for value in (found.value, found.overall))
        return f"give {mine} responses a message, against {overall} for the {found.whom}"
    if stem in _SAYINGS:
        return f"{_SAYINGS[stem].format(value=mine)}, {against}"
    # Labels of other features are nouns, and hold their window.
    return f"differ in {pretty(str(feature['label']))}: {mine}, {against}"


def short_phrase(feature: FeatureRow, found: Comparison) -> str:
    """The same without the figures in brackets."""
    return re.sub(r" \([^()]* against [^()]*\)$", "", phrase(feature, found))


def distinguishing(
    figures: Mapping[str, Mapping[str, Any]], features: Sequence[FeatureRow], *, n_profiles: int | None = None
) -> list[dict[str, Any]]:
    """The clearest differences from everyone, plain ones before others, each once over its windows and near-synonyms.

    Returns
    -------
    list of dict
        `feature`, `direction`, `effect_size`, `statistic`, `value`, `overall`, `ratio`, `change` (ratio - 1), `phrase`
        and `short`.
    """
    clear = [f for f in features if abs(figures[f["name"]].get("effect_size") or 0.0) >= _CLEAR_EFFECT]
    traits: dict[str, dict[str, Any]] = {}
    for feature in sorted(clear, key=lambda feature: -_tellable(feature["name"], figures)):
        figure, (stem, _) = figures[feature["name"]], stem_of(feature["name"])
        found = compare(feature, figure, n_profiles=n_profiles)
        group = _GROUPS.get(stem, stem)
        if found is None or group in traits or len(traits) >= _MOST_TRAITS:
            continue
        traits[group] = {
            "feature": feature["name"],
            "direction": "higher" if figure["effect_size"] > 0 else "lower",
            "effect_size": figure["effect_size"],
            "statistic": found.statistic,
            "value": found.value,
            "overall": found.overall,
            "ratio": found.ratio,
            "change": None if found.ratio is None else found.ratio - 1.0,
            "phrase": phrase(feature, found),
            "short": short_phrase(feature, found),
        }
    return list(traits.values())


def _tellable(name: str, figures: Mapping[str, Mapping[str, Any]]) -> float:
    stem, window = stem_of(name)
    plainness = _PLAINNESS.get(stem, 1.0) * (_WINDOW_PLAINNESS if window else 1.0)
    return float(abs(figures[name]["effect_size"])) * plainness


def stem_of(name: str) -> tuple[str, str]:
    """Name without its window, and the window in words: ("n_orders", " in the last 30 days") for `n_orders_30d`."""
    window = _WINDOW.search(name)
    # A category may be called "x_30d".
    if window is None or name.startswith("share_") or "=" in name:
        return name, ""
    return name[: window.start()], f" in the last {window[1]} days"


def _compared(stem: str, when: str, found: Comparison) -> str:
    verb, as_much, more, less = _COMPARED[stem]
    ratio = found.ratio or 0.0
    if ratio < _HARDLY:
        hardly = (
            verb.replace("are ", "are hardly ") if verb.startswith("are ") else f"hardly {verb.removesuffix(' on')}"
        )
        return f"{hardly}{when}, unlike the {found.whom}"
    if ratio >= _TWICE:
        how_often = f"{ratio:,.1f}" if ratio < 10 else f"{ratio:,.0f}"
        return f"{verb} {how_often.removesuffix('.0')} times {as_much}{when} as the {found.whom}"
    return f"{verb} {abs(ratio - 1):.0%} {more if ratio > 1 else less}{when} than the {found.whom}"


def _agrees(mine: float, overall: float, effect: float, unit: str) -> bool:
    gap = mine - overall
    visible = abs(gap) >= _LEAST_GAP * max(abs(mine), abs(overall))
    return gap * effect > 0 and visible and amount_text(mine, unit) != amount_text(overall, unit)
