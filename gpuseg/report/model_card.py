"""The model card of a run, in the sections of Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019)."""

import re
from collections.abc import Mapping
from typing import Any

from gpuseg import __version__
from gpuseg.report import text
from gpuseg.report.evidence import MEASURES
from gpuseg.report.lenses import lens_lines
from gpuseg.report.shared import environment, shared_views
from gpuseg.report.views import numbers_table, segment_views
from gpuseg.segments.figures import height_text


def render_model_card(
    *,
    title: str,
    segments: Mapping[str, Any],
    quality: Mapping[str, Any],
    seed: int,
    explanations: Mapping[str, Any] | None = None,
    lenses: Mapping[str, Any] | None = None,
) -> str:
    """Render the model card of one run as Markdown.

    It holds no clock, path, host or version of the run, so equal runs give equal text; those are in the manifest.

    Parameters
    ----------
    title : str
        Name of the run.
    segments, quality : mapping
        The contents of segments.json and quality.json.
    seed : int
        The run's seed.
    explanations : mapping, optional
        The content of explanations.json.
    lenses : mapping, optional
        As for `render_report`.

    Returns
    -------
    str
        Markdown; everything that comes from the arguments is written so that it stands for itself.
    """
    explained = explanations or {}
    views = shared_views(segments, quality, explained)
    features = views["glossary"]
    return (
        environment(autoescape=False, finalize=_plain)
        .get_template("model_card.md.j2")
        .render(
            **views,
            title=title,
            gpuseg=__version__,
            method=text.method(str(segments["method"])),
            seed=str(seed),
            n_segments=text.count_of(segments["n_segments"], "segment"),
            n_profiles=text.count_of(segments["n_profiles"], views["people"].one, views["people"].many),
            n_assigned=text.count(segments["n_assigned"]),
            n_noise=text.count(segments.get("n_noise") or 0),
            is_dense=segments["method"] == "hdbscan",
            is_tree=segments["method"] == "hierarchical",
            is_ruled=segments["method"] == "rules",
            height_from=height_text(segments["choice"].get("height_from", 0.0)),
            height_below=height_text(segments["choice"].get("height_below", 0.0)),
            n_micro=text.count(segments["choice"].get("micro_clusters") or 0),
            n_no_data=text.count(segments.get("n_no_data") or 0),
            as_of=text.day(segments["as_of"]),
            timezone=str(segments["timezone"]),
            rows=numbers_table(segment_views(segments)),
            used=[feature for feature in features if feature["used"] == "yes"],
            unused=[feature["name"] for feature in features if feature["used"] == "no"],
            families=", ".join(dict.fromkeys(feature["family"] for feature in features)),
            automatic=segments["choice"].get("requested") == "auto",
            reason=text.sentence(str(segments["choice"].get("reason") or "")),
            measures=_measures(segments["choice"]),
            fidelity=_fidelity(explained),
            lenses=lens_lines(lenses),
        )
    )


def _measures(choice: Mapping[str, Any]) -> list[dict[str, str]]:
    """The measures of the number of segments in use."""
    tried = choice.get("candidates") or ()
    chosen: Mapping[str, Any] = next((c for c in tried if c.get("segments") == choice["segments"]), {})
    return [
        {"label": m.label, "meaning": m.meaning, "value": text.decimals(chosen[m.key], m.places)}
        for m in MEASURES
        if text.finite(chosen.get(m.key)) is not None
    ]


def _fidelity(explained: Mapping[str, Any]) -> dict[str, str] | None:
    surrogate = explained.get("surrogate")
    if not surrogate:
        return None
    return {
        "share": text.percent(surrogate.get("fidelity")),
        "n_held_out": text.count(surrogate.get("n_held_out")),
        "n_leaves": text.count(surrogate.get("n_leaves")),
    }


def _plain(value: Any) -> Any:
    """One line of text in which no mark of Markdown or HTML works; templates print nothing but text."""
    if not isinstance(value, str):
        return value
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(value.split()))
