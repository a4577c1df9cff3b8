"""The stages of a run, one function each: read committed inputs, call the rooms, write outputs into the version."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.errors import ConfigError
from gpuseg.feature_build import (
    BucketFeatures,
    columns_needed,
    context_of,
    described,
    nearly_figures,
    rare_categories,
    unused_attributes,
)
from gpuseg.features.registry import check_names, declare_features
from gpuseg.progress import Meter, counted
from gpuseg.segments.assign import assign_profiles
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.segments.cards import describe_segments
from gpuseg.segments.fit import fit_model
from gpuseg.segments.lenses import check_features_of_lenses, lens_contents
from gpuseg.segments.model import Model
from gpuseg.segments.sample import SampleRule
from gpuseg.segments.sums import Collected
from gpuseg.segments.totals import labelled_sample, totals_of
from gpuseg.sources.ingest import ingest
from gpuseg.sources.plan import Plans
from gpuseg.sources.reduce import bucket_files
from gpuseg.trust.floor import floored_rules, floored_segments
from gpuseg.trust.gates import check_gates, check_not_empty
from gpuseg.trust.quality import quality_record
from gpuseg.workspace.files import read_json, write_json, write_text
from gpuseg.workspace.ledger import Ledger, Once, Plain
from gpuseg.workspace.version import Version

Facts = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What a stage works with.

    Parameters
    ----------
    config : Config
    engine : Engine
    plans : Plans
    version : Version
        Where it reads committed inputs and writes outputs.
    facts : mapping of stage name to mapping
        What earlier stages recorded.
    ledger : Ledger
        What an earlier attempt at the stage has done.
    progress : Meter
        Takes in what is done.
    rows : dict of bucket name to MatrixBlock
        Matrix rows that `fit` leaves for `assign`; empty where `fit` did not run in this process.
    samples : dict of stage name to Arrow table
        Sampled profiles with their segments that `assign` leaves for `explain`; empty where it did not run either.
    below : str
        Folder of the version that `fit`, `assign` and `explain` write into: the version itself, or that of a lens.
    """

    config: Config
    engine: Engine
    plans: Plans
    version: Version
    facts: Mapping[str, Mapping[str, Any]]
    ledger: Ledger
    progress: Meter
    rows: dict[str, MatrixBlock]
    samples: dict[str, pa.Table]
    below: str = ""

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.version.path

    @property
    def target(self) -> Path:
        """The folder to write a segmentation into."""
        return self.folder / self.below

    @property
    def buckets(self) -> list[str]:
        """Names of the bucket files that hold profiles."""
        return [path.name for path in bucket_files(self.folder / "state" / "profiles")]


def validate(job: Job) -> Facts:
    """Read every source, check every value, and keep the integer state."""
    limits = job.config.quality
    found = ingest(
        job.plans,
        job.engine,
        folder=job.folder,
        ledger=job.ledger,
        count_repeats=limits.max_duplicate_share is not None,
        dedupe=limits.dedupe,
        progress=job.progress,
    )
    check_not_empty(job.config, found)
    check_gates(job.config, found)
    record = quality_record(job.config, job.plans, found)
    write_json(job.folder / "quality.json", record)
    return {
        "n_profiles": found.n_profiles,
        "rows_read": sum(tally.rows_read for tally in found.tallies.values()),
        "rows_quarantined": sum(tally.rows_quarantined for tally in found.tallies.values()),
        "warnings": record["warnings"],
        "notes": record["notes"],
    }


def features(job: Job) -> Facts:
    """Evaluate the declared features over the state."""
    kinds = {plan.kind for plan in job.plans.reads}
    context = context_of(job.config, job.plans, job.folder / "state")
    declared, skipped = declare_features(job.config.features, context, kinds)
    if not declared:
        raise ConfigError(f"features.families: nothing to build: {'; '.join(skipped) or 'no family has a source'}")
    if {item.family for item in declared} == {"attributes"}:
        raise ConfigError("features.families: attributes alone tell nothing of behaviour; add a family such as rfm")
    unused = []
    if "attributes" in job.config.features.families:
        unused = unused_attributes(job.plans, context)
        skipped += nearly_figures(job.folder / "state")
    check_names(job.config.features, [item.feature.name for item in declared])
    rare = rare_categories(job.folder / "state", job.config.privacy.group_floor)
    items = [described(item, rare) for item in declared]
    check_features_of_lenses(job.config, items)
    expressions = {item.feature.name: item.feature.expression for item in declared}
    build = BucketFeatures(job.engine.device, expressions, columns_needed(expressions), job.folder)
    n_profiles = 0
    built = job.engine.executor.map(Once(build, job.ledger, Plain(), "bucket", build.files), job.buckets)
    held = [job.ledger.holds(f"bucket-{bucket}") for bucket in job.buckets]
    for rows in counted(job.progress, "features", built, held, rows=int):
        n_profiles += rows
    write_json(job.folder / "features" / "_features.json", items)
    return {"n_profiles": n_profiles, "n_features": len(declared), "warnings": skipped, "notes": unused}


def fit(job: Job) -> Facts:
    """Fit the matrix's transformation and the centers."""
    declared = read_json(job.folder / "features" / "_features.json")
    fitted = fit_model(
        job.config,
        job.engine,
        files=bucket_files(job.folder / "features"),
        described=declared,
        n_profiles=job.facts["features"]["n_profiles"],
        ledger=job.ledger,
        progress=job.progress,
    )
    fitted.model.save(job.target / "model")
    job.rows.update(fitted.rows)
    return {
        "n_segments": fitted.model.n_segments,
        "n_iter": fitted.model.n_iter,
        "reason": fitted.model.choice["reason"],
        "warnings": list(fitted.warnings),
    }


def assign(job: Job) -> Facts:
    """Put every profile into its segment and describe the segments."""
    model = Model.read(job.target / "model")
    collected = assign_profiles(
        model,
        job.engine,
        features=job.folder / "features",
        profiles=job.folder / "state" / "profiles",
        folder=job.target / "assignments",
        buckets=job.buckets,
        progress=job.progress,
        n_profiles=job.facts["features"]["n_profiles"],
        blocks=job.rows,
        ledger=job.ledger,
    )
    # Only the main segmentation can be cut elsewhere.
    if model.hierarchy is not None and not job.below:
        collected.save(job.folder / "totals")
    return described_segments(job, model, collected)


def described_segments(job: Job, model: Model, collected: Collected) -> Facts:
    """Write the cards of segments whose profiles are added up."""
    totals = totals_of(model, collected)
    job.samples["assign"] = totals.sample
    content = describe_segments(
        model,
        totals,
        as_of=job.config.run.as_of.isoformat(),
        timezone=job.config.run.timezone,
        group_floor=job.config.privacy.group_floor,
    )
    content = floored_segments(content, job.config.privacy.group_floor)
    write_json(job.target / "segments.json", content)
    warnings = []
    if 2 * (hidden := content["withheld"]["n_profiles"]) > content["n_assigned"]:
        n_assigned = content["n_assigned"]
        warnings.append(f"{hidden:,} of {n_assigned:,} profiles are in segments too small to describe; ask for fewer")
    return {key: content[key] for key in ("n_assigned", "n_noise", "n_no_data")} | {"warnings": warnings}


def explain(job: Job) -> Facts:
    """Find the rules that tell the segments apart, and compare the segments with plain RFM scores."""
    from gpuseg.segments.baseline import rfm_baseline
    from gpuseg.segments.rules import surrogate_rules

    model = Model.read(job.target / "model")
    sample = job.samples.pop("assign", None)
    if sample is None:
        rule = SampleRule(model.seed, job.facts["features"]["n_profiles"])
        sample = labelled_sample(model, rule, job.engine, files=bucket_files(job.folder / "features"))
    withheld = read_json(job.target / "segments.json")["withheld"]
    surrogate = surrogate_rules(sample, model, mapped=job.engine.threads.map)
    surrogate = floored_rules(surrogate, withheld["segment_ids"], withheld["group_floor"])
    baseline = rfm_baseline(sample, model.published, model.n_segments, transform=model.transform)
    write_json(job.target / "explanations.json", {"format": 1, "surrogate": surrogate, "baseline": baseline})
    return {"fidelity": surrogate["fidelity"] if surrogate else None, "warnings": []}


def report(job: Job) -> Facts:
    """Write the report and the model card."""
    from gpuseg.report import render_model_card, render_report
    from gpuseg.segments.text import withheld_text

    quality = read_json(job.folder / "quality.json")
    for kind in ("warnings", "notes"):
        told = [line for facts in job.facts.values() for line in facts.get(kind, ())]
        quality[kind] = list(dict.fromkeys([*quality[kind], *told]))
    segments = read_json(job.folder / "segments.json")
    if segments["withheld"]["n_segments"]:
        quality["notes"].append(withheld_text(segments["withheld"]))
    explained = job.folder / "explanations.json"
    content: dict[str, Any] = {
        "title": job.config.run.name,
        "segments": segments,
        "quality": quality,
        "explanations": read_json(explained) if explained.exists() else None,
        "lenses": lens_contents(job.folder),
    }
    came_from = job.facts["fit"].get("came_from")
    page = render_report(provenance=_provenance(job), came_from=came_from, **content)
    write_text(job.folder / "report.html", page)
    write_text(job.folder / "MODEL_CARD.md", render_model_card(seed=job.config.run.seed, **content))
    return {"warnings": []}


def _provenance(job: Job) -> dict[str, str]:
    from gpuseg import __version__

    return {
        "gpuseg": __version__,
        "Run": job.config.run.name,
        "Version": job.version.name,
        "As of": f"{job.config.run.as_of} (exclusive), {job.config.run.timezone}",
        "Seed": str(job.config.run.seed),
        "Ran on": job.engine.device.name,
    }
