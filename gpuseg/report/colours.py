"""Colours that a colour-blind reader can tell apart, on light and on dark paper."""

from dataclasses import dataclass

# After Okabe and Ito (2008), without yellow and black, which vanish on white and on dark paper.
_HUES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8468b5", "#8a8a2b")
# Beyond eight segments the hues come again, darker or lighter: a number always stands beside the colour.
_CYCLES = ((0.0, 0), (0.4, 0), (0.5, 255), (0.6, 0))
_NOISE = "#8b919a"

LOWER = "#2166ac"
HIGHER = "#b35806"
# Of two text colours, black is the more legible one on a surface lighter than this (WCAG relative luminance).
_BLACK_FROM = 0.179


@dataclass(frozen=True)
class Cell:
    """How one effect size is painted.

    Parameters
    ----------
    side : {"lower", "higher", "none", "missing"}
        Which of the two diverging colours, if any.
    alpha : float
        Opacity over the paper, 0 to 1.
    text : {"on-dark", "on-light"}
        Which text colour is legible there on white paper.
    """

    side: str
    alpha: float
    text: str


def segment_colour(position: int, segment_id: int) -> str:
    """Return the colour of the segment at a position of the list, as a hex string."""
    if segment_id < 0:
        return _NOISE
    amount, target = _CYCLES[position // len(_HUES) % len(_CYCLES)]
    mixed = (part + (target - part) * amount for part in _parts(_HUES[position % len(_HUES)]))
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def text_on(colour: str) -> str:
    """Return the text colour, black or white, that is more legible on `colour`."""
    return "#000000" if _luminance(_parts(colour)) > _BLACK_FROM else "#ffffff"


def diverging(effect: float | None, *, limit: float) -> Cell:
    """Paint an effect size: the stronger, the more opaque, full at `limit`."""
    if effect is None or effect == 0:
        return Cell("missing" if effect is None else "none", 0.0, "on-light")
    alpha = round(min(abs(effect) / limit, 1.0), 2)
    colour = HIGHER if effect > 0 else LOWER
    on_white = [255 + (part - 255) * alpha for part in _parts(colour)]
    dark = _luminance(on_white) <= _BLACK_FROM
    return Cell("higher" if effect > 0 else "lower", alpha, "on-dark" if dark else "on-light")


def _parts(colour: str) -> list[float]:
    return [float(int(colour[start : start + 2], 16)) for start in (1, 3, 5)]


def _luminance(parts: list[float]) -> float:
    linear = [part / 255 / 12.92 if part <= 10.31475 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
