"""Contrast of the page's own colours, by the formula of WCAG 2."""

import re
from pathlib import Path

import pytest

import gpuseg.report

CSS = (Path(gpuseg.report.__file__).parent / "report.css.j2").read_text("utf-8")
LEAST = 4.5


def palettes() -> dict[str, dict[str, str]]:
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in CSS.split("@media screen")[:2])
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "muted", "accent"])
@pytest.mark.parametrize("paper", ["page", "surface", "soft"])
def test_text_is_legible(scheme: str, text: str, paper: str) -> None:
    colours = palettes()[scheme]
    assert contrast(colours[text], colours[paper]) >= LEAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_warnings_are_legible(scheme: str) -> None:
    colours = palettes()[scheme]
    assert contrast(colours["ink"], colours["warn-soft"]) >= LEAST


def test_the_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_page_has_rules_for_paper_and_telephone() -> None:
    assert "@media print" in CSS
    assert "@media (max-width: 36rem)" in CSS
