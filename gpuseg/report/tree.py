"""What the report shows of the tree that segments come from: which would join next, and what a cut was made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gpuseg.report import text
from gpuseg.report.dendrogram import dendrogram
from gpuseg.report.views import SegmentView
from gpuseg.segments.figures import height_text

_MOST_DRAWN = 40
_MOST_STEPS = 10


def tree_view(choice: Mapping[str, Any], views: Sequence[SegmentView]) -> dict[str, Any] | None:
    """Return a picture of the merges among the segments and what fewer segments would join; None without a tree.

    Parameters
    ----------
    choice : mapping
        Of segments.json; `merges` has a row for every merge among the segments, the lowest first.
    views : sequence of SegmentView
        Those that are described.
    """
    merges, n_segments = choice.get("merges") or (), int(choice["segments"])
    if not merges or not views:
        return None
    by_id = {view.segment_id: view for view in views}
    members = [[segment] for segment in range(n_segments)]
    steps, n_untold = [], 0
    for position, (one, other, height) in enumerate(merges):
        members.append(members[one] + members[other])
        if not by_id.keys() & set(members[-1]):
            n_untold += 1
            continue
        steps.append(
            {
                "segments": text.count_of(n_segments - 1 - position, "segment"),
                "parts": [_part(members[one], by_id), _part(members[other], by_id)],
                "height": text.NOTHING if height is None else height_text(height),
            }
        )
    drawn = n_segments <= _MOST_DRAWN
    return {
        "broad": Markup(dendrogram(merges, members[-1], by_id, width=980)) if drawn else "",
        "narrow": Markup(dendrogram(merges, members[-1], by_id, width=340)) if drawn else "",
        # The last merge leaves one segment, which is none.
        "steps": steps[:-1][:_MOST_STEPS],
        "n_more": max(len(steps) - 1 - _MOST_STEPS, 0),
        "n_untold": n_untold,
        "height_from": height_text(choice["height_from"]),
        "height_below": height_text(choice["height_below"]),
    }


def origin_view(came_from: Mapping[str, Any] | None, views: Sequence[SegmentView]) -> dict[str, Any] | None:
    """Return where the segments of a cut were in the version that it was made of; None for a run of its own.

    Parameters
    ----------
    came_from : mapping or None
        As of `gpuseg.segments.nesting.came_from`.
    views : sequence of SegmentView
    """
    if came_from is None:
        return None
    names = came_from["names"]
    rows = [
        {
            "segment": view,
            "parts": [
                f"{part} {text.shortened(str(names[str(part)]), 60)}"
                for part in came_from["segments"][view.segment_id]
                if str(part) in names
            ]
            or ["segments too small to be told"],
        }
        for view in views
    ]
    return {"version": came_from["version"], "finer": came_from["finer"], "rows": rows}


def _part(members: Sequence[int], by_id: Mapping[int, SegmentView]) -> dict[str, Any]:
    """Segments of one side of a merge, and how many of them are not described."""
    shown = [by_id[segment] for segment in members if segment in by_id]
    return {"segments": shown, "n_hidden": len(members) - len(shown)}
