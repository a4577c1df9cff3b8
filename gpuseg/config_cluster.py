"""The section `cluster` of a configuration: how profiles are grouped."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gpuseg.config_parts import PositiveInt, Section

MAX_SEGMENTS = 1000

NumberOfSegments = Annotated[int, Field(ge=2, le=MAX_SEGMENTS, strict=True)]

_METHOD_KEYS = {
    "kmeans": ("segments", "segments_range", "solver"),
    "hdbscan": ("min_cluster_size", "min_samples", "selection", "noise"),
}
"""The keys of `cluster` that only one method has."""


class ClusterSection(Section):
    """How profiles are grouped."""

    method: Literal["kmeans", "hdbscan"] = Field(
        "kmeans", description="`hdbscan` finds dense groups of any shape, as many as there are, and leaves noise over."
    )
    segments: Literal["auto"] | NumberOfSegments = Field("auto", description="Number of segments, or `auto`.")
    segments_range: tuple[NumberOfSegments, NumberOfSegments] = Field(
        (2, 12), description="Smallest and largest number that `auto` tries."
    )
    min_segment_share: float = Field(0.01, ge=0, lt=0.5, strict=True, description="Smallest share `auto` accepts.")
    solver: Literal["auto", "lloyd", "cuml"] = Field(
        "auto",
        description="kmeans: who makes the passes over all profiles. `lloyd`, which `auto` is, is gpuseg's own, with "
        "the same bits on any device and number of workers; `cuml` is NVIDIA's, for GPUs alone, and repeats its result "
        "only within its tolerance.",
    )
    min_cluster_size: Literal["auto"] | Annotated[int, Field(ge=2, strict=True)] = Field(
        "auto",
        description="hdbscan: fewest profiles of a segment; `auto` is `min_segment_share` of them, but at least 25.",
    )
    min_samples: Literal["auto"] | PositiveInt = Field(
        "auto",
        description="hdbscan: neighbours by which density is told, the profile itself counted; `auto` is 5.",
    )
    selection: Literal["eom", "leaf"] = Field(
        "eom", description="hdbscan: `eom` takes the groups that last longest, `leaf` the finest, with more noise."
    )
    noise: Literal["keep", "nearest"] = Field(
        "keep", description="hdbscan: profiles in no segment stay so, or join the nearest one with confidence 0."
    )

    @model_validator(mode="after")
    def _of_one_method(self) -> "ClusterSection":
        others = [key for method, keys in _METHOD_KEYS.items() if method != self.method for key in keys]
        # A default says nothing that could contradict the method; a written-out configuration holds them all.
        given = next((key for key in others if getattr(self, key) != type(self).model_fields[key].default), None)
        if given is not None:
            owner = next(method for method, keys in _METHOD_KEYS.items() if given in keys)
            raise ValueError(f"{given}: belongs to method {owner}, but method is {self.method}; leave one of them out")
        return self

    @field_validator("segments_range")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError(f"must be smallest first, such as [{value[1]}, {value[0]}]")
        return value
