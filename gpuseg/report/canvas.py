"""The sheet that the pictures of the report are drawn on: its units, colours and lettering, and how it becomes SVG."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gpuseg.report.views import SegmentView

# Stand-ins that become CSS variables, so that one picture serves light and dark paper.
INK, MUTED, LINE, PAPER = "#010203", "#010204", "#010205", "#010206"
_VARIABLES = {
    INK: "var(--ink, #18202b)",
    MUTED: "var(--muted, #56606e)",
    LINE: "var(--line, #dedbd2)",
    PAPER: "var(--surface, #ffffff)",
}


def chip(axes: Axes, view: SegmentView, *, x: float, y: float, room: float) -> None:
    """The segment's number on its colour; only the number where room is short, nothing where there is none."""
    middle = x + 11
    if room >= 24:
        box = FancyBboxPatch((x, y), 22, 22, boxstyle="round,pad=0,rounding_size=6", fc=view.colour, lw=0)
        axes.add_patch(box)
        label = plain(12, view.text_colour)
        axes.text(middle, y + 11.3, str(view.segment_id), va="center", ha="center", weight="bold", **label)
    elif room >= 9:
        axes.text(middle, y + 11.3, str(view.segment_id), va="center", ha="center", **plain(12 if room >= 16 else 8))


def plain(size: float, colour: str = INK) -> dict[str, Any]:
    """Options of text of a size in pixels; a dollar sign in it is no formula."""
    return {"fontsize": size, "color": colour, "parse_math": False}


@contextmanager
def figure_of(width: int, height: int) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure whose axes are a sheet of `width` by `height` units, from the top left, in fixed settings."""
    with warnings.catch_warnings(), matplotlib.style.context("default"):
        # The reader's own fonts draw the text; what matplotlib's font lacks only makes the measuring coarser.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1), facecolor="none")
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        yield figure, axes


def svg(figure: Figure, name: str) -> str:
    """The figure as SVG text to be set inline, the same for the same figure; colours are variables of the page."""
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
