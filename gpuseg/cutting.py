"""Another granularity of a finished run, from the merge tree of its fit: a new version without a look at any event."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from gpuseg.attempt import Attempt, attempt
from gpuseg.config import Config, parse_config
from gpuseg.config_cluster import MAX_SEGMENTS
from gpuseg.engine import Engine, kept_memory, open_engine
from gpuseg.engine.arrow import as_numpy
from gpuseg.errors import ConfigError, WorkspaceError
from gpuseg.lens_stage import count_lenses
from gpuseg.outcome import Outcome
from gpuseg.pipeline import execute_stage
from gpuseg.progress import Progress, counted
from gpuseg.provenance import provenance
from gpuseg.segments.assign import assignments, write_assignments
from gpuseg.segments.figures import height_text, rounded_up
from gpuseg.segments.fit import named
from gpuseg.segments.methods.granularity import asked_for
from gpuseg.segments.methods.hierarchical import ThroughMicroClusters, cut_clusters
from gpuseg.segments.model import Model
from gpuseg.segments.nesting import came_from, exposed
from gpuseg.segments.sums import MICRO_CLUSTER, Collected
from gpuseg.segments.totals import segment_ids
from gpuseg.sources.plan import Plans
from gpuseg.stage_table import LENSES, stage_keys, stages_of
from gpuseg.stages import Facts, Job, described_segments
from gpuseg.workspace.files import read_table, write_json
from gpuseg.workspace.ledger import Ledger
from gpuseg.workspace.run_directory import PASSING, RunDirectory, open_version
from gpuseg.workspace.version import StageRecord, Version

_KEPT = ("validate", "features")
_READ = ("totals/", "assignments/", "quality.json", "segments.json")


def cut(
    path: str | Path,
    *,
    segments: int | None = None,
    height: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Cut the merge tree of a run elsewhere: a new version with other segments from the same fit.

    What it writes has the bytes that a new run of the same events with so many segments would write, but for the
    manifest, the report and the log.

    Parameters
    ----------
    path : str or Path
        A run directory (its current version) or one version's folder in it.
    segments : int, optional
        Number of segments, from 2 to the number of micro-clusters, at most 1,000.
    height : float, optional
        Or the height in the tree: segments are what merges of at most this height make.
    progress : Progress, optional

    Returns
    -------
    Outcome
        The new version; the given one, where it has that granularity already.

    Raises
    ------
    ConfigError
        If not exactly one of both is given, the run's method is not hierarchical, or the tree has no such cut.
    IntegrityError
        If a file that is needed is missing or not the one that was committed.
    WorkspaceError
        If the run directory cannot be written, or holds an unfinished version.
    """
    donor = open_version(Path(path).absolute())
    manifest = donor.manifest()
    config = parse_config(manifest["config"])
    if config.cluster.method != "hierarchical":
        raise ConfigError(
            f"{path}: was made by method {config.cluster.method}, which has one granularity; "
            "fit it with cluster.method: hierarchical to cut it"
        )
    donor.verify("model/")
    model = Model.read(donor.path / "model")
    wanted = _number(model, segments, height)
    config = config.model_copy(update={"cluster": config.cluster.model_copy(update={"segments": wanted})})
    records = donor.published_stages()
    if wanted == model.n_segments:
        return Outcome(donor, tuple(records.values()), (), "nothing")
    for folder in _READ:
        donor.verify(folder)
    with kept_memory(), open_engine(engine="cpu") as engine, _place(donor).locked():
        directory = _place(donor)
        _check_nothing_unfinished(directory)
        told = {"cut_of": donor.name, "segments": wanted}
        with attempt(directory, progress or Progress(), fresh=True, first=_KEPT[0], facts=told) as tried:
            try:
                write_json(tried.version.scratch / PASSING, told)
                outcome = _run(_Cut(donor, model, wanted), config, engine, tried, records)
                facts = provenance(
                    config,
                    version_name=tried.version.name,
                    device=engine.device.name,
                    inputs=manifest["inputs"],
                    n_buckets=manifest["n_buckets"],
                    tzdata=manifest["tzdata"],
                )
                directory.publish(tried.version, facts | {"cut_of": donor.name}, outcome.records)
                tried.done(outcome)
            except BaseException:
                directory.discard(tried.version)
                raise
    return outcome


@dataclass(frozen=True, eq=False)
class _Cut:
    """What the stages of a cut start from.

    Parameters
    ----------
    donor : Version
    model : Model
        The donor's.
    n_segments : int
    """

    donor: Version
    model: Model
    n_segments: int

    @cached_property
    def collected(self) -> Collected:
        """What the donor has added up."""
        return Collected.read(self.donor.path / "totals")

    def fit(self, job: Job) -> Facts:
        """Cut the tree, and name the segments by the same sampled profiles as before."""
        hierarchy = self.model.hierarchy
        assert hierarchy is not None
        found = cut_clusters(hierarchy, asked_for(self.n_segments))
        model = replace(
            self.model,
            centers=found.centers,
            counts=found.counts,
            means=found.means,
            inertia=found.inertia,
            choice=found.choice,
            placer=found.placer,
            names=(),
        )
        sample = self.collected.sample
        labels = segment_ids(model, sample)
        model = named(model, sample.drop_columns([MICRO_CLUSTER]), labels)
        model.save(job.folder / "model")
        before = self.donor.stage("fit")
        warnings = [] if before is None else list(before.facts["warnings"])
        facts = {"n_segments": model.n_segments, "n_iter": model.n_iter, "reason": model.choice["reason"]}
        return facts | {"warnings": warnings, "came_from": came_from(model, self.model, self.donor.path)}

    def assign(self, job: Job) -> Facts:
        """Give every profile the segment that its micro-cluster has now."""
        model = Model.read(job.folder / "model")
        buckets = sorted(path.name for path in (self.donor.path / "assignments").glob("*.parquet"))
        mapped = job.engine.executor.map(_Mapped(model, self.donor.path, job.folder), buckets)
        for _ in counted(job.progress, "assign", mapped, [False] * len(buckets), rows=int):
            pass
        job.version.adopt_files("totals/", self.donor)
        facts = described_segments(job, model, self.collected)
        return facts | {"warnings": [*facts["warnings"], *exposed(model, self.model, job.folder, self.donor.path)]}

    def lenses(self, job: Job) -> Facts:
        """Take the lenses as they are, and count again who of a segment is where in them."""
        before = self.donor.stage(LENSES.name)
        assert before is not None
        job.version.adopt_stage(before, self.donor)
        count_lenses(job)
        return dict(before.facts)


@dataclass(frozen=True)
class _Mapped:
    """Writes the assignments of one bucket by those of another granularity."""

    model: Model
    donor: Path
    folder: Path

    def __call__(self, bucket: str) -> int:
        table = read_table(self.donor / "assignments" / bucket, ["profile_id", MICRO_CLUSTER])
        with_data = table.filter(table[MICRO_CLUSTER].is_valid())
        placer = self.model.placer
        assert isinstance(placer, ThroughMicroClusters)
        placed = placer.of_micro_clusters(as_numpy(with_data[MICRO_CLUSTER]))
        found = assignments(table["profile_id"], with_data["profile_id"], placed, self.model.names)
        write_assignments(self.folder / "assignments" / bucket, found)
        return int(with_data.num_rows)


def _number(model: Model, segments: int | None, height: float | None) -> int:
    """The number of segments that is meant."""
    hierarchy = model.hierarchy
    assert hierarchy is not None
    tree = hierarchy.tree
    most = min(tree.n_points, MAX_SEGMENTS)
    if (segments is None) == (height is None):
        raise ConfigError("give either a number of segments or a height")
    if segments is not None:
        if not 2 <= segments <= most:
            nearest = min(max(segments, 2), most)
            raise ConfigError(
                f"{segments} segments: the tree over {tree.n_points:,} micro-clusters can be cut into 2 to {most:,}; "
                f"nearest valid: {nearest}"
            )
        return segments
    assert height is not None
    if not isfinite(height) or height < 0:
        raise ConfigError(f"height {height}: must be a number from 0 up")
    found = tree.groups_below(height)
    if not 2 <= found <= most:
        low, high = (float(tree.heights[-bound]) if bound <= len(tree.heights) else 0.0 for bound in (most, 1))
        raise ConfigError(
            f"height {height:g} leaves {found:,} segment{'' if found == 1 else 's'}; "
            f"from {height_text(low)} to just below {-rounded_up(-high, 6):.6g} there are 2 to {most:,}"
        )
    return found


def _place(donor: Version) -> RunDirectory:
    """The run directory that a version lies in."""
    directory = RunDirectory(donor.path.parent)
    if directory.current() is None:
        raise ConfigError(f"{donor.path}: lies in no run directory, so a new version has no place")
    return directory


def _check_nothing_unfinished(directory: RunDirectory) -> None:
    """Leave alone what a run that was interrupted can go on with."""
    unfinished = directory.unfinished()
    if unfinished is not None:
        raise WorkspaceError(
            f"{directory.root}: {unfinished.name} is not finished; `gpuseg run --resume` finishes it, or removes it "
            "without --resume"
        )


def _run(one: _Cut, config: Config, engine: Engine, tried: Attempt, given: Mapping[str, StageRecord]) -> Outcome:
    """Take the stages before the fit as they are, and make the others."""
    plans, version = Plans((), 0, {}, 0), tried.version
    known = {name: given[name].key for name in _KEPT}
    keys = stage_keys(config, plans, known)
    own: Mapping[str, Any] = {"fit": one.fit, "assign": one.assign, LENSES.name: one.lenses}
    records: list[StageRecord] = []
    samples: dict[str, Any] = {}
    for stage in stages_of(config):
        if stage.name in _KEPT:
            records.append(version.adopt_stage(given[stage.name], one.donor, unread=True))
            tried.tracker.finish(stage.name, 0.0, reused=True)
            continue
        done = {record.stage: record.facts for record in records}
        ledger = Ledger(version.scratch / stage.name, keys[stage.name])
        job = Job(config, engine, plans, version, done, ledger, tried.tracker, {}, samples)
        stage = replace(stage, execute=own.get(stage.name, stage.execute))
        records.append(execute_stage(stage, job, keys[stage.name], tried.tracker))
    made = tuple(stage.name for stage in stages_of(config) if stage.name not in _KEPT)
    return Outcome(version, tuple(records), made, engine.reason)
