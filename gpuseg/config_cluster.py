"""The section `cluster` of a configuration: how profiles are grouped."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gpuseg.config_parts import PositiveInt, Section
from gpuseg.config_rules import Overlap, Rules, SegmentName, check_unmatched, with_rules

MAX_SEGMENTS = 1000
MAX_MICRO = 20_000

NumberOfSegments = Annotated[int, Field(ge=2, le=MAX_SEGMENTS, strict=True)]

_METHODS_OF = {
    "segments": ("kmeans", "hierarchical"),
    "segments_range": ("kmeans", "hierarchical"),
    "solver": ("kmeans",),
    "init": ("kmeans",),
    "micro_clusters": ("kmeans", "hierarchical"),
    "min_cluster_size": ("hdbscan",),
    "min_samples": ("hdbscan",),
    "selection": ("hdbscan",),
    "noise": ("hdbscan",),
    "resolution": ("hdbscan",),
    "rules": ("rules",),
    "unmatched": ("rules",),
    "overlap": ("rules",),
}
"""The keys of `cluster` that not every method has, and which have them."""


class ClusterSection(Section):
    """How profiles are grouped."""

    method: Literal["kmeans", "hierarchical", "hdbscan", "rules"] = Field(
        "kmeans",
        description="`hierarchical` merges micro-clusters into a tree, of which `gpuseg cut` makes any number of "
        "segments without a refit; `hdbscan` finds dense groups of any shape, as many as there are, and leaves noise "
        "over; `rules` takes conditions that you write.",
    )
    segments: Literal["auto"] | NumberOfSegments = Field("auto", description="Number of segments, or `auto`.")
    segments_range: tuple[NumberOfSegments, NumberOfSegments] = Field(
        (2, 12), description="Smallest and largest number that `auto` tries."
    )
    min_segment_share: float = Field(0.01, ge=0, lt=0.5, strict=True, description="Smallest share `auto` accepts.")
    init: Literal["k-means++", "tree"] = Field(
        "k-means++",
        description="kmeans: where centers start. `tree` merges micro-clusters as method hierarchical does, chooses "
        "the number of segments among its cuts, and refines the centers of the cut on all profiles.",
    )
    solver: Literal["auto", "lloyd", "cuml"] = Field(
        "auto",
        description="kmeans: who makes the passes over all profiles. `lloyd`, which `auto` is, is gpuseg's own, with "
        "the same bits on any device and number of workers; `cuml` is NVIDIA's, for GPUs alone, and repeats its result "
        "only within its tolerance.",
    )
    micro_clusters: Literal["auto"] | Annotated[int, Field(ge=2, le=MAX_MICRO, strict=True)] = Field(
        "auto",
        description="hierarchical, or init tree: most micro-clusters that profiles are reduced to; `auto` is twice the "
        "root of their number, from 4096 to 20000.",
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

    resolution: Literal["auto", "profiles", "micro_clusters"] = Field(
        "auto",
        description="hdbscan: `profiles` compares all of them exactly or refuses; `micro_clusters` tells density on a "
        "sample weighted by micro-clusters, for any number of profiles, or refuses where that cannot be trusted; "
        "`auto` is exact where that takes five minutes at most.",
    )
    rules: Rules | None = Field(
        None,
        description="rules: a list of names with conditions on features, of which a profile belongs to the first that "
        "it matches; or `lifecycle` or `rfm_cells`, see docs/rules.md.",
    )
    unmatched: SegmentName = Field(
        "Everyone else", description="rules: name of the segment of profiles that match no rule."
    )
    overlap: Overlap = Field(
        "first",
        description="rules: whether the `first` of several matching rules counts, or the run is to `refuse` them.",
    )

    _rules = model_validator(mode="before")(with_rules)

    @model_validator(mode="after")
    def _with_tree(self) -> "ClusterSection":
        if self.method == "kmeans" and self.init != "tree" and self.micro_clusters != "auto":
            raise ValueError("micro_clusters: needs init: tree, or method hierarchical")
        return self

    @model_validator(mode="after")
    def _with_rules(self) -> "ClusterSection":
        if self.method == "rules" and self.rules is None:
            raise ValueError("rules: is required by method rules: a list of rules, lifecycle or rfm_cells")
        if self.rules is not None:
            check_unmatched(self.rules, self.unmatched)
        return self

    @model_validator(mode="after")
    def _of_one_method(self) -> "ClusterSection":
        others = [key for key, methods in _METHODS_OF.items() if self.method not in methods]
        # A default says nothing that could contradict the method; a written-out configuration holds them all.
        given = next((key for key in others if getattr(self, key) != type(self).model_fields[key].default), None)
        if given is not None:
            owners = " and ".join(_METHODS_OF[given])
            raise ValueError(f"{given}: belongs to method {owners}, but method is {self.method}; leave one of them out")
        return self

    @field_validator("segments_range")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError(f"must be smallest first, such as [{value[1]}, {value[0]}]")
        return value
