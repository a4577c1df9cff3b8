"""The table of feature families and the features that a configuration asks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gpuseg.config import FeaturesSection
from gpuseg.config_messages import nearest
from gpuseg.errors import ConfigError
from gpuseg.features import attributes, browsing, engagement, feedback, intent, interests, lifecycle, rfm, social, tempo
from gpuseg.features.algebra import Context, Family, Feature

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (rfm, tempo, interests, lifecycle, engagement, browsing, intent, feedback, social, attributes)
}
_KIND_WORDS = {"contacts": "crm with a time (at)"}


@dataclass(frozen=True)
class Declared:
    """A feature and the family it comes from."""

    family: str
    feature: Feature


def check_families(section: FeaturesSection) -> None:
    """Refuse a family that the table does not have.

    Raises
    ------
    ConfigError
        With the nearest family.
    """
    for name in section.families:
        if name not in FAMILIES:
            raise ConfigError(
                f"features.families: {name!r} is no family; there are {', '.join(FAMILIES)}{nearest(name, FAMILIES)}"
            )


def declare_features(
    section: FeaturesSection, context: Context, kinds: Collection[str]
) -> tuple[list[Declared], list[str]]:
    """Features in column order, and the families skipped because their kind of source is absent.

    Parameters
    ----------
    section : FeaturesSection
    context : Context
    kinds : collection of str
        Kinds of the run's sources.

    Returns
    -------
    declared : list of Declared
    skipped : list of str
        One sentence for each family that the configuration names and the data cannot feed.

    Raises
    ------
    ConfigError
        If two features would have one name, as where two crm sources have the same column.
    """
    declared: list[Declared] = []
    skipped: list[str] = []
    asked = "families" in section.model_fields_set
    for name in section.families:
        family = FAMILIES[name]
        if family.needs not in kinds:
            if asked:
                skipped.append(
                    f"family {name} skipped: no source of kind {_KIND_WORDS.get(family.needs, family.needs)}"
                )
            continue
        found = family.declare(context)
        if not found:
            skipped.append(f"family {name} skipped: no {family.needs} source has the column it needs")
        declared += [Declared(name, feature) for feature in found]
    _check_distinct(declared)
    return declared, skipped


def _check_distinct(declared: Sequence[Declared]) -> None:
    """Refuse two features of one name; only the column of an attribute may be shown, other names hold data."""
    families: dict[str, str] = {}
    for item in declared:
        name = item.feature.name
        if name in families:
            both = dict.fromkeys((families[name], item.family))
            shown, advice = "", "leave one of them out of features.families"
            if "attributes" in both:
                shown, advice = f" {name.partition('=')[0]!r}", "give the column another name in columns of its source"
            raise ConfigError(
                f"features: family {' and '.join(both)} would give two features one name{shown}; {advice}"
            )
        families[name] = item.family


def check_names(section: FeaturesSection, names: Sequence[str]) -> None:
    """Refuse `drop` and `weights` entries that name no feature.

    Raises
    ------
    ConfigError
        With the nearest feature.
    """
    for key, given in (("drop", section.drop), ("weights", tuple(section.weights))):
        for name in given:
            if name not in names:
                raise ConfigError(f"features.{key}: {name!r} is no feature of this run{nearest(name, names)}")
