"""Passes over all rows, block by block: sums for centers, and the nearest center of each row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.far_rows import rows_of
from gpuseg.engine.base import Device
from gpuseg.engine.program import LloydPass

Labels: TypeAlias = npt.NDArray[np.signedinteger[Any]]


class Mapper(Protocol):
    """The part of an executor that K-means needs."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Any:
        """Results in the order of the items."""


def labels_for(n_rows: int, k: int) -> Labels:
    """An empty array for the labels of rows, in the smallest type that holds k of them."""
    found: Labels = np.empty(n_rows, np.min_scalar_type(-k))
    return found


@dataclass(frozen=True)
class AllRows:
    """All rows, and what a pass over them runs on.

    Parameters
    ----------
    blocks : sequence of device arrays, each of shape (n_rows, n_features), or of callables that give one for a device
        Sums are added in the order of the blocks.
    device : Device
    executor : Mapper
    weights : sequence of arrays, each of shape (n_rows,), optional
        For each block how often its rows count.
    """

    blocks: Sequence[Any]
    device: Device
    executor: Mapper
    weights: Sequence[npt.NDArray[Any]] | None = None

    def added_up(self, centers: npt.NDArray[Any]) -> LloydPass:
        """Sums, counts and inertia of all rows."""
        total: LloydPass | None = None
        for part in self.executor.map(_BlockPass(self.device, centers), self._items()):
            total = part if total is None else _added(total, part)
        assert total is not None
        return total

    def labelled(self, centers: npt.NDArray[Any], labels: Labels) -> tuple[LloydPass, bool]:
        """The same, with the center of each row written, and whether some row is equally near to two centers."""
        total: LloydPass | None = None
        start, ties = 0, False
        for part in self.executor.map(_BlockPass(self.device, centers, want_labels=True), self._items()):
            total = part if total is None else _added(total, part)
            found = self.device.to_host(part.labels)
            labels[start : start + len(found)] = found
            start += len(found)
            ties = ties or bool((part.nearest == part.second).any())
        assert total is not None
        return total, ties

    def added_up_for_each(self, centers: Sequence[npt.NDArray[Any]]) -> list[LloydPass]:
        """Sums, counts and inertia for several sets of centers, of which each block is read but once."""
        total: list[LloydPass] = []
        for parts in self.executor.map(_SharedPass(self.device, centers), self._items()):
            total = [_added(*both) for both in zip(total, parts, strict=True)] if total else parts
        return total

    def _items(self) -> Sequence[Any]:
        if self.weights is None:
            return self.blocks
        return [_Weighted(*both) for both in zip(self.blocks, self.weights, strict=True)]


def assign(
    blocks: Sequence[Any], centers: npt.NDArray[Any], labels: Labels, *, device: Device, executor: Mapper
) -> None:
    """Write the index of each row's nearest center, the lower of equals, rows in the order of the blocks.

    Parameters
    ----------
    blocks, device, executor
        As in `AllRows`.
    centers : array, shape (k, n_features)
    labels : array of signed integers, shape (n_rows,)
    """
    start = 0
    for found in executor.map(_Nearest(device, centers), blocks):
        labels[start : start + len(found)] = found
        start += len(found)


@dataclass(frozen=True)
class _Weighted:
    """A block whose rows have weights."""

    block: Any
    weights: npt.NDArray[Any]

    def __str__(self) -> str:
        return str(self.block)


@dataclass(frozen=True)
class _BlockPass:
    """The pass over one block."""

    device: Device
    centers: npt.NDArray[Any]
    want_labels: bool = False

    def __call__(self, item: Any) -> LloydPass:
        rows, weights = _read(item, self.device)
        return self.device.assign_accumulate(rows, self.centers, weights=weights, want_labels=self.want_labels)


@dataclass(frozen=True)
class _SharedPass:
    """The pass over one block for several sets of centers."""

    device: Device
    centers: Sequence[npt.NDArray[Any]]

    def __call__(self, item: Any) -> list[LloydPass]:
        rows, weights = _read(item, self.device)
        return [self.device.assign_accumulate(rows, centers, weights=weights) for centers in self.centers]


@dataclass(frozen=True)
class _Nearest:
    """The labels of one block, in host memory."""

    device: Device
    centers: npt.NDArray[Any]

    def __call__(self, block: Any) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = self.device.to_host(
            self.device.nearest(rows_of(block, self.device), self.centers)
        )
        return found


def _read(item: Any, device: Device) -> tuple[Any, npt.NDArray[Any] | None]:
    """Rows of an item on the device, and their weights."""
    if isinstance(item, _Weighted):
        return rows_of(item.block, device), item.weights
    return rows_of(item, device), None


def _added(left: LloydPass, right: LloydPass) -> LloydPass:
    return LloydPass(left.sums + right.sums, left.counts + right.counts, left.inertia + right.inertia)
