"""For every stage the text of all settings, and only those, that decide its output besides its input."""

from typing import Any

from gpuseg.config import Config, as_json
from gpuseg.sources.plan import Plans
from gpuseg.sources.zones import tzdata_version


def validate(config: Config, plans: Plans) -> str:
    """What is read, how, up to when, and the data's own marks."""
    run = config.run
    parts = [str(run.as_of), run.timezone, str(run.amount_scale), str(plans.n_buckets)]
    parts += [as_json(config.quality), tzdata_version(), str(sorted(config.privacy.deny_columns))]
    for source in config.sources:
        # The fingerprint holds the absolute places; how the configuration spells them does not matter.
        spelled: dict[str, Any] = {"uri": None}
        if source.identity is not None:
            spelled["identity"] = source.identity.model_copy(update={"uri": ""})
        parts += [as_json(source.model_copy(update=spelled)), plans.fingerprints[source.name]]
    return "\n".join(parts)


def features(config: Config, plans: Plans) -> str:
    """Windows, families and names."""
    section = config.features
    parts = [section.windows_days, section.families, section.drop, sorted(section.weights), config.privacy.group_floor]
    return "".join(str(part) for part in parts)


def fit(config: Config, plans: Plans) -> str:
    """Everything about the matrix and the clusters."""
    return "".join([str(config.run.seed), as_json(config.features), as_json(config.matrix), as_json(config.cluster)])


def assign(config: Config, plans: Plans) -> str:
    """How small a group may be described."""
    return str(config.privacy.group_floor)


def explain(config: Config, plans: Plans) -> str:
    """Nothing besides the model and the features."""
    return ""


def lenses(config: Config, plans: Plans) -> str:
    """What each lens looks at, and how it groups."""
    return "".join(as_json(lens) for lens in config.lenses)


def report(config: Config, plans: Plans) -> str:
    """The name in its title."""
    return config.run.name
