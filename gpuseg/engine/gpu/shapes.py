"""The forms in which the kernels of `assign_accumulate` are compiled, and the shared memory that they take."""

from dataclasses import dataclass

LANES = 32
GROUP = 8
"""Centers that one product ranks."""

TILE = 32
"""Rows that a warp works on at a time."""

MOST_FEATURES = 128
"""More would not stay in registers."""

_PACKED_BYTES = 512
_ALIGNMENT = 16
_SIZES = ((16, 3), (16, 2), (8, 3), (8, 2), (4, 3), (4, 2))
"""Warps of a block and tiles that each holds, the best first."""

_SIZES_IN_PARTS = ((16, 2), (8, 2), (4, 2))
_MANY_GROUPS = 32


@dataclass(frozen=True)
class Shape:
    """What a module of kernels is compiled for.

    Parameters
    ----------
    n_features : int
    warps : int
        Of a block.
    stages : int
        Tiles that each warp has in shared memory: one that it works on, and those on their way.
    aligned : bool
        Whether rows begin at multiples of 16 bytes.
    with_second : bool
        Whether the second-nearest center is wanted.
    coarse : bool, default False
        Whether rows are bfloat16 numbers.
    """

    n_features: int
    warps: int
    stages: int
    aligned: bool
    with_second: bool
    coarse: bool = False

    @property
    def n_threads(self) -> int:
        """Threads of a block."""
        return self.warps * LANES

    @property
    def pitch(self) -> int:
        """Numbers between a row, or a center, and the next one: an odd number of chunks of four."""
        return 4 * (-(-self.n_features // 4) | 1)

    @property
    def padded_features(self) -> int:
        """Features as products take them, 16 at a time."""
        return -(-self.n_features // 16) * 16

    @property
    def options(self) -> tuple[str, ...]:
        """What the compiler is told."""
        return (
            "-std=c++17",
            f"-DFEATURES={self.n_features}",
            f"-DWARPS={self.warps}",
            f"-DSTAGES={self.stages}",
            f"-DALIGNED={int(self.aligned)}",
            f"-DWITH_SECOND={int(self.with_second)}",
            f"-DCOARSE={int(self.coarse)}",
        )

    @property
    def tile_bytes(self) -> int:
        """Tiles of all warps."""
        return self.warps * self.stages * TILE * self.pitch * (2 if self.coarse else 4)

    @property
    def _handover_bytes(self) -> int:
        return self.warps * TILE * 4 * (5 if self.with_second else 3)

    def assign_bytes(self, k: int, *, with_sums: bool) -> int:
        """Shared memory of a block of `assign`."""
        sums = 3 * _ALIGNMENT + 4 * k * (2 * self.n_features + 1) if with_sums else 0
        return 4 * k * self.pitch + self.rank_bytes(-(-k // GROUP)) + sums

    def rank_bytes(self, n_groups: int) -> int:
        """Shared memory of a block of `rank_rows`."""
        packed = n_groups * (self.padded_features // 16 * _PACKED_BYTES + 4 * GROUP)
        return packed + 4 * self.padded_features + self._handover_bytes + self.tile_bytes

    def finish_bytes(self) -> int:
        """Shared memory of a block of `finish_rows`."""
        return self.warps * TILE * 4 + self.tile_bytes


def whole(
    n_features: int,
    k: int,
    *,
    aligned: bool,
    with_second: bool,
    with_sums: bool,
    most_bytes: int,
    coarse: bool = False,
) -> Shape | None:
    """The form in which all centers lie in shared memory; None where they do not fit.

    Parameters
    ----------
    n_features, k : int
    aligned, with_second, coarse
        See `Shape`.
    with_sums : bool
        Whether rows are added up.
    most_bytes : int
        Shared memory that a block may take.
    """
    for warps, stages in _SIZES:
        found = Shape(n_features, warps, stages, aligned, with_second, coarse)
        if found.assign_bytes(k, with_sums=with_sums) <= most_bytes:
            return found
    return None


def in_parts(
    n_features: int, *, aligned: bool, with_second: bool, most_bytes: int, coarse: bool = False
) -> tuple[Shape, int] | None:
    """The form for centers part by part, and how many groups of `GROUP` a part has; None where not even few fit."""
    forms = []
    for warps, stages in _SIZES_IN_PARTS:
        found = Shape(n_features, warps, stages, aligned, with_second, coarse)
        n_groups = (most_bytes - found.rank_bytes(0)) // (found.rank_bytes(1) - found.rank_bytes(0))
        if n_groups >= GROUP:
            forms.append((found, n_groups))
    # Each part reads all rows again, so a part has many groups before a block has many warps.
    return max(forms, key=lambda form: min(form[1], _MANY_GROUPS), default=None)
