"""The stage of the lenses: what fit, assign and explain do, for each into a folder of its own, and the cross-tables."""

from dataclasses import replace
from pathlib import Path

from gpuseg import stages
from gpuseg.config_lenses import LensSection
from gpuseg.segments.cross import CROSS, cross_tables, lens_folder
from gpuseg.segments.lenses import check_features_of_lenses, config_of, naming
from gpuseg.stages import Facts, Job
from gpuseg.workspace.files import read_json, write_json
from gpuseg.workspace.ledger import Once, Plain

_STEPS = {"fit": stages.fit, "assign": stages.assign, "explain": stages.explain}


def lenses(job: Job) -> Facts:
    """Make every lens, and count who of one segment is where in the others."""
    check_features_of_lenses(job.config, read_json(job.folder / "features" / "_features.json"))
    made = {lens.name: _lens(job, lens) for lens in job.config.lenses}
    count_lenses(job)
    return {
        "n_segments": {name: facts["n_segments"] for name, facts in made.items()},
        "warnings": [f"lens {name}: {line}" for name, facts in made.items() for line in facts["warnings"]],
    }


def count_lenses(job: Job) -> None:
    """Write the cross-tables of the main segmentation and all lenses."""
    names, floor = [lens.name for lens in job.config.lenses], job.config.privacy.group_floor
    content = cross_tables(job.folder, names, job.engine, buckets=job.buckets, floor=floor)
    write_json(job.folder / CROSS, content)


def _lens(job: Job, lens: LensSection) -> Facts:
    """Fit, assign and explain, each unless an earlier attempt has done it."""
    described = read_json(job.folder / "features" / "_features.json")
    config, ledger = config_of(job.config, lens, described), job.ledger.below(lens.name)
    own = replace(job, config=config, below=lens_folder(lens.name), rows={}, samples={})

    def step(name: str) -> Facts:
        with naming(lens.name):
            facts = _STEPS[name](replace(own, ledger=ledger.below(name)))
        ledger.below(name).close()
        return facts

    def files(_name: str, _facts: Facts) -> list[Path]:
        return sorted(path for path in own.target.rglob("*") if path.is_file())

    job.progress.say(f"lens {lens.name}, by {lens.cluster.method}")
    once = Once(step, ledger, Plain(), "step", files)
    facts: dict[str, Facts] = {name: once(name) for name in _STEPS}
    return facts["fit"] | {"warnings": [line for each in facts.values() for line in each["warnings"]]}
