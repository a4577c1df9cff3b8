"""The pictures of the report, as SVG text to be set inline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from gpuseg.report import text
from gpuseg.report.canvas import INK, LINE, MUTED, PAPER, chip, figure_of, plain, svg
from gpuseg.report.colours import segment_colour
from gpuseg.report.views import SegmentView

_POINTS_SHOWN = 1500
_LABEL_ROOM = 58.0
_MARKERS = ("o", "s", "^", "D")


def size_map(views: Sequence[SegmentView], *, width: int, height: int, average: float | None = None) -> str:
    """Draw a block a segment: as wide as its share of customers, as high as a customer's value, so its area is value.

    Parameters
    ----------
    views : sequence of SegmentView
    width, height : int
        Of the picture, in CSS pixels at its natural size.
    average : float, optional
        Value of the average customer, drawn as a line.
    """
    shown = sorted(views, key=lambda view: (-(view.value_each or 0.0), view.segment_id))
    has_value = any(view.value_each is not None for view in shown)
    values = [view.value_each or 0.0 for view in shown] if has_value else [1.0] * len(shown)
    low, high = min(*values, 0.0), max(*values, average or 0.0, 1e-9)
    top, bottom, left, right = 26, height - 48, 2, width - 2
    scale = (bottom - top) / (high - low)
    zero = bottom + low * scale
    with figure_of(width, height) as (figure, axes):
        x, taken = float(left), -100.0
        for view, value in zip(shown, values, strict=True):
            wide = (view.profile_share or 0.0) * (right - left)
            axes.add_patch(Rectangle((x, zero - value * scale), wide, value * scale, fc=view.colour, ec=PAPER, lw=1))
            chip(axes, view, x=x + wide / 2 - 11, y=height - 42, room=wide)
            middle = _inside(x + wide / 2, width)
            if has_value and middle - taken >= _LABEL_ROOM and wide >= 14:
                at, colour = min(zero - value * scale, zero) - 9, INK
                line = None if average is None else zero - average * scale
                # A line through a number cannot be read; a block this near the average is high enough for its label.
                if line is not None and abs(at - line) < 10 and value * scale >= 24:
                    at, colour = at + 20, view.text_colour
                axes.text(middle, at, text.money(view.value_each), ha="center", va="center", **plain(12, colour))
                taken = middle
            if wide >= 30:
                share = text.percent(view.profile_share)
                axes.text(x + wide / 2, height - 8, share, ha="center", va="center", **plain(12, MUTED))
            x += wide
        axes.plot([left, right], [zero, zero], color=MUTED, linewidth=1)
        if has_value and average is not None:
            _average(axes, average, left=left, right=right, y=zero - average * scale)
        return svg(figure, f"size-map-{width}")


def projection(points: Sequence[Sequence[float]], views: Sequence[SegmentView]) -> str:
    """Draw customers in two dimensions, coloured by segment, at most 1500 of them."""
    shown = sampled(points)
    places = {view.segment_id: position for position, view in enumerate(views)}
    xy = np.array([point[:2] for point in shown], dtype=np.float64)
    ids = np.array([int(point[2]) for point in shown])
    width, height = np.ptp(xy, axis=0)
    with figure_of(480, round(min(max(480 * height / width, 220), 420)) if width else 300) as (figure, axes):
        _use_data_limits(axes)
        axes.set_aspect("equal", adjustable="datalim")
        # The smallest segments come last and stay visible.
        order = sorted(set(ids.tolist()), key=lambda number: -int((ids == number).sum()))
        for number in order:
            place = places.get(number, 0)
            colour = segment_colour(place, number if number in places else -1)
            marker = _MARKERS[place // 8 % len(_MARKERS)]
            part = xy[ids == number]
            axes.plot(part[:, 0], part[:, 1], marker, color=colour, markersize=4.6, alpha=0.6, mew=0)
        for number in order:
            if number in places:
                x, y = np.median(xy[ids == number], axis=0)
                size = 15 if len(views) <= 12 else 10
                _mark(axes, number, x=x, y=y, size=size, colour=segment_colour(places[number], number))
        return svg(figure, "projection")


def curve(tried: Sequence[Mapping[str, Any]], choice: Mapping[str, Any], *, key: str, places: int) -> str:
    """Draw one measure over the numbers of segments that were tried; the number in use is ringed and written out."""
    xs = [int(candidate["segments"]) for candidate in tried]
    ys = [np.nan if (y := text.finite(candidate.get(key))) is None else y for candidate in tried]
    with figure_of(300, 170) as (figure, axes):
        axes.set_axis_on()
        axes.set_position((0.04, 0.2, 0.92, 0.74))
        _use_data_limits(axes)
        axes.plot(xs, ys, color=MUTED, linewidth=1.6, zorder=2)
        for x, y, candidate in zip(xs, ys, tried, strict=True):
            face = MUTED if candidate.get("accepted", True) else PAPER
            axes.plot([x], [y], "o", markersize=7, mfc=face, mec=MUTED, mew=1.6, zorder=3)
            if x == choice.get("segments") and not np.isnan(y):
                axes.plot([x], [y], "o", markersize=15, mfc="none", mec=INK, mew=1.8, zorder=4)
                label = text.decimals(y, places)
                axes.annotate(label, (x, y), (0, 14), textcoords="offset points", ha="center", **plain(13))
        axes.margins(x=0.1, y=0.35)
        axes.set_xticks(xs)
        axes.set_yticks([])
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.spines["bottom"].set_color(LINE)
        axes.tick_params(length=0, pad=5, labelsize=12 if len(xs) <= 12 else 8, labelcolor=MUTED)
        return svg(figure, f"curve-{key}")


def sampled(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Return at most 1500 points, evenly spaced over the sequence."""
    size = min(len(points), _POINTS_SHOWN)
    return [points[index * len(points) // size] for index in range(size)]


def _average(axes: Axes, average: float, *, left: float, right: float, y: float) -> None:
    axes.plot([left, right], [y, y], color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.text(right, y - 8, f"average {text.money(average)}", ha="right", va="center", **plain(12))


def _inside(x: float, width: float) -> float:
    return min(max(x, _LABEL_ROOM / 2), width - _LABEL_ROOM / 2)


def _mark(axes: Axes, number: int, *, x: float, y: float, size: float, colour: str) -> None:
    box = {"boxstyle": "circle,pad=0.28", "facecolor": PAPER, "edgecolor": colour, "linewidth": 2.2}
    axes.text(x, y, str(number), ha="center", va="center", weight="bold", bbox=box, zorder=5, **plain(size))


def _use_data_limits(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.autoscale()
