"""The section `lenses` of a configuration: further segmentations of the same profiles, each with a name of its own."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from gpuseg.config_cluster import ClusterSection
from gpuseg.config_messages import nearest
from gpuseg.config_parts import Section, Weight

MAX_LENSES = 12
MAIN = "segments"
"""What the segmentation of `cluster` is called beside the lenses."""
_RESERVED = (MAIN, "cross")

PRESETS: dict[str, dict[str, Any]] = {
    "value": {"families": ("rfm",)},
    "lifecycle": {"families": ("rfm", "tempo"), "cluster": {"method": "rules", "rules": "lifecycle"}},
    "interests": {"families": ("interests",)},
    "intent": {"families": ("browsing", "intent")},
}
"""Lenses that a word stands for, spelled out."""


class LensSection(Section):
    """One segmentation beside the main one: what it looks at, and how it groups."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Name of the lens, and of its folder in `lenses`.")
    families: tuple[str, ...] = Field(
        (), description="Families that it looks at, of those in `features.families`; all that are built where empty."
    )
    drop: tuple[str, ...] = Field((), description="Features of these families kept out of its clustering.")
    weights: dict[str, Weight] = Field(
        default_factory=dict, description="Factor on a scaled feature, 1 where not given."
    )
    cluster: ClusterSection = Field(
        default_factory=ClusterSection, description="How it groups profiles, with the keys of section `cluster`."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in PRESETS:
                known = ", ".join(PRESETS)
                raise ValueError(f"{value[:40]!r} is no ready-made lens; there are {known}{nearest(value, PRESETS)}")
            return {"name": value, **PRESETS[value]}
        return value

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in _RESERVED:
            raise ValueError("means something else here; choose another name")
        return value

    @field_validator("families")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each family may be given once")
        return value


class _OrWord:
    """Says in the JSON Schema that a word may stand for the section."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(PRESETS), "type": "string"}, handler(schema)]}


Lenses = Annotated[tuple[Annotated[LensSection, _OrWord()], ...], Field(max_length=MAX_LENSES)]
"""What `lenses` takes: a list of words and sections."""


def check_lenses(lenses: Sequence[LensSection], families: Collection[str]) -> None:
    """Refuse two lenses of one name, and families that the run is not to build.

    Raises
    ------
    ValueError
        One line that begins with the key, as `lenses.value.families`.
    """
    names = [lens.name for lens in lenses]
    for lens in lenses:
        if names.count(lens.name) > 1:
            raise ValueError(f"lenses: the name {lens.name!r} is used more than once")
        for family in lens.families:
            if family not in families:
                raise ValueError(
                    f"lenses.{lens.name}.families: {family!r} is not in features.families, which has "
                    f"{', '.join(families)}{nearest(family, families)}"
                )
