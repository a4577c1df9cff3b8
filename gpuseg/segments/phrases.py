"""Differences between a segment and everyone, in words whose figures point the way they say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuseg.segments.figures import amount_text, is_category, pretty, singular
from gpuseg.segments.naming import FeatureRow
from gpuseg.segments.people import network, people_of

_CLEAR_EFFECT = 0.25
_MOST_TRAITS = 5
# Smaller differences vanish when rounded, or read as none.
_LEAST_GAP = 0.05
_KNOWN = 0.5
_TWICE, _HARDLY = 1.95, 0.02
_WINDOW = re.compile(r"_(\d+)d$")
# How "2.5 times", "35%" and the figure's name make a sentence: verb, as ..., more ..., less ..., hardly ..., unit
_COMPARED = {
    "n_orders": ("order", "as often", "more often", "less often", "hardly order", "orders"),
    "n_lines": ("buy", "as many items", "more items", "fewer items", "hardly buy", "items"),
    "amount_sum": ("spend", "as much", "more", "less", "hardly spend", ""),
    "amount_per_order": ("spend", "as much per order", "more per order", "less per order", "hardly spend", ""),
    "n_active_days": ("shop on", "as many days", "more days", "fewer days", "hardly shop", "days"),
    "n_contacts": ("get", "as many messages", "more messages", "fewer messages", "get hardly any messages", "messages"),
    "n_sessions": ("visit online", "as often", "more often", "less often", "hardly visit online", "visits"),
    "n_page_views": ("open", "as many pages", "more pages", "fewer pages", "hardly open any pages", "pages"),
    "n_intent_events": (
        *("search, look at products and fill carts", "as often", "more often", "less often"),
        *("hardly search or look at products", "times"),
    ),
    "n_feedback": ("give feedback", "as often", "more often", "less often", "hardly give feedback", "times"),
    "n_social_actions": (
        *("are active on social networks", "as often", "more often", "less often"),
        *("are hardly active on social networks", "times"),
    ),
}
_INTEREST = ("show", *(f"{how} recent interest in buying" for how in ("as much", "more", "less")))
_INTEREST += ("show hardly any recent interest in buying", "")
_SAYINGS = {
    "recency_days": "last bought {value} days ago",
    "gap_days_mean": "buy every {value} days",
    "response_share": "answer {value} of the messages they get",
    "visit_recency_days": "last visited {value} days ago",
    "pages_per_session": "open {value} pages a visit",
    "session_seconds_mean": "stay {value} seconds a visit",
    "dwell_seconds_mean": "stay {value} seconds on a page",
    "funnel_depth_mean": "get to step {value} of the 6 from a first view to a purchase",
    "cart_share": "fill the cart in {value} of visits",
    "purchase_share": "buy in {value} of visits",
    "nps_score": "have a net promoter score of {value} on a scale from -1 to 1",
    "social_recency_days": "were last active on social networks {value} days ago",
    "created_share": "comment, share or post in {value} of social actions",
}
_MORE_OR_LESS = {
    "gap_days_std": ("less", "more", "buy {} regularly: intervals vary by {} days"),
    "tenure_days": ("longer", "shorter", "have bought for a {} time: {} days from first to last purchase"),
    "rating_mean": ("better", "worse", "give {} ratings: {}"),
    "sentiment_mean": ("friendlier", "harsher", "write {} comments: tone {} on a scale from -1 to 1"),
}
# What these say follows from other figures: responses from messages, irregular gaps from long ones.
UNTOLD = {"n_responses", "n_contact_days", "share_other", "gap_days_std"}
# Figures that say the same of people, seen from several sides; the clearest of each idea speaks for it.
_IDEAS = {
    **dict.fromkeys(("n_orders", "n_active_days", "gap_days_mean", "gap_days_std"), "frequency"),
    **dict.fromkeys(("n_lines", "amount_sum"), "volume"),
    **dict.fromkeys(("recency_days", "visit_recency_days", "social_recency_days"), "absence"),
    **dict.fromkeys(("n_sessions", "n_page_views"), "visits"),
    **dict.fromkeys(("pages_per_session", "session_seconds_mean", "dwell_seconds_mean"), "length of visits"),
    **dict.fromkeys(("funnel_depth_mean", "cart_share", "purchase_share"), "way to a purchase"),
    **dict.fromkeys(("intent_score", "n_intent_events"), "interest"),
    **dict.fromkeys(("rating_mean", "nps_score", "sentiment_mean"), "opinion"),
}
# A plainer figure goes before one that is a little clearer but harder to picture, and what people do before what was
# done to them.
_PLAINNESS = {"n_active_days": 0.9, "n_lines": 0.9, "tenure_days": 0.8, "n_contacts": 0.5}
_PLAINNESS |= {"visit_recency_days": 0.8, "social_recency_days": 0.7}
_WINDOW_PLAINNESS = 0.8

Alike = Callable[[str, str], bool]


@dataclass(frozen=True)
class Comparison:
    """The mean of a segment beside everyone's.

    Parameters
    ----------
    value, overall : float
        Of the segment and of everyone.
    ratio : float or None
        `value / overall`, where both are positive quantities.
    one : str
        What one of the people is called.
    """

    value: float
    overall: float
    ratio: float | None
    one: str = "customer"

    @property
    def whom(self) -> str:
        """Whom the segment is compared with."""
        return f"average {self.one}"


def compare(
    feature: FeatureRow, figure: Mapping[str, Any], *, n_profiles: int | None = None, one: str = "customer"
) -> Comparison | None:
    """Compare the means, if they differ visibly and in the direction of the effect size.

    Effect sizes are taken in the matrix, where heavy tails are logarithms and nulls are filled, so a mean can lie on
    the other side of everyone's; such a figure would contradict the sentence that holds it.

    Parameters
    ----------
    feature : mapping
        With `unit` and `mean` of everyone.
    figure : mapping
        With `effect_size`, `mean` and `n_known` of the segment.
    n_profiles : int, optional
        Size of the segment; a figure that less than half of it has is not compared.
    one : str
        What one of the people is called.

    Returns
    -------
    Comparison or None
    """
    effect, n_known = figure.get("effect_size"), figure.get("n_known")
    mine, overall = figure.get("mean"), feature.get("mean")
    if not effect or mine is None or overall is None:
        return None
    if n_profiles and n_known is not None and n_known < _KNOWN * n_profiles:
        return None
    if not _agrees(mine, overall, effect, str(feature["unit"])):
        return None
    return Comparison(float(mine), float(overall), mine / overall if overall > 0 and mine >= 0 else None, one)


def phrase(feature: FeatureRow, found: Comparison) -> str:
    """One difference as a clause about "them": order 2.5 times as often as the average customer (155 against 63)."""
    lead, figures = _clause(feature, found)
    return f"{lead}{figures}"


def short_phrase(feature: FeatureRow, found: Comparison) -> str:
    """The same without the figures, where it says enough without them."""
    lead, figures = _clause(feature, found)
    if figures.startswith(","):
        return f"{lead}{figures}"
    return f"{lead} than the {found.whom}" if figures.startswith(":") else lead


def _clause(feature: FeatureRow, found: Comparison) -> tuple[str, str]:
    """What differs, and by how much."""
    (stem, when), unit = stem_of(feature["name"]), str(feature["unit"])
    mine, overall = (amount_text(value, unit) for value in (found.value, found.overall))
    if stem == "intent_score" and found.ratio is not None:
        return _compared(_INTEREST, when, found), ""
    if stem in _COMPARED and found.ratio is not None:
        noun = f" {_COMPARED[stem][-1]}".rstrip()
        return _compared(_COMPARED[stem], when, found), singular(f" ({mine}{noun} against {overall})", noun.strip())
    against = f"against {overall} for the {found.whom}"
    how = "more" if found.value > found.overall else "less"
    if is_category(stem, unit):
        return f"buy {how} of {pretty(stem.removeprefix('share_'))}", f": {mine} of items, {against}"
    if stem.startswith("share_on_"):
        where = pretty(network(stem.removeprefix("share_on_")))
        return f"are {how} on {where}", f": {mine} of social actions, {against}"
    column, equals, value = stem.partition("=")
    if equals:
        return f"are {how} often {column.replace('_', ' ')} {pretty(value)}", f": {mine}, {against}"
    if stem in _MORE_OR_LESS:
        more, less, words = _MORE_OR_LESS[stem]
        return singular(words.format(more if found.value > found.overall else less, mine), unit), f", {against}"
    if stem == "response_share" and max(found.value, found.overall) > 1:
        # Some messages were answered more than once.
        mine, overall = (amount_text(value, "responses") for value in (found.value, found.overall))
        return f"give {singular(f'{mine} responses', 'responses')} a message", (
            f", against {overall} for the {found.whom}"
        )
    if stem in _SAYINGS:
        if stem == "response_share":
            mine, overall = (amount_text(value, "share") for value in (found.value, found.overall))
        return singular(_SAYINGS[stem].format(value=mine), unit), f", against {overall} for the {found.whom}"
    # Labels of other features are nouns, and hold their window.
    return f"differ in {pretty(str(feature['label']))}", f": {mine}, {against}"


def distinguishing(
    figures: Mapping[str, Mapping[str, Any]],
    features: Sequence[FeatureRow],
    *,
    n_profiles: int | None = None,
    alike: Alike | None = None,
) -> list[dict[str, Any]]:
    """The clearest differences from everyone, plain ones before others, every idea once.

    Parameters
    ----------
    figures : mapping of feature name to mapping
        Of the segment.
    features : sequence of mapping
        With the figures of everyone.
    n_profiles : int, optional
        As in `compare`.
    alike : callable, optional
        Whether two features go together so closely that one of them tells both.

    Returns
    -------
    list of dict
        `feature`, `direction`, `effect_size`, `statistic` (always "mean"), `value`, `overall`, `ratio`, `change`
        (ratio - 1), `phrase` and `short`.
    """
    people = people_of(feature["name"] for feature in features)
    one = people.one
    clear = [f for f in features if abs(figures[f["name"]].get("effect_size") or 0.0) >= _CLEAR_EFFECT]
    gone = any(
        feature["name"] == people.absence and compare(feature, figures[people.absence], n_profiles=n_profiles)
        for feature in clear
    )
    traits: dict[str, dict[str, Any]] = {}
    for feature in sorted(clear, key=lambda feature: -_tellable(feature["name"], figures)):
        name, figure = feature["name"], figures[feature["name"]]
        found, idea = compare(feature, figure, n_profiles=n_profiles, one=one), idea_of(name)
        if found is not None and stem_of(name)[1] and found.ratio is not None and found.ratio < _HARDLY:
            # Who has done nothing lately is away; since when says more.
            if gone:
                continue
            idea = "absence"
        if found is None or idea in traits or stem_of(name)[0] in UNTOLD or len(traits) >= _MOST_TRAITS:
            continue
        if alike is not None and any(alike(name, trait["feature"]) for trait in traits.values()):
            continue
        traits[idea] = {
            "feature": name,
            "direction": "higher" if figure["effect_size"] > 0 else "lower",
            "effect_size": figure["effect_size"],
            "statistic": "mean",
            "value": found.value,
            "overall": found.overall,
            "ratio": found.ratio,
            "change": None if found.ratio is None else found.ratio - 1.0,
            "phrase": phrase(feature, found),
            "short": short_phrase(feature, found),
        }
    return list(traits.values())


def idea_of(name: str) -> str:
    """What a feature tells of people, the same for all that tell the same."""
    stem, _ = stem_of(name)
    if stem.startswith("share_on_"):
        return "networks"
    if is_category(stem, "share"):
        return "tastes"
    return _IDEAS.get(stem, stem.partition("=")[0])


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


def _compared(words: Sequence[str], when: str, found: Comparison) -> str:
    verb, as_much, more, less, hardly, _ = words
    ratio = found.ratio or 0.0
    if ratio < _HARDLY:
        return f"{hardly}{when}, unlike the {found.whom}"
    if ratio >= _TWICE:
        how_often = (f"{ratio:,.1f}" if ratio < 10 else f"{ratio:,.0f}").removesuffix(".0")
        times = "twice" if how_often == "2" else f"{how_often} times"
        return f"{verb} {times} {as_much}{when} as the {found.whom}"
    return f"{verb} {abs(ratio - 1):.0%} {more if ratio > 1 else less}{when} than the {found.whom}"


def _agrees(mine: float, overall: float, effect: float, unit: str) -> bool:
    gap = mine - overall
    visible = abs(gap) >= _LEAST_GAP * max(abs(mine), abs(overall))
    return gap * effect > 0 and visible and amount_text(mine, unit) != amount_text(overall, unit)
