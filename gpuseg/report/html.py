"""The report: one HTML page that needs no network, no JavaScript and no other file."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gpuseg.report import pictures, text
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
        findings=findings(segments, views),
        overview=_overview(segments, views),
        cards=cards(views, segments["features"]),
        # One segment is the average customer and differs from nobody.
        heatmap=heatmap(views, segments["features"]) if len(views) > 1 else None,
        legend=views,
        projection=_projection(segments, views),
        choice=_choice(segments["choice"]),
        sources=[_source(source, quality) for source in quality["sources"]],
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
        parts = [f"{part}, {text.percent(v.value_share)} of {word}" for part, v in zip(parts, views, strict=True)]
    return {
        "beside": Markup(pictures.overview_beside(views)),
        "above": Markup(pictures.overview_above(views)),
        "alt": "Bars per segment. " + "; ".join(parts) + ".",
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


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    tried = sorted(choice.get("candidates") or (), key=lambda candidate: int(candidate["segments"]))
    return {
        "automatic": choice.get("requested") == "auto",
        "segments": text.count_of(choice["segments"], "segment"),
        "reason": text.sentence(str(choice.get("reason") or "")),
        "svg": Markup(pictures.candidates(choice)) if tried else None,
        "measure": pictures.measure_of(choice) if tried else "",
        "any_refused": not all(candidate.get("accepted", True) for candidate in tried),
        "rows": [
            {
                "segments": text.count(candidate["segments"]),
                "silhouette": text.decimals(candidate.get("silhouette"), 3),
                "inertia": text.decimals(candidate.get("inertia"), 1),
                "smallest_share": text.percent(candidate.get("smallest_share")),
                "accepted": "yes" if candidate.get("accepted", True) else "no",
                "chosen": candidate["segments"] == choice["segments"],
            }
            for candidate in tried
        ],
    }


def _source(source: Mapping[str, Any], quality: Mapping[str, Any]) -> dict[str, Any]:
    name = str(source["name"])
    nulls = {str(k): v for k, v in (source.get("null_counts") or {}).items() if v}
    counted = {
        "Files": "n_files",
        "Rows read": "rows_read",
        "Rows used": "rows_used",
        "Rows left out as too late": "rows_after_as_of",
        "Amounts rounded": "amounts_rounded",
        "Ambiguous clock times": "times_ambiguous",
        "Nonexistent clock times": "times_nonexistent",
    }
    rows = [("Customers", text.count((quality.get("profiles_per_source") or {}).get(name)))]
    rows += [
        (label, text.day(source.get(key))) for label, key in (("First day", "first_day"), ("Last day", "last_day"))
    ]
    rows += [(label, text.count(source.get(key))) for label, key in counted.items()]
    rows += [("Empty values", ", ".join(f"{k}: {text.count(v)}" for k, v in nulls.items()) or "none")]
    rows += [("Purpose", _words(source.get("purpose"))), ("Lawful basis", _words(source.get("lawful_basis")))]
    return {"name": name, "kind": str(source["kind"]), "rows": rows}


def _words(value: str | None) -> str:
    return text.capital(value.replace("_", " ")) if value else "not stated"
