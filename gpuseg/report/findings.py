"""The sentences at the top of the report, each read off segments.json, none computed anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuseg.report import text
from gpuseg.report.views import SegmentView, value_word

# Below three points of difference between two shares, or half a standard deviation, there is no headline.
_NOTABLE_GAP = 0.03
_NOTABLE_EFFECT = 0.5


@dataclass(frozen=True)
class Finding:
    """One headline.

    Parameters
    ----------
    topic : str
        Two or three words above the sentence.
    sentence : tuple of (str, bool)
        Pieces of the sentence; True marks a piece to stress.
    detail : str
        One line below it.
    colour : str or None
        Of the segment it is about.
    """

    topic: str
    sentence: tuple[tuple[str, bool], ...]
    detail: str
    colour: str | None


def findings(segments: Mapping[str, Any], views: Sequence[SegmentView]) -> list[Finding]:
    """Return the headlines that the numbers support, at most four.

    Parameters
    ----------
    segments : mapping
        The content of segments.json.
    views : sequence of SegmentView
        Its segments.

    Returns
    -------
    list of Finding
    """
    named = [view for view in views if view.segment_id >= 0]
    if not named:
        return []
    word = value_word(segments)
    quiet = _quietest(segments, named)
    found = [
        _most_valuable(named, word),
        _largest(named),
        _underspending(named, word, besides=quiet),
        _at_risk(quiet, segments, word),
    ]
    return [finding for finding in found if finding is not None]


def _most_valuable(views: Sequence[SegmentView], word: str) -> Finding | None:
    best, worst = _widest(views, sign=1), _widest(views, sign=-1)
    if best is None or worst is None:
        return None
    view, gap = best
    if max(gap, worst[1]) < _NOTABLE_GAP:
        even = f"No segment's share of {word} is {_NOTABLE_GAP * 100:.0f} points or more from its share of customers."
        return Finding("Where the value is", ((even, False),), "Value is spread much as customers are.", None)
    if gap < _NOTABLE_GAP:
        return None
    return Finding(
        "Where the value is",
        _brings(view, word, bring=" bring "),
        f"That is {text.times((view.value_share or 0.0) / view.profile_share)} their share of customers."
        if view.profile_share
        else "",
        view.colour,
    )


def _largest(views: Sequence[SegmentView]) -> Finding:
    largest = max(views, key=lambda view: view.n_profiles)
    smallest = min(views, key=lambda view: view.n_profiles)
    if len(views) == 1:
        pieces = (" with data fall into one segment, ", False), (largest.short_name, True), (".", False)
        return Finding("One segment", (("All customers", True), *pieces), "", largest.colour)
    sentence = (
        (largest.short_name, True),
        (" is the largest segment: ", False),
        (text.count_of(largest.n_profiles, "customer"), True),
        (f", {text.percent(largest.profile_share)} of all.", False),
    )
    detail = f"The smallest, {smallest.short_name}, has {text.count(smallest.n_profiles)}"
    return Finding("Largest group", sentence, f"{detail} ({text.percent(smallest.profile_share)}).", largest.colour)


def _underspending(views: Sequence[SegmentView], word: str, *, besides: SegmentView | None) -> Finding | None:
    # The quietest segment has a headline of its own.
    worst = _widest([view for view in views if view is not besides], sign=-1)
    if worst is None or worst[1] < _NOTABLE_GAP:
        return None
    view = worst[0]
    detail = f"Were they like the average customer, they would bring {text.percent(view.profile_share)}."
    return Finding("Room to grow", _brings(view, word, bring=" bring only "), detail, view.colour)


def _at_risk(view: SegmentView | None, segments: Mapping[str, Any], word: str) -> Finding | None:
    if view is None:
        return None
    feature = _recency(segments)
    label, unit = str(feature["label"]), str(feature.get("unit") or "")
    name = str(feature["name"])
    own = text.quantity(view.content["features"][name].get("median"), unit=unit)
    overall = text.quantity(feature.get("median"), unit=unit)
    sentence = (
        ("The ", False),
        (text.percent(view.profile_share), True),
        (" of customers in ", False),
        (view.short_name, True),
        (" have been quiet the longest", False),
        (f"; they brought {text.percent(view.value_share)} of {word}." if view.value_share is not None else ".", False),
    )
    detail = f"{text.capital(label)}: median {own}, against {overall} for all customers."
    return Finding("Most at risk", sentence, detail, view.colour)


def _quietest(segments: Mapping[str, Any], views: Sequence[SegmentView]) -> SegmentView | None:
    name = _recency(segments).get("name")
    effects = {
        view.segment_id: text.finite(((view.content.get("features") or {}).get(name) or {}).get("effect_size"))
        for view in views
    }
    quiet = max(views, key=lambda view: effects[view.segment_id] or 0.0)
    return quiet if (effects[quiet.segment_id] or 0.0) >= _NOTABLE_EFFECT else None


def _recency(segments: Mapping[str, Any]) -> Mapping[str, Any]:
    known = [f for f in segments["features"] if str(f["name"]).startswith("recency_days")]
    return min(known, key=lambda f: len(str(f["name"])), default={})


def _widest(views: Sequence[SegmentView], *, sign: int) -> tuple[SegmentView, float] | None:
    gaps = [
        (view, sign * (view.value_share - view.profile_share))
        for view in views
        if view.value_share is not None and view.profile_share is not None
    ]
    return max(gaps, key=lambda pair: pair[1]) if len(gaps) > 1 else None


def _brings(view: SegmentView, word: str, *, bring: str) -> tuple[tuple[str, bool], ...]:
    return (
        ("The ", False),
        (text.percent(view.profile_share), True),
        (" of customers in ", False),
        (view.short_name, True),
        (bring, False),
        (text.percent(view.value_share), True),
        (f" of {word}.", False),
    )
