import copy
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from gpuseg.report import render_report

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page back: text, elements with their attributes, headings; fails on unbalanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.pieces)).replace(" .", ".").replace(" ,", ",").replace(" :", ":")

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def section(self, name: str) -> bool:
        return any(attributes.get("id") == name for attributes in self.tags("section"))


@pytest.fixture
def render(quality: dict[str, Any], provenance: dict[str, str]) -> Any:
    def render(segments: dict[str, Any], **other: Any) -> str:
        arguments = {"title": "Grocer", "quality": quality, "provenance": provenance} | other
        return render_report(segments=segments, **arguments)

    return render


@pytest.fixture
def no_value(segments: dict[str, Any]) -> dict[str, Any]:
    segments["value_feature"] = segments["value_total"] = segments["value_per_profile"] = None
    for segment in segments["segments"]:
        for name in ("value_sum", "value_share", "value_per_profile", "value_ratio", "value_change"):
            segment[name] = None
    return segments


def test_every_section_shows_its_numbers(render: Any, segments: dict[str, Any]) -> None:
    page = Page(render(segments))
    for name in ("findings", "overview", "segments", "differences", "choice", "data", "glossary", "analysts"):
        assert page.section(name), name
    titles = [attributes.get("title") for attributes in page.tags("td")]
    assert {"+3.4 standard deviations", "−2.6 standard deviations"} <= set(titles)
    for expected in (
        "2,469",
        "4.6 million",
        "1 January 2018",
        "The 18% of customers in Frequent big-basket shoppers bring 47% of sales.",
        "Each is worth 2.6 times the average customer.",
        "The largest group is Occasional small-basket shoppers: 800 customers, 32% of all.",
        "The 32% of customers in Occasional small-basket shoppers bring only 12% of sales.",
        "The 4.9% of customers in Lapsed shoppers have been away the longest; they brought 1% of sales.",
        "4,865.18",
        "They are worth what they spend.",
        "Consider asking them. Why: they know.",
        "Has 2.3 times the number of orders of the average customer",
        "far above",
        "far below",
        "1,500 of 2,469",
        "41% and 18%",
        "0.342",
        "highest silhouette",
        "1,469,307",
        "category: 3",
        "Legitimate interests",
        "below min_coverage 0.5",
        "amount_per_order",
        "1,120.33",
        "cpu, 2 threads",
    ):
        assert expected in page.text, expected


def test_equal_input_gives_equal_bytes(render: Any, segments: dict[str, Any]) -> None:
    first = render(segments)
    assert render(copy.deepcopy(segments)) == first
    assert len(first.encode()) < 1_000_000


def test_input_is_left_alone(render: Any, segments: dict[str, Any]) -> None:
    before = copy.deepcopy(segments)
    render(segments)
    assert segments == before


def test_text_from_data_is_escaped(render: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    hostile = "<script>alert('1')</script> share_A&B \" onload=x {{ 7*7 }}"
    first = segments["segments"][0]
    first["name"] = first["headline"] = first["who"] = first["distinguishing"][0]["phrase"] = hostile
    first["actions"] = [{"text": hostile, "because": hostile}]
    segments["features"][0] |= {"label": hostile, "name": hostile, "unit": hostile, "family": hostile}
    segments["choice"]["reason"] = segments["timezone"] = segments["method"] = hostile
    quality["warnings"] = [hostile]
    quality["sources"][0] |= {"name": hostile, "kind": hostile, "purpose": hostile, "null_counts": {hostile: 1}}
    quality["sources"][0] |= {hostile: hostile}
    quality[hostile] = {hostile: [hostile]}
    html = render(segments, title=hostile, provenance={hostile: hostile}, explanations=hostile_explanations(hostile))
    page = Page(html)
    assert not page.tags("script")
    assert "<script" not in html
    assert "share_A&B " not in html
    assert page.text.count(hostile) > 10
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def hostile_explanations(text: str) -> dict[str, Any]:
    rules = {"segment_id": 0, "rules": [{"text": text}]}
    row = {"feature": text, "label": text, "segments": 0.1, "baseline": 0.1}
    return {"surrogate": {"segments": [rules]}, "baseline": {"finding": text, "features": [row]}}


def test_nothing_is_loaded_from_elsewhere(render: Any, segments: dict[str, Any]) -> None:
    html = render(segments)
    page = Page(html)
    assert not re.search(r"https?://|@import|@font-face|url\((?!#)", html)
    for tag in ("script", "link", "img", "iframe", "object"):
        assert not page.tags(tag)
    for _, attributes in page.elements:
        for name in ("href", "xlink:href", "src"):
            assert (attributes.get(name) or "#").startswith("#")
    policies = [a["content"] for a in page.tags("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_page_is_accessible(render: Any, segments: dict[str, Any]) -> None:
    page = Page(render(segments))
    assert page.tags("html") == [{"lang": "en"}]
    assert page.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    pictures = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(pictures) == 3
    assert all(attributes["aria-label"] for attributes in pictures)
    assert "Lapsed shoppers: 4.9% of customers, 1% of sales, 383.00 each" in (pictures[0]["aria-label"] or "")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(a["href"] or "")[1:] for a in page.tags("a")}
    assert targets <= set(ids)


def test_without_value(render: Any, no_value: dict[str, Any]) -> None:
    page = Page(render(no_value))
    assert "sales" not in page.text
    assert "The map of segments" in page.text
    assert "The largest group is" in page.text


def test_value_of_another_kind_keeps_its_label(render: Any, segments: dict[str, Any]) -> None:
    segments["value_feature"] = "n_orders"
    assert "47% of number of orders" in Page(render(segments)).text


def test_even_value_makes_no_headline_of_a_segment(render: Any, segments: dict[str, Any]) -> None:
    for segment in segments["segments"]:
        segment["value_share"] = segment["profile_share"] + 0.01
    text = Page(render(segments)).text
    assert "Every segment's share of sales is close to its share of customers." in text
    assert "bring only" not in text


@pytest.mark.parametrize("n_segments", [1, 2, 12, 13, 30])
def test_any_number_of_segments(render: Any, build: Any, n_segments: int) -> None:
    html = render(build(n_segments=n_segments))
    page = Page(html)
    assert len([a for a in page.tags("article") if "card" in (a["class"] or "").split()]) == n_segments
    assert page.section("differences") == (n_segments > 1)
    assert len(html.encode()) < 1_000_000


def test_many_features_are_cut_to_the_strongest(render: Any, build: Any) -> None:
    html = render(build(n_segments=30, n_features=200, n_points=50_000))
    page = Page(html)
    assert "Shown is what differs most." in page.text
    assert "share_category_199" in page.text
    assert len(html.encode()) < 1_000_000


def test_windows_of_one_figure_do_not_crowd_out_others(render: Any, build: Any) -> None:
    segments = build(n_features=60)
    for number, feature in enumerate(segments["features"][30:]):
        for segment in segments["segments"]:
            segment["features"][f"n_lines_{number}d"] = {"mean": 1.0, "median": 1.0, "effect_size": 5.0}
        feature |= {"name": f"n_lines_{number}d", "label": f"items in the last {number} days"}
    heat = render(segments).split('id="differences"')[1].split('id="choice"')[0]
    assert heat.count("Items in the last") == 1
    assert heat.count("<tr>") == 21


def test_no_candidates_and_no_projection(render: Any, segments: dict[str, Any]) -> None:
    segments["choice"] = {"requested": 6, "segments": 6, "reason": "", "candidates": []}
    segments["projection"] = None
    page = Page(render(segments))
    assert "6 segments, as asked" in page.text
    assert "How the number of segments was found" not in page.text
    assert "map of the customers" not in page.text


@pytest.mark.parametrize("points", [[], [[0.0, 0.0, 0]], [[1.0, 2.0, 5]] * 3 + [[0.0, 0.0, -1]]])
def test_few_points(render: Any, segments: dict[str, Any], points: list[list[float]]) -> None:
    segments["projection"]["points"] = points
    page = Page(render(segments))
    assert ("A map of the customers" in page.text) == bool(points)


@pytest.mark.parametrize("silhouette", [None, float("nan"), 0.4])
def test_one_candidate(render: Any, segments: dict[str, Any], silhouette: float | None) -> None:
    candidate = {"segments": 6, "silhouette": silhouette, "smallest_share": 0.05, "inertia": 1.0, "accepted": True}
    segments["choice"]["candidates"] = [candidate]
    assert "6 (in use)" in Page(render(segments)).text


def test_every_measure_has_a_curve_and_a_column(render: Any, segments: dict[str, Any]) -> None:
    for candidate in segments["choice"]["candidates"]:
        candidate |= {
            "prediction_strength": 0.81,
            "davies_bouldin": None,
            "stability": 0.92,
            "calinski_harabasz": 812.4,
        }
    segments["choice"]["reason"] = "from 4 on, more segments hardly make the groups tighter"
    page = Page(render(segments))
    charts = [a["aria-label"] or "" for a in page.tags("div") if "Line chart" in (a.get("aria-label") or "")]
    assert len(charts) == 4
    assert not any("Inertia" in chart for chart in charts)
    assert "Davies-Bouldin" not in page.text
    for expected in ("Prediction strength", "0.810", "Stability", "0.920", "812", "Silhouette", "Inertia"):
        assert expected in page.text, expected
    assert "From 4 on, more segments hardly make the groups tighter." in page.text


def test_rules_and_baseline(render: Any, segments: dict[str, Any], explanations: dict[str, Any]) -> None:
    page = Page(render(segments, explanations=explanations))
    assert page.section("rules")
    assert "Compared with plain RFM scores" in page.text
    for expected in (
        "give 91% of them the same segment",
        "617 customers from whom they were not learned",
        "At least 15 orders, and last bought 9 days ago or less. Right: 95%.",
        "The widest of several rules.",
        "The segments tell customers apart better than RFM scores.",
        "these segments, 47% on average",
        "RFM groups, 33%",
        "A few plain rules give 91% of customers the same segment.",
    ):
        assert expected in page.text, expected


@pytest.mark.parametrize("explanations", [None, {}, {"surrogate": None, "baseline": None}])
def test_without_explanations_their_sections_stay_away(
    render: Any, segments: dict[str, Any], explanations: dict[str, Any] | None
) -> None:
    page = Page(render(segments, explanations=explanations))
    assert not page.section("rules")
    assert "Compared with plain RFM scores" not in page.text


def test_overlapping_segments_are_told(render: Any, segments: dict[str, Any]) -> None:
    assert "shade into each other" not in Page(render(segments)).text
    for candidate in segments["choice"]["candidates"]:
        candidate["silhouette"] = 0.1
    assert "The segments shade into each other" in Page(render(segments)).text


def test_a_clear_taste_makes_a_headline(render: Any, segments: dict[str, Any]) -> None:
    taste = {"mean": 0.4, "median": 0.4, "effect_size": 1.8}
    segments["segments"][3]["features"]["share_produce"] = taste
    assert "Fresh-food top-up shoppers stand out for produce: 40% of what they buy." in Page(render(segments)).text


def test_three_to_six_findings(render: Any, segments: dict[str, Any], explanations: dict[str, Any]) -> None:
    for given in (None, explanations):
        html = render(segments, explanations=given)
        assert 3 <= html.count('class="panel finding"') <= 6


def test_unknown_keys_of_quality_are_shown(render: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    quality["sources"][0] |= {"rows_quarantined": 17, "consent_missing": 41, "reasons": {"bad_amount": 3}}
    quality["group_floor"] = 10
    text = Page(render(segments)).text
    for expected in ("Rows quarantined 17", "Consent missing 41", "bad amount: 3", "Group floor 10"):
        assert expected in text, expected


def test_no_warnings(render: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    quality["warnings"] = []
    text = Page(render(segments)).text
    assert "No warnings: nothing needs to be acted on." in text
    assert "to act on:" not in text


def test_routine_notes_are_no_warnings(render: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    quality["notes"] = ["orders: 1 row at or after as_of left out", "orders: 12 rows past their retention left out"]
    quality["warnings"] = ["orders: the files a and b hold the same bytes; remove all but one"]
    page = Page(render(segments))
    notes = [a for a in page.tags("li") if a.get("class") == "note"]
    assert "1 warning to act on" in page.text
    assert len(notes) == 1
    assert all(note in page.text for note in quality["notes"])
    assert page.text.index("hold the same bytes") < page.text.index("Notes of the checks")


def test_the_number_of_segments_is_explained_in_words(render: Any, segments: dict[str, Any]) -> None:
    reason = (
        "no number leaves gaps between most of the segments; beyond 5, more segments are only slightly tighter, and 4 "
        "is the nearest number that comes out again on resampled profiles (stability 0.93)"
    )
    segments["choice"]["reason"] = reason
    html = render(segments)
    section = Page(html.split('id="choice"')[1].split("</section>")[0].partition(">")[2]).text
    assert "Customers shade into each other without clear gaps; with more than 5 segments little is gained" in section
    assert "4 is the nearest number that comes out again when other customers are drawn." in section
    assert "stability" not in section.lower()
    assert not re.search("silhouette|prediction", section.lower())
    assert reason[1:] in html.split('id="analysts"')[1]


def test_every_measure_is_folded(render: Any, segments: dict[str, Any], explanations: dict[str, Any]) -> None:
    segments["choice"]["reason"] = "6 segments separate the profiles most clearly (mean silhouette 0.34)"
    html = render(segments, explanations=explanations)
    shown = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)
    assert not re.search(r"(?i)silhouette|inertia|k-means|rfm|standard deviation(?!s\")", Page(shown).text)
    assert "<details" in html
    assert "<details open" not in html


def test_spend_is_told_once(render: Any, segments: dict[str, Any]) -> None:
    """What they are worth has words of its own; minor units are spend once more."""
    minor = {"name": "amount_minor_30d", "label": "spend in the last 30 days, minor units"}
    segments["features"].append(segments["features"][3] | minor)
    text = Page(render(segments)).text
    assert "minor units" not in text
    assert "the total spent of the average customer" not in text


def test_visitors_are_no_customers(render: Any, no_value: dict[str, Any]) -> None:
    for part in (*no_value["segments"], no_value):
        part["features"] = [] if part is no_value else {}
    feature = {"name": "n_sessions", "family": "browsing", "label": "visits", "unit": "visits", "mean": 3.0}
    no_value["choice"]["reason"] = "6 is the largest number of segments that come out again on other profiles"
    no_value["features"] = [feature | {"median": 2.0, "transform": "log1p", "used": True, "weight": 1.0}]
    for segment in no_value["segments"]:
        segment["features"] = {"n_sessions": {"mean": 4.0, "median": 3.0, "effect_size": 1.0}}
        segment["distinguishing"] = []
    text = Page(render(no_value, quality={"sources": [], "warnings": [], "notes": []})).text
    assert "Visitor segments" in text
    assert "800 visitors, 32% of all" in text
    assert "ustomer" not in text


def test_a_withheld_segment_is_a_note(render: Any, segments: dict[str, Any], quality: dict[str, Any]) -> None:
    from gpuseg.segments.text import withheld_text

    line = withheld_text({"n_segments": 2, "n_profiles": 14, "group_floor": 10})
    assert line == "2 segments are not described (14 profiles), so that no group of fewer than 10 can be made out."
    quality |= {"warnings": [], "notes": [line]}
    text = Page(render(segments)).text
    assert line in text
    assert "No warnings" in text


def test_customers_without_data_are_told(render: Any, segments: dict[str, Any]) -> None:
    segments |= {"n_profiles": 2500, "n_no_data": 31}
    text = Page(render(segments)).text
    assert "31 customers had no events before 1 January 2018 that the features use and are in no segment" in text


def test_noise_is_shown_and_makes_no_headline(render: Any, segments: dict[str, Any]) -> None:
    segments["segments"][1] |= {"segment_id": -1, "name": "Noise"}
    text = Page(render(segments)).text
    assert "customers in Noise" not in text
    assert "Noise" in text


@pytest.mark.parametrize("in_figures", [True, False])
def test_the_table_of_sizes_has_a_row_for_noise(
    render: Any,
    segments: dict[str, Any],
    in_figures: bool,
) -> None:
    noise = {"n_profiles": 77, "profile_share": 0.031, "value_sum": 10.0, "value_share": 0.0123}
    segments |= {"n_noise": 77, "noise": noise | {"in_figures": in_figures}}
    page = render(segments)
    rows = re.findall(r'<tr><th scope="row">In no segment</th>(.*?)</tr>', page, re.DOTALL)
    if not in_figures:
        assert rows == []
        return
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", rows[0])
    assert cells == ["77", "3.1%", "1.2%", "–"]
    assert page.index("In no segment</th>") < page.index('<section id="segments"')


def test_long_and_foreign_names(render: Any, segments: dict[str, Any]) -> None:
    names = [
        "Käufer 🛒 " * 40,
        "高額商品を頻繁に購入するお客様のグループとても長い名前",
        "x" * 300,
        "$5 to $10",
        "עברית",
        " ",
    ]
    for segment, name in zip(segments["segments"], names, strict=True):
        segment["name"] = name
    text = Page(render(segments)).text
    assert names[1] in text
    assert names[2] in text
    assert "$5 to $10" in text


def test_missing_figures_become_dashes(render: Any, segments: dict[str, Any]) -> None:
    first = segments["segments"][0]
    first["features"]["recency_days"] = {"mean": None, "median": None, "effect_size": float("nan")}
    first["features"].pop("n_orders")
    first["distinguishing"] = []
    segments["features"][1] |= {"mean": None, "median": float("nan"), "std": None}
    text = Page(render(segments)).text
    assert "Close to the average customer in everything measured." in text
    assert "nan" not in text


def test_matplotlib_settings_of_the_caller_do_not_show(render: Any, segments: dict[str, Any]) -> None:
    import matplotlib

    before = render(segments)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render(segments) == before


def test_package_import_loads_no_matplotlib() -> None:
    code = "import gpuseg, sys; assert not {'matplotlib', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rules_that_fit_few_are_said_to_be_hidden(
    render: Any, segments: dict[str, Any], explanations: dict[str, Any]
) -> None:
    told = explanations["surrogate"]["segments"]
    told[0] |= {"rules": [], "n_rules_withheld": 1}
    one = told[1]["rules"][0]
    told[1]["rules"] = [one, one | {"precision": None, "coverage": None, "n_profiles": None}]
    text = Page(render(segments, explanations=explanations)).text
    assert "Its rules fit too few customers to be told." in text
    assert "Too few to measure." in text


def test_the_segment_whose_members_are_worth_most_is_named(render: Any, segments: dict[str, Any]) -> None:
    for segment, ratio in zip(segments["segments"], (2.0, 0.5, 2.4, 0.4, 0.3, 0.2), strict=True):
        segment["value_ratio"] = ratio
        segment["value_share"] = ratio * segment["profile_share"]
    text = Page(render(segments)).text
    assert "Worth most each" in text
    assert "Each is worth 2.4 times the average customer." in text
    segments["segments"][2]["value_ratio"] = 1.4
    assert "Worth most each" not in Page(render(segments)).text


@pytest.mark.parametrize(("groups", "shade"), [(1, True), (6, False)])
def test_segments_with_gaps_between_them_do_not_shade(
    render: Any, segments: dict[str, Any], groups: int, shade: bool
) -> None:
    chosen = next(c for c in segments["choice"]["candidates"] if c["segments"] == segments["choice"]["segments"])
    chosen |= {"silhouette": 0.1, "groups": groups}
    assert ("The segments shade into each other" in Page(render(segments)).text) == shade


# --- the tree ---


def with_tree(segments: dict[str, Any]) -> dict[str, Any]:
    """Six segments of a tree: 4 joins 5, then 0 joins 1, then these two groups, and so on."""
    merges = [[4, 5, 1.5], [0, 1, 2.0], [6, 7, 3.25], [2, 8, 4.0], [3, 9, 9.0]]
    segments["choice"] |= {"merges": merges, "height_from": 1.25, "height_below": 1.5}
    segments["method"] = "hierarchical"
    return segments


def test_the_tree_says_which_segments_would_join(render: Any, segments: dict[str, Any]) -> None:
    html = render(with_tree(segments))
    page = Page(html)
    assert page.section("tree")
    section = Page(html.split('id="tree"')[1].split("</section>")[0].partition(">")[2]).text
    for expected in ("5 segments 4 with 5 1.5", "4 segments 0 with 1 2", "3 segments 4 5 with 0 1 3.25"):
        assert expected in section, expected
    assert "from 1.25 to below 1.5" in section
    assert "1 segment " not in section
    assert html == render(with_tree(segments))


def test_segments_that_are_not_described_are_not_named_in_the_tree(render: Any, segments: dict[str, Any]) -> None:
    hidden = with_tree(segments)["segments"].pop(4)
    segments["withheld"] = {"group_floor": 10, "n_segments": 1, "n_profiles": 9, "segment_ids": [4]}
    html = render(segments)
    assert "1 too small to be told with 5 1.5" in Page(html).text
    assert "5 segments 1 too small to be told with 5 – " in Page(render(untold_height(segments))).text
    assert hidden["name"] not in html
    came_from = {"version": "v0001", "finer": True, "segments": [[0], [0], [1], [1], [2], [2]], "names": {"0": "A & B"}}
    text = Page(render(segments, came_from=came_from)).text
    assert "Cut from version v0001" in text
    assert "A & B" in text
    assert "0 A & B" in text
    assert "segments too small to be told" in text


def untold_height(segments: dict[str, Any]) -> dict[str, Any]:
    """The lowest merge has a side without a segment that is described."""
    segments["choice"]["merges"][0][2] = None
    return segments


def test_merges_of_nothing_but_small_segments_are_not_listed(render: Any, segments: dict[str, Any]) -> None:
    with_tree(segments)["segments"][4:6] = []
    segments["withheld"] = {"group_floor": 10, "n_segments": 2, "n_profiles": 9, "segment_ids": [4, 5]}
    text = Page(render(untold_height(segments))).text
    assert "5 segments" not in text.partition("With fewer segments")[2]
    assert "4 segments 0 with 1 2" in text
    assert "Segments too small to be told join before." in text


def test_a_tree_whose_top_is_not_told_is_drawn_without_a_height(render: Any, segments: dict[str, Any]) -> None:
    with_tree(segments)["choice"]["merges"][-1][2] = None
    section = render(segments).split('id="tree"')[1].split("</section>")[0]
    assert section.count("<svg") == 2
    assert "height 9" not in section
    assert "1e-300" not in section


def test_many_segments_are_listed_and_not_drawn(render: Any, segments: dict[str, Any]) -> None:
    with_tree(segments)
    n = 60
    merges = [[0, 1, 1.0]] + [[number + 1, n + number - 1, float(number)] for number in range(1, n - 1)]
    segments["choice"] |= {"segments": n, "merges": merges}
    html = render(segments)
    section = html.split('id="tree"')[1].split("</section>")[0]
    assert "<svg" not in section
    assert "And so on, down to 2 segments." in section


def test_other_methods_have_no_tree(render: Any, segments: dict[str, Any]) -> None:
    assert not Page(render(segments)).section("tree")


@pytest.mark.parametrize(
    ("fidelity", "said"),
    [
        (0.914, "A few plain rules tell the segments apart."),
        (0.6, "Plain rules tell only some of the segments apart."),
    ],
)
def test_rules_are_praised_as_far_as_they_go(
    render: Any, segments: dict[str, Any], explanations: dict[str, Any], fidelity: float, said: str
) -> None:
    explanations["surrogate"]["fidelity"] = fidelity
    assert said in Page(render(segments, explanations=explanations)).text
