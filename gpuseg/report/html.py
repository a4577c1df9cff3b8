"""The report: one HTML page that needs no network, no JavaScript and no other file."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gpuseg.report import pictures, text
from gpuseg.report.data import overall_rows, privacy_rows, source_view
from gpuseg.report.evidence import baseline_view, choice_view, rules_view
from gpuseg.report.findings import findings
from gpuseg.report.views import (
    SegmentView,
    cards,
    glossary,
    heatmap,
    numbers_table,
    segment_views,
    value_word,
)


def render_report(
    *,
    title: str,
    segments: Mapping[str, Any],
    quality: Mapping[str, Any],
    provenance: Mapping[str, str],
    explanations: Mapping[str, Any] | None = None,
) -> str:
    """Render the report of one run.

    Equal arguments give equal text. Everything that comes from the arguments is escaped; of single customers the page
    holds nothing but the points of the projection.

    Parameters
    ----------
    title : str
        Heading of the page.
    segments : mapping
        The content of segments.json.
    quality : mapping
        The content of quality.json.
    provenance : mapping of str to str
        Label and text of each row of the footer, in order.
    explanations : mapping, optional
        The content of explanations.json; without it there are no rules and no comparison with RFM scores.

    Returns
    -------
    str
        A complete HTML document.
    """
    environment = Environment(
        loader=PackageLoader("gpuseg.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    views = segment_views(segments)
    return environment.get_template("report.html.j2").render(
        title=title,
        head=_head(segments, quality),
        findings=findings(segments, views, explanations),
        overview=_overview(segments, views),
        cards=cards(views, segments["features"]),
        # One segment is the average customer and differs from nobody.
        heatmap=heatmap(views, segments["features"]) if len(views) > 1 else None,
        legend=views,
        projection=_projection(segments, views),
        choice=choice_view(segments["choice"]),
        rules=rules_view(explanations or {}, views),
        baseline=baseline_view(explanations or {}),
        sources=[source_view(source, quality) for source in quality["sources"]],
        privacy=privacy_rows(quality),
        overall=overall_rows(quality),
        warnings=[str(warning) for warning in quality.get("warnings") or ()],
        glossary=glossary(segments["features"]),
        provenance=provenance,
    )


def _head(segments: Mapping[str, Any], quality: Mapping[str, Any]) -> dict[str, Any]:
    no_data = int(segments.get("n_no_data") or 0)
    total = segments.get("value_total")
    figures = [
        ("Customers", text.count(segments["n_profiles"]), ""),
        ("Segments", text.count(segments["n_segments"]), text.method(str(segments["method"]))),
    ]
    if text.finite(total) is not None:
        figures.append((text.capital(f"total {value_word(segments)}"), text.short_money(total), ""))
    figures.append(("Events before", text.day(segments["as_of"]), str(segments["timezone"])))
    return {
        "figures": figures,
        "has_value": text.finite(total) is not None,
        "value_word": value_word(segments),
        "value_title": text.capital(value_word(segments)),
        "no_data": text.count_of(no_data, "customer") if no_data else "",
        "as_of": text.day(segments["as_of"]),
        "assigned": text.count(segments["n_assigned"]),
        "n_warnings": text.count_of(len(quality.get("warnings") or ()), "warning"),
    }


def _overview(segments: Mapping[str, Any], views: Sequence[SegmentView]) -> dict[str, Any] | None:
    if not views:
        return None
    parts = [f"{v.name}: {text.percent(v.profile_share)} of customers" for v in views]
    if text.finite(segments.get("value_total")) is not None:
        word = value_word(segments)
        parts = [
            f"{part}, {text.percent(v.value_share)} of {word}, {text.money(v.value_each)} each"
            for part, v in zip(parts, views, strict=True)
        ]
    average = text.finite(segments.get("value_per_profile"))
    return {
        "broad": Markup(pictures.size_map(views, width=620, height=330, average=average)),
        "narrow": Markup(pictures.size_map(views, width=340, height=300, average=average)),
        "alt": "One block per segment. " + "; ".join(parts) + ".",
        "rows": numbers_table(views),
    }


def _projection(segments: Mapping[str, Any], views: Sequence[SegmentView]) -> dict[str, Any] | None:
    drawn = segments.get("projection")
    if not drawn or not drawn.get("points"):
        return None
    shares = [text.percent(share) for share in drawn.get("explained_variance_share") or ()]
    return {
        "svg": Markup(pictures.projection(drawn["points"], views)),
        "n_points": text.count(len(pictures.sampled(drawn["points"]))),
        "n_assigned": text.count(segments["n_assigned"]),
        "method": str(drawn.get("method") or "").upper(),
        "shares": " and ".join(shares),
    }
