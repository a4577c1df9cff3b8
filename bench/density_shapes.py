"""Rows of many shapes, with groups or without any: what exact HDBSCAN and its approximation are compared on."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[Any]

_BOX = 10.0


def noisy(draw: np.random.Generator, rows: Rows, share: float) -> Rows:
    """The same with the first rows replaced by even noise in a box a fifth wider than all rows."""
    n, (low, high) = int(share * len(rows)), (rows.min(axis=0), rows.max(axis=0))
    edge = (high - low) / 10
    rows[:n] = draw.uniform(low - edge, high + edge, (n, rows.shape[1]))
    return rows


def planted(draw: np.random.Generator, n: int, *, d: int, k: int, noise: float) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Round groups of spread 1 whose centers lie at least 6 apart, and the group of each row, -1 for noise."""
    centers = draw.uniform(-_BOX, _BOX, (k, d))
    for _ in range(10_000):
        gaps = np.linalg.norm(centers[:, None] - centers, axis=2) + 1e9 * np.eye(k)
        if gaps.min() >= 6 * max(1.0, np.sqrt(d) / 2):
            break
        centers[gaps.min(axis=1).argmin()] = draw.uniform(-_BOX, _BOX, d)
    own = draw.integers(0, k, n)
    rows = np.empty((n, d))
    for column in range(d):
        rows[:, column] = centers[own, column] + draw.normal(size=n)
    own[: int(noise * n)] = -1
    return noisy(draw, rows, noise), own


def blobs(d: int, k: int, noise: float = 0.05) -> Callable[[np.random.Generator, int], Rows]:
    """Round groups with noise."""
    return lambda draw, n: planted(draw, n, d=d, k=k, noise=noise)[0]


def _groups(
    centers: Any, spreads: Any, *, noise: float, shares: Any = None
) -> Callable[[np.random.Generator, int], Rows]:
    places, widths = np.array(centers, float), np.array(spreads, float)

    def made(draw: np.random.Generator, n: int) -> Rows:
        own = draw.choice(len(places), n, p=shares)
        return noisy(draw, places[own] + widths[own, None] * draw.normal(size=(n, places.shape[1])), noise)

    return made


def _rings(draw: np.random.Generator, n: int) -> Rows:
    radius, turn = draw.choice([0.4, 1.0], n), draw.uniform(0, 2 * np.pi, n)
    rows = radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return noisy(draw, rows + 0.04 * draw.normal(size=(n, 2)), 0.05)


def _moons(draw: np.random.Generator, n: int) -> Rows:
    upper, turn = draw.integers(0, 2, n), draw.uniform(0, np.pi, n)
    side = 1 - 2 * upper
    rows = np.stack([side * np.cos(turn) + upper, side * np.sin(turn) + 0.5 * upper], axis=1)
    return rows + 0.07 * draw.normal(size=(n, 2))


def _chained(draw: np.random.Generator, n: int) -> Rows:
    own, bridge = draw.integers(0, 5, n), n // 50
    rows = np.stack([4.5 * own, 1.5 * np.sin(1.3 * own)], axis=1) + 0.7 * draw.normal(size=(n, 2))
    rows[:bridge] = np.stack([draw.uniform(0, 18, bridge), 0.8 * draw.normal(size=bridge)], axis=1)
    return rows


def _elongated(draw: np.random.Generator, n: int) -> Rows:
    own, root = draw.integers(0, 4, n), np.sqrt(0.5)
    turned = (draw.normal(size=(n, 2)) * [3, 0.35]) @ np.array([[root, root], [-root, root]])
    return noisy(draw, np.array([[0, 0], [4, -4], [-5, 5], [9, 3]])[own] + turned, 0.03)


def _elongated_in_8(draw: np.random.Generator, n: int) -> Rows:
    own, centers = draw.integers(0, 5, n), draw.uniform(-12, 12, (5, 8))
    widths = np.array([4, 1, 1, 1, 0.5, 0.5, 0.2, 0.2])
    axes = np.stack([np.linalg.qr(draw.normal(size=(8, 8)))[0] * widths for _ in range(5)])
    return noisy(draw, centers[own] + np.einsum("ni,nji->nj", draw.normal(size=(n, 8)), axes[own]), 0.03)


def _spirals(draw: np.random.Generator, n: int) -> Rows:
    turn, arm = draw.uniform(1, 3 * np.pi, n), draw.integers(0, 2, n) * np.pi
    return np.stack([turn * np.cos(turn + arm), turn * np.sin(turn + arm)], axis=1) + 0.3 * draw.normal(size=(n, 2))


SHAPES: Mapping[str, Callable[[np.random.Generator, int], Rows]] = {
    "blobs": blobs(2, 5),
    "blobs in 3": blobs(3, 6),
    "blobs in 8": blobs(8, 8),
    "blobs in 16": blobs(16, 20),
    "much noise": blobs(8, 6, 0.3),
    "unequal": _groups([[0, 0], [8, 0], [0, 9], [10, 10]], [0.3, 1, 1.6, 0.6], noise=0.03, shares=[0.1, 0.3, 0.4, 0.2]),
    "dense in thin": _groups([[0, 0], [2, 0], [20, 0]], [0.2, 0.2, 4], noise=0.1),
    "rings": _rings,
    "moons": _moons,
    "chained": _chained,
    "elongated": _elongated,
    "elongated in 8": _elongated_in_8,
    "spirals": _spirals,
    "one dimension": _groups([[0], [10], [25]], [1, 1, 1], noise=0),
    "one group": lambda draw, n: draw.normal(size=(n, 4)),
    "even noise": lambda draw, n: draw.uniform(size=(n, 2)),
    "counts": lambda draw, n: draw.poisson([2, 9], (n, 2)).astype(float),
}
"""Name to rows, shape (n, d), by a source of chance and their number."""
