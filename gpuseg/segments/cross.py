"""Cross-tables of several segmentations of the same profiles: how many are in each pair of their segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.config_lenses import MAIN
from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_numpy
from gpuseg.trust.floor import withheld_cells
from gpuseg.vocabulary import NO_SEGMENT
from gpuseg.workspace.files import read_json, read_table

CROSS = "lenses/cross.json"
NOISE_NAME, WITHHELD_NAME = "In no segment", "Segments too small to describe"
MOST_CELLS = 10_000
"""Larger tables hold no counts: nobody reads them, and most of their cells would be withheld."""
_MOST_WITHHELD = 0.1

Counts = npt.NDArray[np.int64]


def lens_folder(name: str) -> str:
    """Where in a version a lens lies, or the main segmentation."""
    return "" if name == MAIN else f"lenses/{name}"


def cross_tables(
    folder: Path, lenses: Sequence[str], engine: Engine, *, buckets: Sequence[str], floor: int
) -> dict[str, Any]:
    """Content of `cross.json`.

    Parameters
    ----------
    folder : Path
        Of the version, with the assignments of the main segmentation and of every lens.
    lenses : sequence of str
        Their names.
    engine : Engine
    buckets : sequence of str
        Names of the bucket files.
    floor : int
        Cells of fewer profiles are withheld, and as many more as it takes that no sum gives them away.

    Returns
    -------
    dict
        JSON values: one table for every two segmentations, in which the segments that are withheld are one group,
        without id. Profiles without events do not count.
    """
    names = (MAIN, *lenses)
    sides = {name: _Side.read(folder / lens_folder(name)) for name in names}
    total: list[Counts] | None = None
    for found in engine.executor.map(_Counter(sides), buckets):
        total = found if total is None else [one + other for one, other in zip(total, found, strict=True)]
    assert total is not None
    tables = [
        {"rows": one, "columns": other, **_table(counts, sides[one], sides[other], floor)}
        for (one, other), counts in zip(combinations(names, 2), total, strict=True)
    ]
    return {
        "format": 1,
        "group_floor": floor,
        "n_profiles": int(total[0].sum()),
        "lenses": list(lenses),
        "tables": tables,
    }


def agreement(counts: Counts, hidden: npt.NDArray[np.bool_]) -> float | None:
    """Adjusted Rand index of two segmentations, to two decimals, from what is published alone.

    1 where they are the same but for the names, about 0 where one tells nothing of the other (Hubert and Arabie 1985,
    Comparing Partitions). Withheld cells count as what the sums of their rows and columns lead one to expect.

    Parameters
    ----------
    counts : int64 array, shape (n_rows, n_columns)
    hidden : bool array, shape (n_rows, n_columns)
        Cells that are withheld.

    Returns
    -------
    float or None
        None where neither segmentation tells any profiles apart, or more than a tenth of the profiles are in
        withheld cells.
    """
    n, left = counts.sum(), np.where(hidden, counts, 0)
    if left.sum() > _MOST_WITHHELD * n:
        return None
    expected = np.outer(left.sum(axis=1), left.sum(axis=0)) / max(left.sum(), 1)
    pairs, rows, columns, everyone = (
        float((cells * (cells - 1.0)).sum())
        for cells in (np.where(hidden, expected, counts), counts.sum(axis=1), counts.sum(axis=0), n)
    )
    chance, most = rows * columns / max(everyone, 1.0), (rows + columns) / 2
    return round((pairs - chance) / (most - chance), 2) + 0.0 if most != chance else None


@dataclass(frozen=True)
class _Side:
    """A segmentation: where it lies, and what its segments are called; None for those that are withheld."""

    assignments: Path
    names: tuple[str | None, ...]

    @classmethod
    def read(cls, folder: Path) -> "_Side":
        content = read_json(folder / "segments.json")
        cards = {card["segment_id"]: card["name"] for card in content["segments"]}
        return cls(folder / "assignments", tuple(cards.get(place) for place in range(content["n_segments"])))

    def groups(self, *, has_noise: bool) -> list[tuple[int | None, str, list[int]]]:
        """What a table tells of: id, name and places of each; the segments that are withheld are one group."""
        found: list[tuple[int | None, str, list[int]]]
        found = [(place, name, [place]) for place, name in enumerate(self.names) if name is not None]
        if withheld := [place for place, name in enumerate(self.names) if name is None]:
            found.append((None, WITHHELD_NAME, withheld))
        return [*found, (NO_SEGMENT, NOISE_NAME, [len(self.names)])] if has_noise else found

    def labels(self, bucket: str) -> Counts:
        """Segments of the profiles with events; noise comes after the last."""
        # Files of one bucket have the same profiles in the same order, and the same of them have events.
        table = read_table(self.assignments / bucket, ["segment_id", "confidence"])
        segments = as_numpy(table.filter(table["confidence"].is_valid())["segment_id"].fill_null(NO_SEGMENT))
        return np.where(segments == NO_SEGMENT, len(self.names), segments).astype(np.int64)


@dataclass(frozen=True)
class _Counter:
    """Counts the profiles of one bucket for every two segmentations."""

    sides: Mapping[str, _Side]

    def __call__(self, bucket: str) -> list[Counts]:
        labels = [(side.labels(bucket), len(side.names) + 1) for side in self.sides.values()]
        return [
            np.bincount(one * m + other, minlength=n * m).reshape(n, m)
            for (one, n), (other, m) in combinations(labels, 2)
        ]


def _table(counts: Counts, rows: _Side, columns: _Side, floor: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for axis, (word, side) in enumerate((("row", rows), ("column", columns))):
        groups = side.groups(has_noise=bool(counts.sum(axis=1 - axis)[-1]))
        counts = np.stack([counts.take(places, axis).sum(axis) for _, _, places in groups], axis)
        told |= {f"{word}_ids": [group[0] for group in groups], f"{word}_names": [group[1] for group in groups]}
    if counts.size > MOST_CELLS:
        return told | {"counts": None, "n_withheld": None, "agreement": agreement(counts, np.zeros(counts.shape, bool))}
    hidden = withheld_cells(counts, floor)
    cells = counts.astype(object)
    cells[hidden] = None
    return told | {
        "counts": cells.tolist(),
        "n_withheld": int(hidden.sum()),
        "agreement": agreement(counts, hidden),
    }
