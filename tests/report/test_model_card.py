import copy
import re
from typing import Any

import pytest

from gpuseg.report import render_model_card

SECTIONS = (
    *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
    *("Quantitative analyses", "Ethical considerations and privacy", "Caveats and recommendations"),
)


@pytest.fixture
def write(segments: dict[str, Any], quality: dict[str, Any]) -> Any:
    def write(**other: Any) -> str:
        arguments = {"title": "Grocer", "segments": segments, "quality": quality, "seed": 7} | other
        return render_model_card(**arguments)

    return write


def test_the_sections_of_the_paper_in_order(write: Any) -> None:
    lines = write().splitlines()
    assert lines[0] == "# Model card: Grocer"
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == list(SECTIONS)


def test_it_holds_the_figures_of_the_run(write: Any, explanations: dict[str, Any]) -> None:
    card = write(explanations=explanations)
    for expected in (
        "k-means over scaled behavioural features; 6 segments",
        "seed 7",
        "1 January 2018",
        "| Rows read | 1,469,307 |",
        "| Silhouette | 0.342 |",
        "a tree of 9 leaves gives 91% of 617 held-out customers",
        "47% for the segments, 33% for as many RFM groups",
        "| 1 | Frequent big-basket shoppers | 444 | 18% | 47% | 4,865.18 |",
        "| orders | Segmentation | Legitimate interests |",
        "| households | Segmentation | not stated |",
        "below min\\_coverage 0.5",
        "rfm, tempo, interests",
    ):
        assert expected in card, expected


def test_without_explanations_or_candidates_it_says_so(write: Any, segments: dict[str, Any]) -> None:
    segments["choice"] = {"requested": 6, "segments": 6, "reason": "", "candidates": []}
    card = write()
    assert card.count("not measured in this run") == 2
    assert "The number of segments was given" in card
    assert "asked for" in card


def test_without_value_there_is_no_money(write: Any, segments: dict[str, Any]) -> None:
    segments["value_total"] = segments["value_feature"] = None
    assert "| segment | name | customers | of all |\n" in write()


def test_marks_of_the_data_stand_for_themselves(write: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    hostile = "a|b\n# c <script> `d` [e](f) *g* &lt;"
    segments["segments"][0]["name"] = segments["features"][0]["label"] = hostile
    quality["sources"][0]["name"] = hostile
    quality["warnings"] = [hostile]
    card = write(title=hostile)
    plain = "a\\|b \\# c \\<script\\> \\`d\\` \\[e\\](f) \\*g\\* \\&lt;"
    assert card.lower().count(plain) == 6
    assert "<script>" not in card
    assert not [line for line in card.splitlines() if line.startswith("# c")]


def test_equal_runs_give_equal_text(write: Any, segments: dict[str, Any]) -> None:
    first = write()
    assert write(segments=copy.deepcopy(segments)) == first
    assert first.endswith("\n")
    assert not re.search(r"\bNone\b|\bnan\b", first)
