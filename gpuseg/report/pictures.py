"""The pictures of the report, as SVG text to be set inline."""

import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from gpuseg.report import text
from gpuseg.report.colours import segment_colour
from gpuseg.report.views import SegmentView

_POINTS_SHOWN = 1500
# Stand-ins that become CSS variables, so that one picture serves light and dark paper.
_INK, _MUTED, _LINE, _PAPER = "#010203", "#010204", "#010205", "#010206"
_VARIABLES = {
    _INK: "var(--ink, #18202b)",
    _MUTED: "var(--muted, #56606e)",
    _LINE: "var(--line, #dedbd2)",
    _PAPER: "var(--surface, #ffffff)",
}
_MARKERS = ("o", "s", "^", "D")


def overview_beside(views: Sequence[SegmentView]) -> str:
    """Draw both shares per segment, names beside the bars, for a wide page."""
    row = 52 if len(views) <= 12 else 44
    with _figure(580, row * len(views) + 8) as (figure, axes):
        for index, view in enumerate(views):
            top = 4 + row * index
            _chip(axes, view, x=2, y=top + row / 2 - 11)
            axes.text(32, top + row / 2, _wrap(view.name, 23, lines=2), va="center", linespacing=1.15, **_plain(13))
            _bars(axes, view, views, left=212, right=532, top=top + row / 2 - 15)
        return _svg(figure, "overview-beside")


def overview_above(views: Sequence[SegmentView]) -> str:
    """Draw both shares per segment, names above the bars, for a telephone."""
    row = 76
    with _figure(340, row * len(views) + 2) as (figure, axes):
        for index, view in enumerate(views):
            top = row * index
            _chip(axes, view, x=1, y=top + 4)
            axes.text(34, top + 15.5, _wrap(view.name, 36, lines=1), va="center", **_plain(14))
            _bars(axes, view, views, left=2, right=284, top=top + 32)
        return _svg(figure, "overview-above")


def projection(points: Sequence[Sequence[float]], views: Sequence[SegmentView]) -> str:
    """Draw customers in two dimensions, coloured by segment, at most 1500 of them."""
    shown = sampled(points)
    places = {view.segment_id: position for position, view in enumerate(views)}
    xy = np.array([point[:2] for point in shown], dtype=np.float64)
    ids = np.array([int(point[2]) for point in shown])
    width, height = np.ptp(xy, axis=0)
    with _figure(480, round(min(max(480 * height / width, 220), 420)) if width else 300) as (figure, axes):
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
        return _svg(figure, "projection")


def candidates(choice: Mapping[str, Any]) -> str:
    """Draw the measure that decided over the candidate numbers of segments."""
    tried = sorted(choice["candidates"], key=lambda candidate: int(candidate["segments"]))
    measure = measure_of(choice)
    xs = [int(candidate["segments"]) for candidate in tried]
    ys = [np.nan if (y := text.finite(c.get(measure))) is None else y for c in tried]
    with _figure(420, 250) as (figure, axes):
        axes.set_axis_on()
        axes.set_position((0.12, 0.21, 0.86, 0.75))
        _use_data_limits(axes)
        axes.plot(xs, ys, color=_MUTED, linewidth=1.6, zorder=2)
        for x, y, candidate in zip(xs, ys, tried, strict=True):
            face = _MUTED if candidate.get("accepted", True) else _PAPER
            if x == choice.get("segments"):
                axes.plot([x], [y], "o", markersize=17, mfc="none", mec=_INK, mew=1.8, zorder=4)
            axes.plot([x], [y], "o", markersize=8, mfc=face, mec=_MUTED, mew=1.6, zorder=3)
        axes.margins(x=0.08, y=0.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if measure == "inertia":
            axes.yaxis.set_major_formatter("{x:,.10g}")
        axes.grid(axis="y", color=_LINE, linewidth=1)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, pad=7, labelsize=13, labelcolor=_MUTED)
        axes.set_xlabel("Number of segments", fontsize=13, color=_MUTED, labelpad=7)
        return _svg(figure, "candidates")


def measure_of(choice: Mapping[str, Any]) -> str:
    """Return the measure that speaks for the choice: silhouette where it peaks there, or else inertia."""
    peaks = {
        int(candidate["segments"]): peak
        for candidate in choice["candidates"]
        if candidate.get("accepted", True) and (peak := text.finite(candidate.get("silhouette"))) is not None
    }
    return "silhouette" if peaks and peaks.get(choice["segments"]) == max(peaks.values()) else "inertia"


def sampled(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Return at most 1500 points, evenly spaced over the sequence."""
    size = min(len(points), _POINTS_SHOWN)
    return [points[index * len(points) // size] for index in range(size)]


def _bars(
    axes: Axes, view: SegmentView, views: Sequence[SegmentView], *, left: float, right: float, top: float
) -> None:
    shares = [share for v in views for share in (v.profile_share, v.value_share) if share is not None]
    low, high = min((*shares, 0.0)), max((*shares, 0.01))
    scale = (right - left) / (high - low)
    zero = left - low * scale
    own = [(view.profile_share, 0.4), (view.value_share, 1.0)]
    if all(v.value_share is None for v in views):
        own = [(view.profile_share, 1.0)]
        top += 8
    for line, (share, alpha) in enumerate(own):
        y, length = top + 16 * line, (share or 0.0) * scale
        axes.add_patch(Rectangle((zero, y), length, 13, facecolor=view.colour, alpha=alpha, linewidth=0))
        x = zero + max(length, 0.0) + 7
        axes.text(x, y + 6.8, text.percent(share), va="center", **_plain(12, _INK if line else _MUTED))
    axes.plot([zero, zero], [top - 3, top + 16 * len(own)], color=_MUTED, linewidth=1)


def _chip(axes: Axes, view: SegmentView, *, x: float, y: float) -> None:
    box = FancyBboxPatch((x, y), 22, 22, boxstyle="round,pad=0,rounding_size=6", fc=view.colour, lw=0)
    axes.add_patch(box)
    label = _plain(12, view.text_colour)
    axes.text(x + 11, y + 11.3, str(view.segment_id), va="center", ha="center", weight="bold", **label)


def _mark(axes: Axes, number: int, *, x: float, y: float, size: float, colour: str) -> None:
    box = {"boxstyle": "circle,pad=0.28", "facecolor": _PAPER, "edgecolor": colour, "linewidth": 2.2}
    axes.text(x, y, str(number), ha="center", va="center", weight="bold", bbox=box, zorder=5, **_plain(size))


def _use_data_limits(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.autoscale()


def _plain(size: float, colour: str = _INK) -> dict[str, Any]:
    # A dollar sign in a name is no formula.
    return {"fontsize": size, "color": colour, "parse_math": False}


def _wrap(name: str, width: int, *, lines: int) -> str:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in name)
    narrowed = width // 2 if wide * 2 > len(name) else width
    wrapped = textwrap.wrap(name, narrowed)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], f"{wrapped[lines - 1][: narrowed - 1].rstrip()}…"]
    return "\n".join(wrapped)


@contextmanager
def _figure(width: int, height: int) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure whose axes are a sheet of `width` by `height` units, from the top left, in fixed settings."""
    with warnings.catch_warnings(), matplotlib.style.context("default"):
        # The reader's own fonts draw the text; what matplotlib's font lacks only makes the measuring coarser.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1), facecolor="none")
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        yield figure, axes


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    fixed = {"svg.hashsalt": f"gpuseg-{name}", "svg.fonttype": "none"}
    with matplotlib.rc_context(fixed):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # A style element would reach the whole page, and group ids would repeat from picture to picture.
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, count=1, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', drawn, count=1)
    return re.sub(r"#01020[3-6]", lambda match: _VARIABLES[match.group()], drawn).strip()
