"""The only file that knows the order of the stages, and the key of each: a hash of all that decides its output."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpuseg import __version__, lens_stage, stage_settings, stages
from gpuseg.config import Config
from gpuseg.sources.plan import Plans


@dataclass(frozen=True)
class Stage:
    """One stage.

    Parameters
    ----------
    name : str
    execute : callable
        Does the work and returns its facts.
    outputs : tuple of str
        Files and folders it writes, relative to the version.
    settings : callable
        The text of all settings, and only those, that decide its output besides its input.
    """

    name: str
    execute: Callable[[stages.Job], stages.Facts]
    outputs: tuple[str, ...]
    settings: Callable[[Config, Plans], str]


STAGES = (
    Stage("validate", stages.validate, ("quality.json", "state", "quarantine"), stage_settings.validate),
    Stage("features", stages.features, ("features",), stage_settings.features),
    Stage("fit", stages.fit, ("model",), stage_settings.fit),
    Stage("assign", stages.assign, ("assignments", "totals", "segments.json"), stage_settings.assign),
    Stage("explain", stages.explain, ("explanations.json",), stage_settings.explain),
    Stage("report", stages.report, ("report.html", "MODEL_CARD.md"), stage_settings.report),
)
"""The stages that every run has."""
STAGE_NAMES = tuple(stage.name for stage in STAGES)

LENSES = Stage("lenses", lens_stage.lenses, ("lenses",), stage_settings.lenses)


def stages_of(config: Config) -> tuple[Stage, ...]:
    """The stages of a run, in order: lenses are a stage of their own, where there are any."""
    return (*STAGES[:-1], LENSES, STAGES[-1]) if config.lenses else STAGES


def stage_keys(config: Config, plans: Plans, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """For every stage, a hash of all that decides its output: the code's version, settings, and the stage before.

    The first ones may be known, where they were made before and plans are not at hand.
    """
    keys = dict(known or {})
    before = ""
    for stage in stages_of(config):
        if stage.name not in keys:
            text = "\n".join([__version__, stage.name, before, stage.settings(config, plans)])
            keys[stage.name] = hashlib.sha256(text.encode()).hexdigest()
        before = keys[stage.name]
    return keys
