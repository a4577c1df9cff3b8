"""Centers as the kernels of `assign_accumulate` take them, and how well products can rank them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpuseg.engine.gpu.shapes import GROUP, Shape

_UNIT, _LEAST = 2.0**-24, np.float32(1e-34)


@dataclass(frozen=True)
class Bounds:
    """By how much ranks by products may be off.

    With m the shift, R at least the length of x - m, E the largest length of c - m and d features, a multiple of 16: a
    bfloat16 number is off by at most 2^-8 of what it stands for, its lower half by 2^-16. Three products of such pairs
    leave out the fourth, 2^-16 of both lengths, and what the halves are off by, twice as much: 3.1 2^-16 R E together
    with the roundings of x - m and c - m. Each of 3 d / 16 products of a tensor core is off by up to 17 times 2^-23 of
    the largest addend (Fasi, Higham, Mikaitis and Pranesh, Numerical Behavior of NVIDIA Tensor Cores, PeerJ Computer
    Science 2021: products are exact, addends are cut to the exponent of the largest), together d 2^-21 (R E + E^2 / 2).
    A difference of two ranks is off by twice that. As R E is at most (R + E)^2 / 4, and R E + E^2 / 2 at most half of
    it, that is at most (3.1 2^-17 + d 2^-21) (R + E)^2: `products` is the first factor.

    Distances themselves are rounded d + 2 times (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), so that
    ranks must differ by another `distances` times the nearest one. What underflows is less than `least`.

    Parameters
    ----------
    reach : float
        2 E: the length of x - m is at most E more than the distance of x from any center.
    products, distances, least : float
    """

    reach: np.float32
    products: np.float32
    distances: np.float32
    least: np.float32

    @property
    def values(self) -> tuple[np.float32, ...]:
        """In the order of the kernels' arguments."""
        return self.reach, self.products, self.distances, self.least


@dataclass(frozen=True, eq=False)
class Centers:
    """Centers as the kernels take them.

    Parameters
    ----------
    numbers : float32 array
        Centers with zeros to the pitch of the shape; their mean (zero for coarse rows) with zeros to a multiple of 16
        features; and of every center minus half the squared length less the mean, with -inf to a multiple of `GROUP`.
    n_padded, n_shift : int
        Numbers of the first two parts.
    bounds : Bounds
    """

    numbers: npt.NDArray[np.float32]
    n_padded: int
    n_shift: int
    bounds: Bounds


def prepared(centers: npt.NDArray[np.float32], shape: Shape) -> Centers:
    """Pad centers, and tell how well products can rank them."""
    k, d = centers.shape
    shift = np.zeros(d, np.float32) if shape.coarse else centers.mean(axis=0, dtype=np.float64).astype(np.float32)
    with np.errstate(over="ignore"):
        gaps = (centers - shift).astype(np.float64)
    halves = np.full(-(-k // GROUP) * GROUP, -np.inf, np.float32)
    squares = np.einsum("ij,ij->i", gaps, gaps)
    products = 3.1 * 2.0**-17 + shape.padded_features * 2.0**-21
    with np.errstate(over="ignore"):
        # Of centers too far apart for products: (R + E)^2 is inf then, and rows are compared with all of them.
        halves[:k] = -squares / 2
        reach = np.float32(2.001 * np.sqrt(squares.max()))
    bounds = Bounds(reach, np.float32(1.01 * products), np.float32(2 * (d + 2) * _UNIT), _LEAST)
    padded = np.zeros((k, shape.pitch), np.float32)
    padded[:, :d] = centers
    mean = np.zeros(shape.padded_features, np.float32)
    mean[:d] = shift
    return Centers(np.concatenate([padded.ravel(), mean, halves]), padded.size, mean.size, bounds)
