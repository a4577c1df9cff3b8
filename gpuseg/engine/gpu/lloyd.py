"""`assign_accumulate` on the device: by kernels of gpuseg's own where they are made for the rows, else in plain CuPy.

The plain form adds distances up feature by feature in the rows' own precision, one operation at a time, as the CPU's
kernel does, so labels and distances have its bits. Sums per center are float64 products with 0 and 1 (cuBLAS in its own
precision, not told to emulate it); for rows on the matrix's grid of 2^-20 every partial sum is exact (up to 2^32 rows),
so neither the order in which a library adds nor blocks change a bit. For other rows the order of blocks is fixed and
that inside one is the library's. The kernels give the same bits, but for sums of rows off the grid and inertia. Before
they are believed they do some rows as the plain form does them.
"""

import logging
from typing import Any

import numpy as np

from gpuseg.engine.coarse import CoarseRows, widened
from gpuseg.engine.cpu.lloyd import checked_weights
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.lloyd_kernel import Assigned, LloydKernels, Wanted, added
from gpuseg.engine.gpu.memory import halving
from gpuseg.engine.gpu.shapes import Shape
from gpuseg.engine.gpu.streaming import piece_rows, streamed

BLOCK_ROWS = 65_536
_COPIES = 4
"""Distances, gaps, their squares and the membership of a block lie in memory together."""

_COMPARED_ROWS, _COMPARED_DISTANCES = 2_048, 2**24
_SUM_TOLERANCE = 1e-6
_LOG = logging.getLogger(__name__)


class Lloyd:
    """Passes on one device.

    Parameters
    ----------
    libraries : Libraries
    """

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._kernels = LloydKernels(libraries)
        self._believed: dict[tuple[Shape, bool, Wanted], bool] = {}

    def pass_over(self, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool) -> Assigned:
        """One pass over the rows; see `LloydPass` for what it returns.

        Parameters
        ----------
        rows : float32 or float64 array of the device or the host, shape (n_rows, n_features), or CoarseRows
            Those of the host are copied piece by piece, while others are worked on.
        centers : array, shape (k, n_features)
        weights : array, shape (n_rows,), optional
            Finite, not below zero.
        want_labels : bool

        Returns
        -------
        Assigned
            Sums, counts and inertia in host memory, the rest on the device.
        """
        if isinstance(rows, np.ndarray) and len(rows) > piece_rows(rows):
            rows = np.ascontiguousarray(rows)
            own = None if weights is None else checked_weights(weights, len(rows))

            def one(piece: Any, first: int) -> Assigned:
                some = None if own is None else own[first : first + len(piece)]
                return self.pass_over(piece, centers, weights=some, want_labels=want_labels)

            return _joined(self._libraries.cupy, list(streamed(self._libraries, rows, one)))
        rows = self._on_device(rows)
        if weights is None:
            found = self._by_kernels(rows, centers, Wanted(sums=True, second=want_labels))
            if found is not None:
                return found
        return plain_pass(self._libraries, rows, centers, weights=weights, want_labels=want_labels)

    def nearest(self, rows: Any, centers: Any) -> Any:
        """Index of the nearest center of each row, int32 array of the device; rows and centers as in `pass_over`."""
        if isinstance(rows, np.ndarray) and len(rows) > piece_rows(rows):
            whole = np.ascontiguousarray(rows)
            parts = streamed(self._libraries, whole, lambda piece, _: self.nearest(piece, centers))
            return self._libraries.cupy.concatenate(list(parts))
        rows = self._on_device(rows)
        found = self._by_kernels(rows, centers, Wanted(labels=True))
        if found is None:
            found = plain_pass(self._libraries, rows, centers, want_labels=True)
        return found.labels

    def _on_device(self, rows: Any) -> Any:
        return rows if isinstance(rows, CoarseRows) else self._libraries.cupy.asarray(rows)

    def _by_kernels(self, rows: Any, centers: Any, wanted: Wanted) -> Assigned | None:
        """The pass by kernels; None where they are not made for it, or not believed."""
        cupy = self._libraries.cupy
        host = centers if isinstance(centers, np.ndarray) else cupy.asnumpy(centers)
        chosen = self._kernels.shape_for(rows, len(host), wanted)
        if chosen is None or not np.isfinite(host).all():
            return None
        host = host.astype(np.float32, copy=False)
        if not self._believes(rows, host, *chosen, wanted):
            return None

        def one(low: int, high: int) -> Assigned | None:
            return self._kernels.run(rows[low:high], host, *chosen, wanted)

        unit = (12 if wanted.second else 4) + (20 if chosen[1] else 0)
        parts = []
        for part in halving(one, len(rows), libraries=self._libraries, what="rows", unit_bytes=unit):
            if part is None:
                return None
            parts.append(part)
        return _joined(cupy, parts)

    def _believes(self, rows: Any, centers: Any, shape: Shape, n_groups: int, wanted: Wanted) -> bool:
        """Whether the kernels of a shape did as the plain form, when they were first asked for."""
        which = shape, bool(n_groups), wanted
        if which in self._believed:
            return self._believed[which]
        cupy = self._libraries.cupy
        some = rows[: max(1, min(_COMPARED_ROWS, _COMPARED_DISTANCES // len(centers)))]
        try:
            mine = self._kernels.run(some, centers, shape, n_groups, wanted)
        except (cupy.cuda.compiler.CompileException, RuntimeError) as error:
            problem = f"do not run here ({type(error).__name__})"
        except MemoryError:
            return False
        else:
            if mine is None:
                return False
            plain = plain_pass(self._libraries, some, centers, want_labels=True)
            sizes = cupy.asnumpy(cupy.abs(widened(some)).sum(axis=0, dtype=np.float64))
            problem = _difference(mine, plain, wanted, sizes)
        if problem:
            _LOG.warning("gpu: the kernels for %d features %s; slower ones are used", shape.n_features, problem)
        self._believed[which] = not problem
        return not problem


def _difference(mine: Assigned, plain: Assigned, wanted: Wanted, sizes: Any) -> str:
    """In what two passes differ that should not, or nothing; `sizes` are those of columns, added up."""
    for name in ("labels", "nearest", "second") if wanted.second else ("labels",) if wanted.labels else ():
        if not bool((getattr(mine, name) == getattr(plain, name)).all()):
            return f"give other {name}"
    if wanted.sums:
        if not np.array_equal(mine.counts, plain.counts):
            return "give other counts"
        if (np.abs(mine.sums - plain.sums) > _SUM_TOLERANCE * sizes).any():
            return "give other sums"
    return ""


def _joined(cupy: Any, parts: list[Assigned]) -> Assigned:
    """One pass of several over rows one after the other."""
    if len(parts) == 1:
        return parts[0]
    columns = [
        None if getattr(parts[0], name) is None else cupy.concatenate([getattr(part, name) for part in parts])
        for name in ("labels", "nearest", "second")
    ]
    sums, counts = parts[0].sums, parts[0].counts
    for part in parts[1:]:
        sums, counts = sums + part.sums, counts + part.counts
    inertias = np.concatenate([part.inertias for part in parts])
    labels, nearest, second = columns
    return Assigned(sums, counts, added(inertias), labels, nearest, second, inertias)


def plain_pass(libraries: Libraries, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool) -> Assigned:
    """One pass in plain CuPy; parameters as of `Lloyd.pass_over`."""
    cupy = libraries.cupy
    rows = rows if isinstance(rows, CoarseRows) else cupy.asarray(rows)
    centers = cupy.asarray(centers, dtype=rows.dtype)
    k, n_features = centers.shape
    own = None if weights is None else cupy.asarray(checked_weights(weights, len(rows)))
    sums, counts = np.zeros((k, n_features)), np.zeros(k, np.int64 if own is None else np.float64)
    inertias = np.zeros(-(-len(rows) // BLOCK_ROWS))
    kept: list[tuple[Any, Any, Any]] = []
    unit = _COPIES * rows.dtype.itemsize * k + 2 * 8 * (k + n_features)

    def one(low: int, high: int) -> tuple[Any, ...]:
        part = slice(start + low, start + high)
        return _block(cupy, widened(rows[part]), centers, None if own is None else own[part])

    for start in range(0, len(rows), BLOCK_ROWS):
        n = min(BLOCK_ROWS, len(rows) - start)
        for label, nearest, second, *told in halving(one, n, libraries=libraries, what="rows", unit_bytes=unit):
            sums, counts = sums + told[0], counts + told[1]
            inertias[start // BLOCK_ROWS] += told[2]
            if want_labels:
                kept.append((label, nearest, second))
    if not want_labels:
        return Assigned(sums, counts, added(inertias), inertias=inertias)
    if not kept:
        nothing = cupy.empty(0, rows.dtype)
        return Assigned(sums, counts, 0.0, cupy.empty(0, np.int32), nothing, nothing)
    labels, near, far = (cupy.concatenate(column) for column in zip(*kept, strict=True))
    return Assigned(sums, counts, added(inertias), labels, near, far, inertias)


def _block(cupy: Any, rows: Any, centers: Any, weights: Any) -> tuple[Any, ...]:
    """Labels, nearest and second distance on the device; sums, counts and inertia on the host."""
    n, k = len(rows), len(centers)
    distance = cupy.zeros((n, k), rows.dtype)
    for feature in range(rows.shape[1]):
        gap = rows[:, feature, None] - centers[None, :, feature]
        distance += gap * gap
    label = cupy.argmin(distance, axis=1)
    nearest = cupy.take_along_axis(distance, label[:, None], axis=1)[:, 0]
    mine = label[:, None] == cupy.arange(k)[None, :]
    second = cupy.where(mine, np.inf, distance).min(axis=1).astype(rows.dtype)
    squares, exact = nearest.astype(np.float64), rows.astype(np.float64)
    if weights is None:
        counts = mine.sum(axis=0).astype(np.int64)
    else:
        squares, exact = squares * weights, exact * weights[:, None]
        counts = cupy.matmul(mine.T.astype(np.float64), weights)
    sums = cupy.matmul(mine.T.astype(np.float64), exact)
    inertia = float(squares.sum())
    return label.astype(np.int32), nearest, second, cupy.asnumpy(sums), cupy.asnumpy(counts), inertia
