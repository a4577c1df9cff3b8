"""Verbs that prepare: a starter configuration, the schema, a look at the machine, synthetic data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gpuseg.cli import console


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder for gpuseg.yaml.")] = Path(),
) -> None:
    """Write a starter configuration, gpuseg.yaml."""
    from gpuseg.starter import write_starter

    path = write_starter(folder)
    console.show(f"Wrote {path}; edit its sources, then: gpuseg run {path}", {"ok": True, "path": str(path)})


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from gpuseg.config import config_schema

    print(json.dumps(config_schema(), indent=None if console.settings.json else 2))


def doctor() -> None:
    """Say what this machine has, what gpuseg will use, and why."""
    from gpuseg.engine.survey import survey, survey_text

    facts = survey()
    console.show(survey_text(facts), {"ok": True, **facts})


def synth(
    profiles: Annotated[int, typer.Option("--profiles", help="Number of profiles.")],
    events: Annotated[int, typer.Option("--events", help="Number of events over all kinds.")],
    out: Annotated[Path, typer.Option("--out", help="New or empty folder.")],
    seed: Annotated[int, typer.Option("--seed", help="Seed; equal seeds give equal files.")] = 0,
    segments: Annotated[int, typer.Option("--segments", help="Planted segments, 2 to 8.")] = 5,
    kinds: Annotated[
        str,
        typer.Option(
            "--kinds",
            help="Kinds to write, with commas between: web, social, purchases, feedback, crm; all by default.",
        ),
    ] = "",
    id_type: Annotated[str, typer.Option("--id-type", help="int64 or text.")] = "int64",
) -> None:
    """Write synthetic events of all five kinds with planted segments, and a configuration for them."""
    from gpuseg.synth import SYNTH_KINDS, SynthSpec, synthesize

    spec = SynthSpec(
        profiles,
        events,
        seed=seed,
        n_segments=segments,
        kinds=tuple(kind.strip() for kind in kinds.split(",")) if kinds else SYNTH_KINDS,
        id_type=id_type,  # type: ignore[arg-type]
    )
    summary = synthesize(spec, out)
    rows = ", ".join(f"{n:,} {kind}" for kind, n in summary.rows.items())
    hint = f"; try: gpuseg run {out / summary.config}" if summary.config else ""
    console.show(
        f"Wrote {rows} rows into {out}{hint}",
        {"ok": True, "rows": dict(summary.rows), "config": summary.config, "out": str(out)},
    )
