"""Segments by rules over the features: nothing is learned but how many profiles each rule has, and their means."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.clustering.decision import Choice
from gpuseg.clustering.rule_presets import check_preset, rules_of
from gpuseg.clustering.rules import RuleSet, Tally
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.base import Device
from gpuseg.matrix.transform import feature_values
from gpuseg.progress import Meter
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.segments.methods.base import Clusters, Method, Rows, nine_digits
from gpuseg.segments.placing import Placement, Profiles, WithoutNoise, placed_by_means
from gpuseg.vocabulary import NO_SEGMENT
from gpuseg.workspace.files import read_table
from gpuseg.workspace.ledger import Ledger


def rule_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """The segments that the rules make, without those that match nobody.

    Raises
    ------
    ConfigError
        If a rule names a feature that there is not.
    ClusteringError
        If no rule matches anybody, or rules overlap that must not.
    """
    section, floor = config.cluster, config.privacy.group_floor
    assert section.rules is not None
    names = rows.features.column_names
    if isinstance(section.rules, str):
        check_preset(section.rules, names)
    given = RuleSet(rules_of(section.rules, _columns(rows.features, names)), section.unmatched, section.overlap)
    given.check(names, published=rows.published)
    progress.begin("fit", total=len(rows.blocks))
    total: _Added | None = None
    for part in engine.executor.map(_Add(given, engine.device), rows.blocks):
        total = part if total is None else total + part
        progress.add(1, rows=int(part.tally.placed.sum()))
    assert total is not None
    settled = given.settled(total.tally, group_floor=floor)
    kept = total.tally.placed > 0
    counts = total.tally.placed[kept]
    means = total.sums[kept] / counts[:, None]
    inertia = nine_digits(max(float((total.squares[kept] - counts * (means**2).sum(axis=1)).sum()), 0.0))
    n = len(counts)
    what = f"the rules {section.rules}" if isinstance(section.rules, str) else "your rules"
    rest = "" if settled.unmatched is None else ", with one of the profiles that match no rule"
    asked = section.rules if isinstance(section.rules, str) else len(section.rules)
    told = Choice(n, asked, f"{what} make {n} segments{rest}").as_dict() | {"rules": settled.as_dict()}
    centers = means.astype(np.float32)
    warnings = tuple(given.warnings(total.tally, group_floor=floor))
    return Clusters(centers, counts, means, inertia, 0, told, ByRules(settled, centers), warnings, names=settled.names)


@dataclass(frozen=True, eq=False)
class ByRules(WithoutNoise):
    """Puts a profile into the segment of the first rule that it matches.

    Parameters
    ----------
    rules : RuleSet
    centers : float32 array, shape (n_segments, n_features)
        Means of the segments.
    """

    rules: RuleSet
    centers: npt.NDArray[np.float32]

    @property
    def features(self) -> tuple[str, ...]:
        """Features that rules name."""
        return self.rules.features

    def place(self, profiles: Profiles) -> Placement:
        """See `Placer`; a rule is certain, so the confidence is 1, and noise is who matches none where all did."""
        labels = self.rules.place(_columns(profiles.features, self.rules.features))
        confidence = np.where(labels != NO_SEGMENT, 1.0, 0.0)
        return placed_by_means(profiles.device.to_host(profiles.rows), labels, confidence, self.centers)


def _read(_folder: Path, content: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> ByRules:
    return ByRules(RuleSet.from_dict(content["choice"]["rules"]), centers)


RULES = Method(rule_clusters, _read)


@dataclass(frozen=True, eq=False)
class _Added:
    """What profiles of some buckets add up to, by rule."""

    tally: Tally
    sums: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    def __add__(self, other: "_Added") -> "_Added":
        return _Added(self.tally + other.tally, self.sums + other.sums, self.squares + other.squares)


@dataclass(frozen=True)
class _Add:
    """Adds up one bucket."""

    rules: RuleSet
    device: Device

    def __call__(self, block: MatrixBlock) -> _Added:
        table = read_table(block.features, list(self.rules.features))
        columns = _columns(table, self.rules.features)
        labels, n = self.rules.place(columns), len(self.rules.rules) + 1
        rows = self.device.to_host(block(self.device)).astype(np.float64)
        added = [np.bincount(labels, column, n) for column in (*rows.T, (rows * rows).sum(axis=1))]
        *sums, squares = np.array(added, np.float64)
        return _Added(self.rules.tally(columns), np.stack(sums, axis=1), squares)


def _columns(table: pa.Table, names: Any) -> dict[str, npt.NDArray[np.float64]]:
    return {name: feature_values(table, name) for name in names}
