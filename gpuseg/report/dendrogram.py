"""The picture of merges among segments."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from gpuseg.report import text
from gpuseg.report.canvas import INK, LINE, MUTED, chip, figure_of, plain, svg
from gpuseg.report.views import SegmentView
from gpuseg.segments.figures import height_text

_ROW, _TOP, _NAMED_FROM, _NAMES = 28, 14, 500, 300


def dendrogram(
    merges: Sequence[Sequence[Any]], order: Sequence[int], by_id: Mapping[int, SegmentView], *, width: int
) -> str:
    """Draw the segments one below the other and, to the right, at which height they join.

    Parameters
    ----------
    merges : sequence of (int, int, float or None)
        Numbers of the two groups that join, segments first and then the groups that merges make, and the height, None
        where it is not told.
    order : sequence of int
        Segments from top to bottom, so that those that join stand together.
    by_id : mapping of int to SegmentView
        Those that are described.
    width : int
        In CSS pixels; names are written where there is room for them.
    """
    height = _TOP + _ROW * len(order) + 30
    left, right = (_NAMES if width >= _NAMED_FROM else 34), width - 12
    levels = _levels([height for *_, height in merges])
    top = max(levels[-1], 1e-300)
    ys: list[float] = [0.0] * len(order)
    with figure_of(width, height) as (figure, axes):
        for place, segment in enumerate(order):
            ys[segment] = _TOP + _ROW * (place + 0.5)
            if segment in by_id:
                _label(axes, by_id[segment], y=ys[segment], named=width >= _NAMED_FROM)
        xs = [float(left)] * len(order)
        for (one, other, _), level in zip(merges, levels, strict=True):
            x = left + (right - left) * level / top
            for part in (one, other):
                axes.plot([xs[part], x], [ys[part]] * 2, color=MUTED, linewidth=1.4)
            axes.plot([x, x], [ys[one], ys[other]], color=MUTED, linewidth=1.4)
            xs.append(x)
            ys.append((ys[one] + ys[other]) / 2)
        bottom = height - 24
        axes.plot([left, right], [bottom, bottom], color=LINE, linewidth=1)
        axes.text(left, bottom + 14, "0", ha="center", va="center", **plain(11, MUTED))
        if merges[-1][2] is not None:
            axes.text(right, bottom + 14, f"height {height_text(top)}", ha="right", va="center", **plain(11, MUTED))
        return svg(figure, f"dendrogram-{width}")


def _levels(heights: Sequence[float | None]) -> list[float]:
    """Heights to draw: one that is not told lies as high as the next that is, or above all of them."""
    highest = max((height for height in heights if height is not None), default=0.8)
    found, above = [], 1.25 * highest
    for height in reversed(heights):
        above = above if height is None else height
        found.append(above)
    return found[::-1]


def _label(axes: Axes, view: SegmentView, *, y: float, named: bool) -> None:
    chip(axes, view, x=4, y=y - 11, room=30)
    if named:
        axes.text(34, y, text.shortened(view.name, 36), ha="left", va="center", **plain(12, INK))
