"""The report: one HTML page that needs no network, no JavaScript and no other file."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gpuseg.report import pictures, text
from gpuseg.report.evidence import choice_view, rules_view
from gpuseg.report.findings import findings
from gpuseg.report.lenses import lenses_view
from gpuseg.report.shared import environment, shared_views
from gpuseg.report.tree import origin_view, tree_view
from gpuseg.report.views import SegmentView, cards, heatmap, numbers_table, segment_views, value_word
from gpuseg.segments.people import People


def render_report(
    *,
    title: str,
    segments: Mapping[str, Any],
    quality: Mapping[str, Any],
    provenance: Mapping[str, str],
    explanations: Mapping[str, Any] | None = None,
    lenses: Mapping[str, Any] | None = None,
    came_from: Mapping[str, Any] | None = None,
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
    lenses : mapping, optional
        As of `gpuseg.segments.lenses.lens_contents`.
    came_from : mapping, optional
        Of a cut, as of `gpuseg.segments.nesting.came_from`.

    Returns
    -------
    str
        A complete HTML document.
    """
    views, explained = segment_views(segments), explanations or {}
    shared = shared_views(segments, quality, explained)
    people: People = shared["people"]
    return (
        environment(autoescape=True)
        .get_template("report.html.j2")
        .render(
            **shared,
            title=title,
            head=_head(segments, people, n_warnings=len(shared["warnings"])),
            findings=findings(segments, views, explanations),
            overview=_overview(segments, views, people),
            cards=cards(views, segments, people),
            # One segment is the average and differs from nobody.
            heatmap=heatmap(views, segments["features"]) if len(views) > 1 else None,
            legend=views,
            projection=_projection(segments, views),
            choice=choice_view(segments["choice"], people),
            method=text.method(str(segments["method"])),
            rules=rules_view(explained, views),
            tree=tree_view(segments["choice"], views),
            origin=origin_view(came_from, views),
            lenses=lenses_view(lenses, views),
            provenance=provenance,
        )
    )


def _head(segments: Mapping[str, Any], people: People, *, n_warnings: int) -> dict[str, Any]:
    no_data = int(segments.get("n_no_data") or 0)
    total = segments.get("value_total")
    figures = [
        (text.capital(people.many), text.count(segments["n_profiles"]), ""),
        ("Segments", text.count(segments["n_segments"]), ""),
    ]
    if text.finite(total) is not None:
        figures.append((text.capital(f"total {value_word(segments)}"), text.short_money(total), ""))
    figures.append(("Events before", text.day(segments["as_of"]), str(segments["timezone"])))
    return {
        "figures": figures,
        "no_data": text.count_of(no_data, people.one, people.many) if no_data else "",
        "no_data_is": "is" if no_data == 1 else "are",
        "as_of": text.day(segments["as_of"]),
        "assigned": text.count(segments["n_assigned"]),
        "noise": _noise(segments, people),
        "n_warnings": text.count_of(n_warnings, "warning"),
    }


def _noise(segments: Mapping[str, Any], people: People) -> str:
    """Who is in no segment although they have data, in a sentence."""
    noise = segments.get("noise")
    if not noise:
        return ""
    who = text.count_of(noise["n_profiles"], people.one, people.many)
    share, value = text.percent(noise["profile_share"]), text.finite(noise.get("value_share"))
    with_value = f", with {text.percent(value)} of {value_word(segments)}," if value is not None else ""
    verb = "is" if noise["n_profiles"] == 1 else "are"
    counted = "count them" if noise["in_figures"] else "leave them out"
    return f"{who} ({share}){with_value} {verb} in no segment: too few others are alike. Averages and shares {counted}."


def _overview(segments: Mapping[str, Any], views: Sequence[SegmentView], people: People) -> dict[str, Any] | None:
    if not views:
        return None
    parts = [f"{v.name}: {text.percent(v.profile_share)} of {people.many}" for v in views]
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
        "noise": _noise_row(segments),
    }


def _noise_row(segments: Mapping[str, Any]) -> dict[str, str] | None:
    """The last row of the table beside the map; None where shares leave noise out."""
    noise = segments.get("noise")
    if not noise or not noise["in_figures"]:
        return None
    return {
        "n_profiles": text.count(noise["n_profiles"]),
        "profile_share": text.percent(noise["profile_share"]),
        "value_share": text.percent(noise.get("value_share")),
    }


def _projection(segments: Mapping[str, Any], views: Sequence[SegmentView]) -> dict[str, Any] | None:
    drawn = segments.get("projection")
    if not drawn or not drawn.get("points"):
        return None
    noise = segments.get("noise")
    n_noise = noise["n_profiles"] if noise and noise["in_figures"] else 0
    shares = [text.percent(share) for share in drawn.get("explained_variance_share") or ()]
    return {
        "svg": Markup(pictures.projection(drawn["points"], views)),
        "n_points": text.count(len(pictures.sampled(drawn["points"]))),
        "n_people": text.count(segments["n_assigned"] + n_noise),
        "has_noise": n_noise > 0,
        "shares": " and ".join(shares),
    }
