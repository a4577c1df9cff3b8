"""The matrix of a fit, one block a bucket, in whatever memory there is: a pass over the rows asks for each in turn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.base import Device
from gpuseg.engine.held import Held
from gpuseg.matrix.transform import MatrixTransform
from gpuseg.workspace.files import read_table, replacing


@dataclass(frozen=True)
class MatrixBlock:
    """Matrix rows of one bucket: made once, then kept in memory while there is room, else in a file.

    Parameters
    ----------
    features : Path
        Feature file of the bucket.
    stored : Path
        Where rows go that are not kept in memory; scratch of one attempt alone.
    transform : MatrixTransform
    held : Held
    on_host : bool
        Whether rows are those of the host, with the same bits whatever the device.
    """

    features: Path
    stored: Path
    transform: MatrixTransform
    held: Held
    on_host: bool = False

    def __str__(self) -> str:
        return f"the matrix of bucket {self.features.stem}"

    def __call__(self, device: Device) -> Any:
        """The rows, shape (n_profiles, n_features), on the device or in host memory."""
        rows = self.held.get(self.features.name)
        if rows is not None:
            return rows
        if self.stored.exists():
            rows = np.load(self.stored, allow_pickle=False)
            return rows if self.on_host else device.asarray(rows)
        table = read_table(self.features, self.transform.features)
        rows = self.transform.apply(table) if self.on_host else device.matrix(table, self.transform.plan)
        if not self.held.keep(self.features.name, rows):
            _store(self.stored, device.to_host(rows))
        return rows

    def take(self) -> Any:
        """The rows, where they are kept in memory, for the last time; else None."""
        return self.held.take(self.features.name)


def _store(path: Path, rows: npt.NDArray[Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
