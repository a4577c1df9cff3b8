"""Verbs that run stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gpuseg.cli import console
from gpuseg.cli.looking import RunPath, finished

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration.", show_default=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished version.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def run(config: ConfigPath, resume: Resume = False, dry_run: DryRun = False) -> None:  # noqa: FBT002
    """Run every stage, in order, into a new version."""
    from gpuseg.config import read_config
    from gpuseg.pipeline import preview
    from gpuseg.stage_table import STAGE_NAMES

    checked = read_config(config)
    if dry_run:
        plan = preview(checked, fresh=not resume)
        console.show(_plan_text(plan), {"ok": True, **plan})
        return
    _stages(checked, config, until=STAGE_NAMES[-1], fresh=not resume)


def validate(config: ConfigPath) -> None:
    """Read every source, check every value, and keep the state."""
    _one(config, "validate")


def features(config: ConfigPath) -> None:
    """Build the features."""
    _one(config, "features")


def fit(config: ConfigPath) -> None:
    """Fit the segments."""
    _one(config, "fit")


def assign(config: ConfigPath) -> None:
    """Put every profile into its segment."""
    _one(config, "assign")


def report(config: ConfigPath) -> None:
    """Write the report; with it the version is complete and becomes the current one."""
    _one(config, "report")


def cut(
    run: RunPath,
    segments: Annotated[int | None, typer.Option("--segments", help="How many segments.", metavar="K")] = None,
    height: Annotated[float | None, typer.Option("--height", help="Or how high in the tree to cut.")] = None,
) -> None:
    """Make another number of segments from the same fit: a new version, in seconds."""
    from gpuseg.cutting import cut as make_cut
    from gpuseg.errors import ConfigError
    from gpuseg.workspace.run_directory import RunDirectory

    if (segments is None) == (height is None):
        given = "neither is" if segments is None else "both are"
        raise ConfigError(f"cut needs either --segments K or --height H; {given} given")
    opened = finished(run)
    with console.progress() as progress:
        outcome = make_cut(opened.path, segments=segments, height=height, progress=progress)
    if not outcome.executed and not console.settings.json:
        n = _of(opened.segments["n_segments"], "segment")
        print(f"{outcome.version.name} has {n} already; nothing was written")
        folder = outcome.version.path.parent
        current = RunDirectory(folder).current()
        if current is not None and current.name != outcome.version.name:
            print(f"Next, to make it the current one: gpuseg rollback {folder} --to {outcome.version.name}")
        return
    _tell(outcome)


def demo() -> None:
    """Run the whole pipeline on the real Complete Journey data, into runs/demo."""
    from gpuseg.config import read_config
    from gpuseg.demo import prepare
    from gpuseg.stage_table import STAGE_NAMES

    config = prepare(Path("runs"))
    _stages(read_config(config), config, until=STAGE_NAMES[-1], fresh=True)
    if not console.settings.json:
        print(f"\nTo try other settings, edit {config} and run: gpuseg run {config}")


def _one(path: Path, stage: str) -> None:
    from gpuseg.config import read_config

    _stages(read_config(path), path, until=stage, fresh=False)


def _stages(config: Any, path: Path, *, until: str, fresh: bool) -> None:
    from gpuseg.pipeline import execute
    from gpuseg.stage_table import STAGE_NAMES

    with console.progress() as progress:
        outcome = execute(config, until=until, fresh=fresh, progress=progress)
    if until == STAGE_NAMES[-1]:
        _tell(outcome)
        return
    done = "done" if until in outcome.executed else "already committed, nothing changed"
    _end(
        f"{until}: {done} in {outcome.version.path}\n{_next_step(STAGE_NAMES, until, path, outcome)}",
        _remarked(outcome),
    )


def _tell(outcome: Any) -> None:
    """Show a version that is complete."""
    content = _remarked(outcome)
    segments = outcome.run.segments
    content["segments"] = [
        {key: card[key] for key in ("segment_id", "name", "n_profiles", "profile_share", "value_share")}
        for card in segments["segments"]
    ]
    _end(_result_text(outcome.version.path, segments), content)


def _remarked(outcome: Any) -> dict[str, Any]:
    """Remarks on stderr, and the outcome as JSON values."""
    if console.settings.verbose:
        console.note(f"ran on {outcome.reason}")
    for warning in outcome.warnings:
        console.note(f"warning: {warning}")
    for note in outcome.notes:
        console.note(f"note: {note}")
    return {
        "ok": True,
        "version": outcome.version.name,
        "path": str(outcome.version.path),
        "complete": outcome.version.is_complete,
        "executed": list(outcome.executed),
        "stages": {record.stage: dict(record.facts) for record in outcome.records},
        "warnings": outcome.warnings,
        "notes": outcome.notes,
        "engine": outcome.reason,
        "rows_quarantined": outcome.rows_quarantined,
    }


def _next_step(stages: Sequence[str], done: str, config: Path, outcome: Any) -> str:
    """What to run after a stage that is not the last; of a version that is complete, where to look."""
    if outcome.version.is_complete:
        return f"The version is complete. {_look_at(outcome.version.path)}"
    verbs = [name for name in stages[stages.index(done) + 1 :] if name != "explain"]
    return f"Next: gpuseg {verbs[0]} {config}, or all that is left: gpuseg run --resume {config}"


def _end(text: str, content: dict[str, Any]) -> None:
    """Show the result; whoever waits for the exit code learns that rows were set apart."""
    console.show(text, content)
    if content["rows_quarantined"]:
        n = content["rows_quarantined"]
        were = "1 bad row was" if n == 1 else f"{n:,} bad rows were"
        from gpuseg.outcome import QUARANTINED

        console.note(f"{were} set apart in {content['path']}/quarantine")
        raise typer.Exit(QUARANTINED)


def _result_text(folder: Path, segments: dict[str, Any]) -> str:
    from gpuseg.segments.text import noise_text, withheld_text

    lines = [f"{_of(segments['n_assigned'], 'profile')} in {_of(segments['n_segments'], 'segment')}"]
    if segments["n_no_data"]:
        lines[0] += f", {segments['n_no_data']:,} without events that the features use"
    width = max((len(card["name"]) for card in segments["segments"]), default=0)
    for card in segments["segments"]:
        value = "" if card["value_share"] is None else f"  {card['value_share']:6.1%} of sales"
        lines.append(f"  {card['segment_id']:>3}  {card['name']:<{width}}  {card['profile_share']:6.1%}{value}")
    if segments["withheld"]["n_segments"]:
        lines.append(f"  {withheld_text(segments['withheld'])}")
    if noise := noise_text(segments):
        lines.append(f"  {noise}")
    lines += [f"Report: {folder / 'report.html'}", f"Assignments: {folder / 'assignments'}"]
    lines.append(_look_at(folder))
    return "\n".join(lines)


def _look_at(folder: Path) -> str:
    return f"Next: open the report, or: gpuseg describe {folder.parent}"


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plan_text(plan: dict[str, Any]) -> str:
    verb = "Would write" if any(plan["stages"].values()) else "Nothing to do: complete is"
    lines = [f"{verb} {plan['version']} in {plan['out']} on {plan['engine']}"]
    if plan["executor"] != "local" and any(plan["stages"].values()):
        lines.append(f"  work is done by {plan['workers']}")
    for source in plan["sources"]:
        what = "rows of a database" if source["format"] == "sql" else _of(source["n_files"], "file")
        lines.append(f"  read {source['name']} ({source['kind']}, {source['format']}): {what}")
    where = "in files" if any(source["format"] == "sql" for source in plan["sources"]) else "in all"
    lines.append(f"  {plan['n_bytes'] / 1e6:,.1f} MB {where}; profiles in {_of(plan['n_buckets'], 'bucket')}")
    for stage, needed in plan["stages"].items():
        lines.append(f"  {stage}: {_doing(plan, stage) if needed else 'take as committed'}")
        if stage == "fit" and needed:
            lines += [f"    {cost['text']}" for cost in plan["fit"]]
    return "\n".join(lines)


def _doing(plan: dict[str, Any], stage: str) -> str:
    """Whether a stage is run from its start or gone on with: `go on (3 of 7 parts kept)`."""
    if stage not in plan["kept"]:
        return "run"
    pieces = ", ".join(f"{done} of {_of(n, unit[:-1])}" for unit, (done, n) in plan["kept"][stage].items())
    return f"go on ({pieces} kept)" if pieces else "go on (from the last pass)"
