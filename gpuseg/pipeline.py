"""Runs the stages in order, and knows when a committed one can be taken as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuseg import __version__, stages
from gpuseg.attempt import Attempt, attempt
from gpuseg.config import Config, read_config
from gpuseg.engine import Engine, kept_memory, open_engine, spread_text
from gpuseg.engine.peaks import Measured
from gpuseg.engine.shortage import enough_memory
from gpuseg.engine.solver import check_solver
from gpuseg.features.registry import check_families
from gpuseg.outcome import Outcome
from gpuseg.progress import Progress, Tracker
from gpuseg.provenance import config_digest, provenance
from gpuseg.segments.estimates import fit_costs
from gpuseg.segments.run import Run
from gpuseg.sources.ingest import n_parts
from gpuseg.sources.plan import Plans, plan_sources
from gpuseg.sources.reduce import bucket_files
from gpuseg.sources.zones import tzdata_version
from gpuseg.stage_table import LENSES, STAGE_NAMES, Stage, stage_keys, stages_of
from gpuseg.workspace.ledger import Ledger
from gpuseg.workspace.run_directory import RunDirectory
from gpuseg.workspace.version import StageRecord, Version


def run(config: Config | Mapping[str, Any] | str | Path, *, frames: Mapping[str, Any] | None = None) -> Run:
    """Run every stage into a new version.

    Parameters
    ----------
    config : str, Path, mapping or Config
        Path of a YAML file, or its content; relative paths in a mapping start at the current folder.
    frames : mapping of source name to frame, optional
        pandas, Polars or Arrow tables for the sources without a `uri`.

    Returns
    -------
    Run

    Raises
    ------
    GpusegError
        See `gpuseg.errors`; the version that was current before stays as it was.
    """
    return execute(read_config(config), frames=frames).run


def execute(
    config: Config,
    *,
    frames: Mapping[str, Any] | None = None,
    until: str = "report",
    fresh: bool = True,
    progress: Progress | None = None,
) -> Outcome:
    """Run stages up to and including `until`.

    Parameters
    ----------
    config : Config
    frames : mapping, optional
        Frames by source name.
    until : str
        Last stage to run.
    fresh : bool
        True runs every stage into a new version. False goes on with an unfinished version, and takes committed
        stages, of it or of the current version, whose inputs and settings did not change.
    progress : Progress, optional

    Returns
    -------
    Outcome

    Raises
    ------
    GpusegError
    """
    progress = progress or Progress()
    check_families(config.features)
    options: dict[str, Any] = {"executor": config.run.executor, "memory": config.memory, "dask": config.dask}
    if config.run.executor == "dask":
        progress.say(f"{'starting' if config.dask.is_own else 'waiting for'} dask workers")
    with kept_memory(), open_engine(engine=config.run.engine, **options) as engine:
        _check_solvers(config, engine)
        plans = plan_sources(config, frames)
        keys = stage_keys(config, plans)
        directory = RunDirectory(Path(config.run.out).absolute())
        with directory.locked():
            current = directory.current()
            if not fresh and current is not None and directory.unfinished() is None:
                records = _matching(current, keys, until)
                if records is not None:
                    current.manifest()
                    current.check([file for record in records for file in record.files])
                    return Outcome(current, records, (), engine.reason)
            facts = _facts(config, plans, engine, until)
            with attempt(directory, progress, fresh=fresh, first=STAGE_NAMES[0], facts=facts) as tried:
                version = tried.version
                engine.executor.check(version.path)
                outcome = _run_stages(config, plans, engine, tried, None if fresh else current, keys, until)
                if until == STAGE_NAMES[-1]:
                    facts = provenance(
                        config,
                        version_name=version.name,
                        device=engine.device.name,
                        inputs={plan.source: plan.files for plan in plans.reads},
                        n_buckets=plans.n_buckets,
                        tzdata=tzdata_version(),
                    )
                    directory.publish(version, facts, outcome.records)
                tried.done(outcome)
    return outcome


def preview(config: Config, *, frames: Mapping[str, Any] | None = None, fresh: bool = True) -> dict[str, Any]:
    """What `execute` would do, as JSON values; nothing is written.

    Raises
    ------
    GpusegError
        Where the configuration, the files or their columns already tell that a run would fail.
    """
    check_families(config.features)
    with open_engine(engine=config.run.engine, memory=config.memory) as engine:
        _check_solvers(config, engine)
        plans = plan_sources(config, frames)
        keys = stage_keys(config, plans)
        directory = RunDirectory(Path(config.run.out))
        versions = directory.versions()
        unfinished, current = directory.unfinished(), directory.current()
        given = [] if fresh else [version for version in (unfinished, current) if version is not None]
        needed, valid = {}, True
        for stage in keys:
            records = [version.stage(stage) for version in given]
            valid = valid and any(record is not None and record.key == keys[stage] for record in records)
            needed[stage] = not valid
        number = int(versions[-1].name[1:]) + 1 if versions else 1
        name = unfinished.name if unfinished is not None and not fresh else f"v{number:04d}"
        if not any(needed.values()) and current is not None:
            name = current.name
        return {
            "out": config.run.out,
            "version": name,
            "engine": engine.reason,
            "executor": config.run.executor,
            "workers": spread_text(config.run.executor, config.dask, engine.device),
            "n_buckets": plans.n_buckets,
            "sources": [
                {"name": p.source, "kind": p.kind, "format": p.format, "n_files": len(p.files)} for p in plans.reads
            ],
            "n_bytes": plans.n_bytes,
            "stages": needed,
            "kept": {} if fresh or unfinished is None else _kept(unfinished, keys, needed, plans),
            "fit": fit_costs(config, engine.device, (unfinished, current)),
        }


def _kept(version: Version, keys: Mapping[str, str], needed: Mapping[str, bool], plans: Plans) -> dict[str, Any]:
    """Of stages to run that an earlier attempt began: pieces that are done, and all pieces, by their names."""
    kept = {name: Ledger.kept(version.scratch / name, keys[name]) for name in keys if needed[name]}
    found: dict[str, Any] = {}
    for name, pieces in kept.items():
        if not pieces:
            continue
        first = name == STAGE_NAMES[0]
        n_buckets = plans.n_buckets if first else len(bucket_files(version.path / "state" / "profiles"))
        totals = {"part": n_parts(plans) if first else 0, "bucket": n_buckets}
        found[name] = {f"{piece}s": [pieces[piece], total] for piece, total in totals.items() if piece in pieces}
    return found


def _check_solvers(config: Config, engine: Engine) -> None:
    for section in (config.cluster, *(lens.cluster for lens in config.lenses)):
        check_solver(section.solver, engine.device, config.run.executor)


def _facts(config: Config, plans: Plans, engine: Engine, until: str) -> dict[str, Any]:
    """What the log of a version begins with."""
    return {
        "gpuseg": __version__,
        "config_sha256": config_digest(config),
        "engine": engine.device.name,
        "why": engine.reason,
        "executor": config.run.executor,
        "workers": engine.executor.n_workers,
        "n_buckets": plans.n_buckets,
        "n_bytes": plans.n_bytes,
        "until": until,
    }


def _matching(version: Version, keys: Mapping[str, str], until: str) -> tuple[StageRecord, ...] | None:
    """The records of a version up to a stage, if every one was made from the same inputs and settings."""
    records = []
    for name in list(keys)[: list(keys).index(until) + 1]:
        record = version.stage(name)
        if record is None or record.key != keys[name]:
            return None
        records.append(record)
    return tuple(records)


def _run_stages(
    config: Config,
    plans: Plans,
    engine: Engine,
    tried: Attempt,
    donor: Version | None,
    keys: Mapping[str, str],
    until: str,
) -> Outcome:
    version = tried.version
    records: list[StageRecord] = []
    executed: list[str] = []
    rows: dict[str, Any] = {}
    samples: dict[str, Any] = {}
    table = stages_of(config)
    if LENSES not in table and (version.path / LENSES.name).exists():
        version.drop_stage(LENSES.name, LENSES.outputs)
    for position, stage in enumerate(table[: list(keys).index(until) + 1]):
        record = version.stage(stage.name)
        if record is None or record.key != keys[stage.name]:
            begun = Ledger.is_of(version.scratch / stage.name, keys[stage.name])
            for later in reversed(table[position + begun :]):
                version.drop_stage(later.name, later.outputs)
            given = donor.stage(stage.name) if donor is not None else None
            named = stage.name == STAGE_NAMES[-1]
            # The last stage names the version, so it is made anew for each.
            if donor is not None and given is not None and given.key == keys[stage.name] and not named:
                record = version.adopt_stage(given, donor)
            else:
                done = {r.stage: r.facts for r in records}
                ledger = Ledger(version.scratch / stage.name, keys[stage.name])
                job = stages.Job(config, engine, plans, version, done, ledger, tried.tracker, rows, samples)
                record = execute_stage(stage, job, keys[stage.name], tried.tracker)
                executed.append(stage.name)
        else:
            version.check(record.files)
        if stage.name not in executed:
            version.drop_scratch(stage.name)
            tried.tracker.finish(stage.name, 0.0, reused=True)
        records.append(record)
    return Outcome(version, tuple(records), tuple(executed), engine.reason)


def execute_stage(stage: Stage, job: stages.Job, key: str, tracker: Tracker) -> StageRecord:
    """Run one stage and commit what it wrote."""
    tracker.start(stage.name)
    with Measured(job.engine.device, job.engine.executor) as used, enough_memory(job.engine.device, stage.name):
        facts = stage.execute(job)
    options: dict[str, Any] = {"seconds": used.seconds, "peak": used.peak}
    record = job.version.commit_stage(stage.name, key=key, outputs=stage.outputs, facts=facts, **options)
    job.ledger.close()
    tracker.finish(stage.name, reused=False, warnings=facts.get("warnings", ()), **options)
    return record
