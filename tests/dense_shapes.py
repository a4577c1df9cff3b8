"""Dense groups of many shapes, with and without noise around them."""

import itertools

import numpy as np
from sklearn.datasets import make_circles, make_moons


def noisy(draw, rows, share):
    low, high = rows.min(axis=0), rows.max(axis=0)
    n = int(share * len(rows))
    rows[:n] = draw.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (n, rows.shape[1]))
    return rows


def blobs(draw, n, *, d, k, noise, spread=1.0):
    centers = 9.0 * np.array(list(itertools.islice(itertools.product(range(3), repeat=d), 0, None, 3**d // k)))[:k]
    own = draw.integers(0, k, n)
    return noisy(draw, centers[own] + spread * draw.normal(size=(n, d)), noise)


def unequal(draw, n):
    own = draw.choice(4, n, p=[0.1, 0.3, 0.4, 0.2])
    spread = np.array([0.3, 1.0, 1.6, 0.6])[own, None]
    return noisy(draw, np.array([[0, 0], [8, 0], [0, 9], [10, 10]])[own] + spread * draw.normal(size=(n, 2)), 0.03)


def chained(draw, n):
    own = draw.integers(0, 5, n)
    rows = np.stack([4.5 * own, 1.5 * np.sin(1.3 * own)], axis=1) + 0.7 * draw.normal(size=(n, 2))
    bridge = n // 50
    rows[:bridge] = np.stack([draw.uniform(0, 18, bridge), 0.8 * draw.normal(size=bridge)], axis=1)
    return rows


def elongated(draw, n):
    own = draw.integers(0, 4, n)
    turned = (draw.normal(size=(n, 2)) * [3, 0.35]) @ np.array([[0.707, 0.707], [-0.707, 0.707]])
    return noisy(draw, np.array([[0, 0], [4, -4], [-5, 5], [9, 3]])[own] + turned, 0.03)


def spirals(draw, n):
    turn, arm = draw.uniform(1, 3 * np.pi, n), draw.integers(0, 2, n) * np.pi
    return np.stack([turn * np.cos(turn + arm), turn * np.sin(turn + arm)], axis=1) + 0.25 * draw.normal(size=(n, 2))


def line(draw, n):
    return np.array([0.0, 10.0, 25.0])[draw.integers(0, 3, n), None] + draw.normal(size=(n, 1))


SHAPES = {
    "blobs": lambda draw, n: blobs(draw, n, d=2, k=5, noise=0.05),
    "blobs in 3": lambda draw, n: blobs(draw, n, d=3, k=6, noise=0.1),
    "blobs in 8": lambda draw, n: blobs(draw, n, d=8, k=6, noise=0.05),
    "blobs in 16": lambda draw, n: noisy(
        draw, 4 * np.eye(16)[draw.integers(0, 9, n)] * 3 + draw.normal(size=(n, 16)), 0.05
    ),
    "unequal": unequal,
    "rings": lambda draw, n: noisy(draw, make_circles(n, factor=0.4, noise=0.04, random_state=1)[0], 0.04),
    "moons": lambda draw, n: make_moons(n, noise=0.06, random_state=2)[0],
    "chained": chained,
    "elongated": elongated,
    "spirals": spirals,
    "one dimension": line,
}
