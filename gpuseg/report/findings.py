"""The sentences at the top of the report, each read off the run's JSON files, none computed anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuseg.report import text
from gpuseg.report.views import SegmentView, value_word
from gpuseg.segments.figures import is_category, pretty, singular
from gpuseg.segments.people import CUSTOMERS, People, network, people_of
from gpuseg.segments.stories import LAST

# Below three points of difference between two shares, or half a standard deviation, there is no headline.
_NOTABLE_GAP = 0.03
_NOTABLE_EFFECT = 0.5
_NOTABLE_TASTE = 0.05
_OVERLAPPING = 0.25
# Share of people from which on rules of thumb may be said to tell segments apart.
_TOLD_APART = 0.8
_MOST = 6
# Times the average from which a segment is worth naming for what each of its members brings.
_DEAR = 1.5


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


def findings(
    segments: Mapping[str, Any], views: Sequence[SegmentView], explanations: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Return the headlines that the numbers support, at most six, about people first and the method last.

    Parameters
    ----------
    segments : mapping
        The content of segments.json.
    views : sequence of SegmentView
        Its segments.
    explanations : mapping, optional
        The content of explanations.json.

    Returns
    -------
    list of Finding
    """
    named = [view for view in views if view.segment_id >= 0]
    if not named:
        return []
    word, people = value_word(segments), people_of(str(feature["name"]) for feature in segments["features"])
    quiet = _quietest(people, named)
    found = [
        _most_valuable(named, word, people),
        _dearest(named, word, people),
        _at_risk(quiet, segments, word, people),
        _underspending(named, word, people, besides=quiet),
        _tastes(segments, named, people),
        _how_sharp(segments, explanations or {}, people, several=len(named) > 1),
        _largest(named, people),
    ]
    return [finding for finding in found if finding is not None][:_MOST]


def _most_valuable(views: Sequence[SegmentView], word: str, people: People) -> Finding | None:
    best, worst = _widest(views, sign=1), _widest(views, sign=-1)
    if best is None or worst is None:
        return None
    view, gap = best
    if max(gap, worst[1]) < _NOTABLE_GAP:
        even = f"Every segment's share of {word} is close to its share of {people.many}."
        return Finding("Where the value is", ((even, False),), f"Value is spread much as {people.many} are.", None)
    if gap < _NOTABLE_GAP:
        return None
    detail = f"Each is worth {text.times(view.value_ratio)} the average {people.one}." if view.value_ratio else ""
    return Finding("Where the value is", _brings(view, word, people, bring=" bring "), detail, view.colour)


def _dearest(views: Sequence[SegmentView], word: str, people: People) -> Finding | None:
    """The segment whose members are worth most, where another one brings more together."""
    best = _widest(views, sign=1)
    rated = [view for view in views if view.value_ratio is not None]
    if best is None or not rated:
        return None
    view = max(rated, key=lambda each: each.value_ratio or 0.0)
    ratio = view.value_ratio or 0.0
    if view is best[0] or ratio < _DEAR or ratio <= (best[0].value_ratio or 0.0):
        return None
    detail = f"Each is worth {text.times(ratio)} the average {people.one}."
    return Finding("Worth most each", _brings(view, word, people, bring=" bring "), detail, view.colour)


def _largest(views: Sequence[SegmentView], people: People) -> Finding:
    largest = max(views, key=lambda view: view.n_profiles)
    smallest = min(views, key=lambda view: view.n_profiles)
    if len(views) == 1:
        pieces = (" with data fall into one segment, ", False), (largest.short_name, True), (".", False)
        return Finding("One segment", ((f"All {people.many}", True), *pieces), "", largest.colour)
    sentence = (
        ("The largest group is ", False),
        (largest.short_name, True),
        (": ", False),
        (text.count_of(largest.n_profiles, people.one, people.many), True),
        (f", {text.percent(largest.profile_share)} of all.", False),
    )
    detail = f"The smallest, {smallest.short_name}, has {text.count(smallest.n_profiles)}"
    return Finding("Largest group", sentence, f"{detail} ({text.percent(smallest.profile_share)}).", largest.colour)


def _underspending(
    views: Sequence[SegmentView], word: str, people: People, *, besides: SegmentView | None
) -> Finding | None:
    # The quietest segment has a headline of its own.
    worst = _widest([view for view in views if view is not besides], sign=-1)
    if worst is None or worst[1] < _NOTABLE_GAP:
        return None
    view = worst[0]
    detail = f"Were they like the average {people.one}, they would bring {text.percent(view.profile_share)}."
    return Finding("Room to grow", _brings(view, word, people, bring=" bring only "), detail, view.colour)


def _at_risk(view: SegmentView | None, segments: Mapping[str, Any], word: str, people: People) -> Finding | None:
    if view is None:
        return None
    name = people.absence
    overall = next((feature.get("mean") for feature in segments["features"] if feature["name"] == name), None)
    sentence = (
        ("The ", False),
        (text.percent(view.profile_share), True),
        (f" of {people.many} in ", False),
        (view.short_name, True),
        (" have been away the longest", False),
        (f"; they brought {text.percent(view.value_share)} of {word}." if view.value_share is not None else ".", False),
    )
    last = LAST[name].format(singular(f"{_whole(view.figure(name, 'mean'))} days", "days"))
    detail = f"On average {last}; for all {people.many} it is {_whole(overall)}."
    return Finding("Quiet or gone", sentence, detail, view.colour)


def _tastes(segments: Mapping[str, Any], views: Sequence[SegmentView], people: People) -> Finding | None:
    """The clearest liking of a segment for a category, or for a network where there are none, if any is clear."""
    found = []
    for feature in segments["features"]:
        name, overall = str(feature["name"]), text.finite(feature.get("mean"))
        social = people is not CUSTOMERS and name.startswith("share_on_")
        if not (social or is_category(name, str(feature.get("unit")))) or not overall:
            continue
        for view in views:
            effect, mine = view.figure(name, "effect_size") or 0.0, view.figure(name, "mean") or 0.0
            if effect >= _NOTABLE_EFFECT and mine >= max(_NOTABLE_TASTE, 1.4 * overall):
                found.append((effect, -view.segment_id, feature, view))
    if not found:
        return None
    _, _, feature, view = max(found, key=lambda item: item[:2])
    name = str(feature["name"])
    social = name.startswith("share_on_")
    category = network(name.removeprefix("share_on_")) if social else pretty(name.removeprefix("share_"))
    whole = "what they do on social networks" if social else "what they buy"
    sentence = (
        (view.short_name, True),
        (" stand out for ", False),
        (category, True),
        (f": {text.percent(view.figure(name, 'mean'))} of {whole}.", False),
    )
    return Finding(
        "What they like",
        sentence,
        f"For the average {people.one} it is {text.percent(feature.get('mean'))}.",
        view.colour,
    )


def _how_sharp(
    segments: Mapping[str, Any], explanations: Mapping[str, Any], people: People, *, several: bool
) -> Finding | None:
    """How far the segments may be trusted: whether they overlap, or else how well a few rules tell them apart."""
    choice = segments["choice"]
    tried = choice.get("candidates") or ()
    chosen: Mapping[str, Any] = next((c for c in tried if c.get("segments") == choice["segments"]), {})
    apart, rules = text.finite(chosen.get("silhouette")), explanations.get("surrogate")
    fidelity = text.finite(rules.get("fidelity")) if rules else None
    detail = ""
    if fidelity is not None:
        detail = f"A few plain rules still give {text.percent(fidelity)} of {people.many} the same segment."
    if several and apart is not None and apart < _OVERLAPPING and (chosen.get("groups") or 1) == 1:
        sentence = ("The segments shade into each other", True), (": use them as a scale, not as sealed boxes.", False)
        return Finding("How sharp they are", sentence, detail, None)
    if fidelity is None or not several:
        return None
    whole = fidelity >= _TOLD_APART
    told = "A few plain rules tell the segments apart" if whole else "Plain rules tell only some of the segments apart"
    sentence = (told, True), (".", False)
    return Finding("How sharp they are", sentence, detail.replace("still ", ""), None)


def _whole(days: Any) -> str:
    number = text.finite(days)
    return text.count(number) if number is None or number >= 10 else text.quantity(number, unit="days")


def _quietest(people: People, views: Sequence[SegmentView]) -> SegmentView | None:
    effects = {view.segment_id: view.figure(people.absence, "effect_size") for view in views}
    quiet = max(views, key=lambda view: effects[view.segment_id] or 0.0)
    return quiet if (effects[quiet.segment_id] or 0.0) >= _NOTABLE_EFFECT else None


def _widest(views: Sequence[SegmentView], *, sign: int) -> tuple[SegmentView, float] | None:
    gaps = [
        (view, sign * (view.value_share - view.profile_share))
        for view in views
        if view.value_share is not None and view.profile_share is not None
    ]
    return max(gaps, key=lambda pair: pair[1]) if len(gaps) > 1 else None


def _brings(view: SegmentView, word: str, people: People, *, bring: str) -> tuple[tuple[str, bool], ...]:
    return (
        ("The ", False),
        (text.percent(view.profile_share), True),
        (f" of {people.many} in ", False),
        (view.short_name, True),
        (bring, False),
        (text.percent(view.value_share), True),
        (f" of {word}.", False),
    )
