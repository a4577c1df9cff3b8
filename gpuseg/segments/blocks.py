"""The matrix of a fit, one block a bucket, in whatever memory there is: a pass over the rows asks for each in turn."""

import zlib
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
        Where rows go that are not kept in memory; scratch.
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
        rows = _loaded(self.stored)
        if rows is not None:
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
    """Write an array, and behind it a checksum of its values."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
        file.write(_checksum(rows))


def _loaded(path: Path) -> npt.NDArray[Any] | None:
    """What `_store` wrote; None where there is nothing that is whole, which is made again."""
    try:
        with path.open("rb") as file:
            rows: npt.NDArray[Any] = np.load(file, allow_pickle=False)
            return rows if file.read() == _checksum(rows) else None
    except (OSError, ValueError, EOFError):
        return None


def _checksum(rows: npt.NDArray[Any]) -> bytes:
    form = zlib.crc32(repr((rows.shape, rows.dtype.str)).encode())
    return zlib.crc32(np.ascontiguousarray(rows).data, form).to_bytes(4, "little")
