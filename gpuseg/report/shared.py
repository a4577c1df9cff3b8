"""What the report and the model card have in common: how templates are read, and the views that both show."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gpuseg.report import text
from gpuseg.report.data import overall_rows, privacy_rows, source_view
from gpuseg.report.evidence import baseline_view
from gpuseg.report.views import glossary, value_word
from gpuseg.segments.people import People, people_of


def environment(*, autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Templates of this package, which may use no name that they were not given."""
    return Environment(
        loader=PackageLoader("gpuseg.report", ""),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )


def shared_views(
    segments: Mapping[str, Any], quality: Mapping[str, Any], explanations: Mapping[str, Any]
) -> dict[str, Any]:
    """Views of the data, of the features, of the choice and of the comparison with RFM scores."""
    people = people_in(segments)
    return {
        "people": people,
        "has_value": text.finite(segments.get("value_total")) is not None,
        "value_word": value_word(segments),
        "baseline": baseline_view(explanations),
        "sources": [source_view(source, quality, people) for source in quality["sources"]],
        "privacy": privacy_rows(quality),
        "overall": overall_rows(quality),
        "warnings": list(quality["warnings"]),
        "notes": list(quality["notes"]),
        "glossary": glossary(segments["features"]),
    }


def people_in(segments: Mapping[str, Any]) -> People:
    """What the people of a segments.json are called."""
    return people_of(str(feature["name"]) for feature in segments["features"])
