"""Verbs that look at a finished run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gpuseg.cli import console

RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, or one version's folder.", show_default=False)
]


def finished(path: Path) -> Any:
    """The finished run that a path means; of an unfinished one, what is missing and how it goes on."""
    from gpuseg.errors import IntegrityError
    from gpuseg.segments.run import open_run
    from gpuseg.stage_table import STAGE_NAMES
    from gpuseg.workspace.run_directory import RunDirectory
    from gpuseg.workspace.version import Version

    pointer = (path / "CURRENT").exists() or (path / "manifest.json").exists()
    version = None if pointer else Version(path) if (path / ".stages").is_dir() else RunDirectory(path).unfinished()
    if version is None:
        return open_run(path)
    missing = next((name for name in STAGE_NAMES if version.stage(name) is None), STAGE_NAMES[-1])
    raise IntegrityError(
        f"{path}: {version.name} is not finished: stage {missing} is missing; "
        "`gpuseg run --resume CONFIG` with its configuration goes on"
    )


LensName = Annotated[str | None, typer.Option("--lens", help="The segments of this lens.", metavar="NAME")]


def describe(
    run: RunPath,
    segment: Annotated[int | None, typer.Option("--segment", help="Only this segment.")] = None,
    lens: LensName = None,
) -> None:
    """Show the segment cards."""
    from gpuseg.errors import ConfigError
    from gpuseg.segments.text import card_text, noise_text, withheld_text

    opened = finished(run)
    content = _looked_through(opened, lens).segments
    cards = content["segments"]
    if segment is not None:
        cards = [card for card in cards if card["segment_id"] == segment]
        if segment in content["withheld"]["segment_ids"]:
            floor = content["withheld"]["group_floor"]
            raise ConfigError(f"--segment {segment}: withheld, so that no group of fewer than {floor} is described")
        if not cards:
            raise ConfigError(f"--segment {segment}: the segments are 0 to {content['n_segments'] - 1}")
    if console.settings.json:
        print(json.dumps(content | {"segments": cards}, ensure_ascii=False))
        return
    parts = [card_text(card, content["value_feature"]) for card in cards]
    if segment is None and content["withheld"]["n_segments"]:
        parts.append(withheld_text(content["withheld"]))
    if segment is None and (noise := noise_text(content)):
        parts.append(noise)
    through = "" if lens is None else f" --lens {lens}"
    parts.append(f"Next, why one profile is where it is: gpuseg explain {run}{through} --profile ID")
    print("\n\n".join(parts))


def _looked_through(run: Any, lens: str | None) -> Any:
    """The run, or one lens of it."""
    from gpuseg.config_messages import nearest
    from gpuseg.errors import ConfigError

    if lens is None:
        return run
    lenses = run.lenses
    if lens not in lenses:
        there = f"the lenses are {', '.join(lenses)}{nearest(lens, lenses)}" if lenses else "the run has no lenses"
        raise ConfigError(f"--lens {lens}: {there}")
    return lenses[lens]


def explain(
    run: RunPath,
    profile: Annotated[str | None, typer.Option("--profile", help="Id of a profile.", metavar="ID")] = None,
    lens: LensName = None,
) -> None:
    """Say why a profile is in its segment; without --profile, show the rules that tell the segments apart."""
    from gpuseg.segments.reason_text import reasons_text
    from gpuseg.segments.rules import rules_text

    opened = _looked_through(finished(run), lens)
    if profile is None:
        content = opened.explanations
        names = dict(enumerate(opened.model.names))
        console.show(rules_text(content["surrogate"], names), content)
    else:
        told = opened.explain(profile)
        console.show(reasons_text(told), told)


def verify(run: RunPath) -> None:
    """Check every file of a run against its checksum."""
    from gpuseg.workspace.version import Version

    version = Version(finished(run).path)
    n_files = version.verify()
    version.published_stages()
    console.show(
        f"{version.name}: {n_files} files are as they were committed",
        {"ok": True, "version": version.name, "n_files": n_files},
    )


def history(run: RunPath) -> None:
    """List the versions of a run; an asterisk marks the current one."""
    from gpuseg.versions import history as versions_of
    from gpuseg.versions import history_text

    told = versions_of(run)
    console.show(history_text(told), {"ok": True, "versions": [each.as_dict() for each in told]})
    if not any(each.is_current for each in told):
        console.note(f"no version is current; `gpuseg rollback {run} --to VERSION` makes one current")


def rollback(
    run: RunPath,
    to: Annotated[str | None, typer.Option("--to", help="Name of the version.", metavar="VERSION")] = None,
) -> None:
    """Make an earlier version the current one, by default the one before it; every version stays."""
    from gpuseg.versions import roll_back

    version = roll_back(run, to)
    console.show(
        f"{version.name} is current; its files are as they were committed",
        {"ok": True, "version": version.name, "path": str(version.path)},
    )
