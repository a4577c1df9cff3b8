"""The stages of a run, one function each: read committed inputs, call the rooms, write outputs into the version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.program import Expression, reductions_of
from gpuseg.features.algebra import Context
from gpuseg.features.registry import Declared, check_names, declare_features
from gpuseg.segments.assign import assign_profiles
from gpuseg.segments.cards import describe_segments
from gpuseg.segments.fit import fit_model
from gpuseg.segments.model import Model
from gpuseg.sources.ingest import bucket_files, ingest
from gpuseg.sources.plan import Plans
from gpuseg.trust.quality import check_not_empty, check_null_shares, quality_record
from gpuseg.workspace.files import read_json, read_table, write_json, write_table, write_text
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
    progress : callable
        Called with a step and how much of it was done since the last call.
    rows : dict of bucket name to device array
        Matrix rows that `fit` leaves for `assign`; empty where `fit` did not run in this process.
    """

    config: Config
    engine: Engine
    plans: Plans
    version: Version
    facts: Mapping[str, Mapping[str, Any]]
    progress: Callable[[str, int], None]
    rows: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.version.path

    @property
    def buckets(self) -> list[str]:
        """Names of the bucket files that hold profiles."""
        return [path.name for path in bucket_files(self.folder / "state" / "profiles")]


def validate(job: Job) -> Facts:
    """Read every source, check every value, and keep the integer state."""
    found = ingest(job.plans, job.engine, folder=job.folder, scratch=job.version.scratch, progress=job.progress)
    check_not_empty(job.config, found)
    check_null_shares(job.config, found)
    record = quality_record(job.config, job.plans, found)
    write_json(job.folder / "quality.json", record)
    return {
        "n_profiles": found.n_profiles,
        "rows_read": sum(tally.rows_read for tally in found.tallies.values()),
        "warnings": record["warnings"],
    }


def features(job: Job) -> Facts:
    """Evaluate the declared features over the state."""
    kinds = {source.kind for source in job.config.sources}
    declared, skipped = declare_features(job.config.features, _context(job), kinds)
    check_names(job.config.features, [item.feature.name for item in declared])
    expressions = {item.feature.name: item.feature.expression for item in declared}
    build = _BucketFeatures(job.engine, expressions, _columns_needed(expressions), job.folder)
    n_profiles = 0
    for rows in job.engine.executor.map(build, job.buckets):
        n_profiles += rows
        job.progress("features", 1)
    write_json(job.folder / "features" / "features.json", [_described(item) for item in declared])
    return {"n_profiles": n_profiles, "n_features": len(declared), "warnings": skipped}


def fit(job: Job) -> Facts:
    """Fit the matrix's transformation and the centers."""
    described = read_json(job.folder / "features" / "features.json")
    fitted = fit_model(
        job.config,
        job.engine,
        files=bucket_files(job.folder / "features"),
        described=described,
        n_profiles=job.facts["features"]["n_profiles"],
        progress=job.progress,
    )
    fitted.model.save(job.folder / "model")
    job.rows.update(fitted.rows)
    return {
        "n_segments": fitted.model.n_segments,
        "n_iter": fitted.model.n_iter,
        "reason": fitted.model.choice["reason"],
        "warnings": list(fitted.warnings),
    }


def assign(job: Job) -> Facts:
    """Put every profile into its segment and describe the segments."""
    model = Model.read(job.folder / "model")
    totals = assign_profiles(
        model,
        job.engine,
        features=job.folder / "features",
        profiles=job.folder / "state" / "profiles",
        folder=job.folder / "assignments",
        buckets=job.buckets,
        progress=job.progress,
        n_profiles=job.facts["features"]["n_profiles"],
        matrix_rows=job.rows,
    )
    content = describe_segments(
        model,
        totals,
        as_of=job.config.run.as_of.isoformat(),
        timezone=job.config.run.timezone,
    )
    write_json(job.folder / "segments.json", content)
    return {"n_assigned": content["n_assigned"], "n_no_data": content["n_no_data"], "warnings": []}


def report(job: Job) -> Facts:
    """Write the report."""
    from gpuseg.report import render_report

    quality = read_json(job.folder / "quality.json")
    notes = [note for facts in job.facts.values() for note in facts.get("warnings", ())]
    quality["warnings"] = list(dict.fromkeys([*quality["warnings"], *notes]))
    html = render_report(
        title=job.config.run.name,
        segments=read_json(job.folder / "segments.json"),
        quality=quality,
        provenance=_provenance(job),
    )
    write_text(job.folder / "report.html", html)
    return {"warnings": []}


@dataclass(frozen=True)
class _BucketFeatures:
    """Evaluates the features of one bucket and writes its file."""

    engine: Engine
    expressions: Mapping[str, Expression]
    columns: Mapping[str, Sequence[str]]
    folder: Path

    def __call__(self, bucket: str) -> int:
        state = self.folder / "state"
        tables = {
            name: read_table(state / name / bucket, list(columns))
            for name, columns in self.columns.items()
            if (state / name / bucket).exists()
        }
        if not tables:
            return 0
        tables |= {name: _empty(columns, tables) for name, columns in self.columns.items() if name not in tables}
        found = self.engine.device.evaluate(tables, self.expressions)
        write_table(self.folder / "features" / bucket, found)
        return int(found.num_rows)


def _context(job: Job) -> Context:
    categories = read_table(job.folder / "state" / "categories.parquet")["category"].to_pylist()
    return Context(
        as_of=job.config.run.as_of,
        windows_days=job.config.features.windows_days,
        amount_scale=job.config.run.amount_scale,
        categories=tuple(categories[:20]),
        has_categories=any("category" in plan.columns for plan in job.plans.reads),
    )


def _columns_needed(expressions: Mapping[str, Expression]) -> dict[str, list[str]]:
    """Columns to read of each table."""
    needed: dict[str, dict[str, None]] = {}
    for expression in expressions.values():
        for reduction in reductions_of(expression):
            columns = needed.setdefault(reduction.table, dict.fromkeys(("profile_id", "day")))
            columns[reduction.column] = None
            if reduction.category is not None:
                columns["category"] = None
    return {table: list(columns) for table, columns in needed.items()}


def _empty(columns: Sequence[str], tables: Mapping[str, pa.Table]) -> pa.Table:
    """A table without rows, for a bucket whose profiles have none of its kind."""
    ids = next(iter(tables.values())).schema.field("profile_id").type
    types = {"profile_id": ids, "day": pa.int32(), "category": pa.dictionary(pa.int32(), pa.string())}
    return pa.table({name: pa.nulls(0, types.get(name, pa.int64())) for name in columns})


def _described(item: Declared) -> dict[str, Any]:
    feature = item.feature
    return {
        "name": feature.name,
        "family": item.family,
        "label": feature.label,
        "saying": feature.saying,
        "unit": feature.unit,
        "dtype": feature.dtype,
        "in_matrix": feature.in_matrix,
    }


def _provenance(job: Job) -> dict[str, str]:
    from gpuseg import __version__

    return {
        "gpuseg": __version__,
        "Run": job.config.run.name,
        "Version": job.version.name,
        "As of": f"{job.config.run.as_of} (exclusive), {job.config.run.timezone}",
        "Seed": str(job.config.run.seed),
        "Ran on": job.engine.device.name,
        "Rows read": f"{job.facts['validate']['rows_read']:,}",
    }
