"""Lenses: the configuration of each, what it may look at among the features of a run, and what is told of all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpuseg.clustering.rule_presets import check_preset
from gpuseg.clustering.rules import Rule, RuleSet
from gpuseg.config import Config
from gpuseg.config_lenses import LensSection
from gpuseg.config_messages import nearest
from gpuseg.errors import ClusteringError, ConfigError, EngineError
from gpuseg.segments.cross import CROSS, lens_folder
from gpuseg.workspace.files import read_json


def config_of(config: Config, lens: LensSection, described: Sequence[Mapping[str, Any]]) -> Config:
    """The configuration of a segmentation that looks through a lens: its features and weights, and its clustering.

    Parameters
    ----------
    config : Config
        The run's; `features.drop` and `features.weights` are the main segmentation's alone.
    lens : LensSection
    described : sequence of mapping
        What `_features.json` says.
    """
    others = [item["name"] for item in described if lens.families and item["family"] not in lens.families]
    changes = {"drop": (*lens.drop, *others), "weights": lens.weights}
    features = config.features.model_copy(update=changes)
    return config.model_copy(update={"features": features, "cluster": lens.cluster, "lenses": ()})


def check_features_of_lenses(config: Config, described: Sequence[Mapping[str, Any]]) -> None:
    """Refuse lenses that look for what the run does not build.

    Raises
    ------
    ConfigError
        With the lens, and what there is instead.
    """
    for lens in config.lenses:
        with naming(lens.name):
            _check(lens, described)


@contextmanager
def naming(lens: str) -> Iterator[None]:
    """Says of which lens an error that a setting of it may cure tells."""
    try:
        yield
    except (ConfigError, ClusteringError, EngineError) as error:
        raise type(error)(f"lenses.{lens}: {error}") from None


def _check(lens: LensSection, described: Sequence[Mapping[str, Any]]) -> None:
    built = list(dict.fromkeys(item["family"] for item in described))
    for family in lens.families:
        if family not in built:
            raise ConfigError(
                f"looks at family {family}, which this run does not build, as no source has what it needs; "
                f"it builds {', '.join(built)}"
            )
    seen = [item for item in described if not lens.families or item["family"] in lens.families]
    names = [item["name"] for item in seen]
    for key, given in (("drop", lens.drop), ("weights", tuple(lens.weights))):
        for name in given:
            if name not in names:
                published = [item["name"] for item in seen if item.get("published", True)]
                raise ConfigError(f"{key}: {name!r} is no feature of this lens{nearest(name, published)}")
    if not any(item["in_matrix"] or item["name"] in lens.weights for item in seen if item["name"] not in lens.drop):
        raise ConfigError("has no features that take part; give it more families, or weights for the features it has")
    _check_rules(lens, described)


def _check_rules(lens: LensSection, described: Sequence[Mapping[str, Any]]) -> None:
    section, names = lens.cluster, [item["name"] for item in described]
    if isinstance(section.rules, str):
        check_preset(section.rules, names)
    elif section.rules is not None:
        rules = tuple(Rule.of(rule.name, rule.where) for rule in section.rules)
        published = [item["name"] for item in described if item.get("published", True)]
        RuleSet(rules, section.unmatched, section.overlap).check(names, published=published)


def lens_contents(folder: Path) -> dict[str, Any] | None:
    """What the report tells of lenses: the content of `cross.json`, and what there is of each lens.

    Parameters
    ----------
    folder : Path
        Of the version.

    Returns
    -------
    dict or None
        `cross`, and by name of the lens `segments` and `explanations`, the contents of `segments.json` and
        `explanations.json`, the latter empty for a run that made none; None without lenses.
    """
    if not (folder / CROSS).exists():
        return None
    cross = read_json(folder / CROSS)
    places = {name: folder / lens_folder(name) for name in cross["lenses"]}
    explained = {name: place / "explanations.json" for name, place in places.items()}
    return {
        "cross": cross,
        "segments": {name: read_json(place / "segments.json") for name, place in places.items()},
        "explanations": {name: read_json(path) if path.exists() else {} for name, path in explained.items()},
    }
