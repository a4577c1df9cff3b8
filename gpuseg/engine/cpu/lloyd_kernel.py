"""The compiled part of `assign_accumulate`: tiles of rows, transposed so that the lanes of a vector register are rows.

What LLVM does not find by itself is written here as vectors of its intermediate language, as long as the processor's
registers: a transpose in registers, distances of several vectors of rows to several centers that stay in registers over
all features, and float64 sums. Nothing depends on the number of features, so everything is compiled once a type.
Every operation is rounded by itself and in a fixed order, so the bits are the same for any length of a vector.

All of it is in one file, because numba looks at a function's own file to tell whether what it kept is still right.
"""

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

TILE = 128
"""Rows at a time; a multiple of all rows that `_distances` holds in registers."""

CENTERS = 4
"""Centers whose distances to the same rows are held in registers."""

PADDED = 8
"""Sums of a center take a multiple of as many numbers."""

_AHEAD_BYTES = 16_384
_LINE_BYTES = 64
_PARTS = 16

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def _count(number: int) -> Any:
    return ir.Constant(_INT64, number)


class _Vectors:
    """Vectors of one type in memory: what the builder lacks for them.

    Parameters
    ----------
    builder : llvmlite IRBuilder
    element : llvmlite type
    n : int
        Elements of a vector.
    """

    def __init__(self, builder: Any, element: Any, n: int) -> None:
        self.builder, self.element, self.n = builder, element, n
        self.type = ir.VectorType(element, n)
        self.bytes = {ir.FloatType(): 4, _INT32: 4}.get(element, 8)

    def of(self, number: float) -> Any:
        """A constant in all lanes."""
        return ir.Constant(self.type, [number] * self.n)

    def pointer(self, address: Any, at: Any) -> Any:
        """Pointer to an element behind an address."""
        return self.builder.gep(self.builder.inttoptr(address, self.element.as_pointer()), [at])

    def load(self, address: Any, at: Any) -> Any:
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        return self.builder.load(pointer, align=self.bytes)

    def store(self, vector: Any, address: Any, at: Any) -> None:
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        self.builder.store(vector, pointer, align=self.bytes)

    def splat(self, scalar: Any) -> Any:
        """A scalar in all lanes."""
        nothing = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INT32, self.n), [0] * self.n))

    def load_first(self, address: Any, at: Any, left: Any) -> Any:
        """The first `left` elements, zeros behind them; what is not asked for is not touched."""
        numbers = _Vectors(self.builder, _INT64, self.n)
        mask = self.builder.icmp_signed("<", ir.Constant(numbers.type, list(range(self.n))), numbers.splat(left))
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        kind = f"v{self.n}f{8 * self.bytes}"
        arguments = [pointer, ir.Constant(_INT32, self.bytes), mask, self.of(0.0)]
        return _call(self.builder, f"llvm.masked.load.{kind}.p0{kind}", self.type, arguments)


def _call(builder: Any, name: str, returned: Any, arguments: list[Any]) -> Any:
    """Call a function of LLVM's own; newer versions take the names with types of pointers too."""
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    found = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(found, arguments)


def _range(builder: Any, start: Any, stop: Any, step: int) -> Any:
    return cgutils.for_range_slice(builder, start, stop, _count(step), _INT64)


def _has_wide_registers(context: Any) -> bool:
    return "+avx512f" in context.codegen().magic_tuple()[2]


def _rows_of(context: Any, builder: Any, signature: Any) -> _Vectors:
    """Vectors of the rows' type, as long as a register."""
    element = signature.args[0].dtype
    n = (64 if _has_wide_registers(context) else 32) * 8 // element.bitwidth
    return _Vectors(builder, context.get_value_type(element), n)


def _prefetch(builder: Any, address: Any, n_bytes: Any) -> None:
    """Ask for memory that is needed soon: processors do not foresee the strides of a transpose."""
    byte = ir.IntType(8).as_pointer()
    with _range(builder, _count(0), n_bytes, _LINE_BYTES) as (at, _):
        pointer = builder.inttoptr(builder.add(address, at), byte)
        hints = [ir.Constant(_INT32, hint) for hint in (0, 3, 1)]
        _call(builder, "llvm.prefetch.p0i8", ir.VoidType(), [pointer, *hints])


@intrinsic
def _transpose(_typing: Any, kind: Any, rows: Any, d: Any, tile: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows at an address to `tile`, of shape (d, TILE); up to a vector of rows of zeros behind it is overwritten."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, rows, d, tile = arguments
        vectors = _rows_of(context, builder, signature)
        n = vectors.n
        low = [lane for i in range(n // 2) for lane in (i, n + i)]
        masks = [ir.Constant(ir.VectorType(_INT32, n), [lane + up for lane in low]) for up in (0, n // 2)]
        with _range(builder, _count(0), _count(TILE), n) as (row, _):
            first = builder.mul(row, d)
            ahead = builder.add(builder.mul(first, _count(vectors.bytes)), _count(_AHEAD_BYTES))
            _prefetch(builder, builder.add(rows, ahead), builder.mul(d, _count(n * vectors.bytes)))
            with _range(builder, _count(0), d, n) as (feature, _):
                at, left = builder.add(first, feature), builder.sub(d, feature)
                square = []
                for _ in range(n):
                    square.append(vectors.load_first(rows, at, left))
                    at = builder.add(at, d)
                # Each round turns the bits of (row, column) by one place: half of all rounds swap the two.
                for _ in range(n.bit_length() - 1):
                    square = [
                        builder.shuffle_vector(square[i // 2], square[(i + n) // 2], masks[i % 2]) for i in range(n)
                    ]
                out = builder.add(builder.mul(feature, _count(TILE)), row)
                for column, vector in enumerate(square):
                    vectors.store(vector, tile, builder.add(out, _count(column * TILE)))
        return context.get_dummy_value()

    return types.void(kind, types.intp, types.intp, types.intp), generate


@intrinsic
def _distances(
    _typing: Any, kind: Any, tile: Any, d: Any, k: Any, nearest: Any, second: Any, labels: Any, want: Any
) -> tuple[Any, Callable[..., Any]]:
    """Nearest distance and center of every row of a tile, and the second distance where wanted.

    `kind` is the array of centers as `packed` orders them; all others are addresses and sizes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        centers, tile, d, k, nearest, second, labels, want = arguments
        centers = context.make_array(signature.args[0])(context, builder, centers).data
        centers = builder.ptrtoint(centers, _INT64)
        vectors = _rows_of(context, builder, signature)
        numbers = _Vectors(builder, _INT32, vectors.n)
        n_held = 4 if _has_wide_registers(context) else 2
        with _range(builder, _count(0), _count(TILE), vectors.n) as (lane, _):
            vectors.store(vectors.of(np.inf), nearest, lane)
            vectors.store(vectors.of(np.inf), second, lane)
            numbers.store(numbers.of(0), labels, lane)
        wide = builder.mul(builder.sdiv(k, _count(CENTERS)), _count(CENTERS))
        for start, stop, n_centers in ((_count(0), wide, CENTERS), (wide, k, 1)):
            with _range(builder, start, stop, n_centers) as (center, _):
                coordinates = vectors.pointer(centers, builder.mul(center, d))
                coordinates = builder.ptrtoint(coordinates, _INT64)
                with _range(builder, _count(0), _count(TILE), n_held * vectors.n) as (lane, _):
                    found = _held_distances(vectors, tile, lane, coordinates, d, (n_held, n_centers))
                    for held, distances in enumerate(found):
                        at = builder.add(lane, _count(held * vectors.n))
                        with builder.if_then(want):
                            _keep_second(vectors, distances, nearest, second, at)
                        _keep_nearest(vectors, numbers, distances, nearest, labels, at, center)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 6, types.boolean), generate


def _held_distances(
    vectors: _Vectors, tile: Any, lane: Any, coordinates: Any, d: Any, shape: tuple[int, int]
) -> list[list[Any]]:
    """Squared distances of some vectors of rows to some centers, one feature after the other."""
    builder, (n_held, n_centers) = vectors.builder, shape
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    feature = builder.phi(_INT64)
    feature.add_incoming(_count(0), before)
    sums = [[builder.phi(vectors.type) for _ in range(n_centers)] for _ in range(n_held)]
    at = builder.add(builder.mul(feature, _count(TILE)), lane)
    rows = [vectors.load(tile, builder.add(at, _count(held * vectors.n))) for held in range(n_held)]
    first = builder.mul(feature, _count(n_centers))
    found: list[list[Any]] = [[] for _ in range(n_held)]
    for center in range(n_centers):
        coordinate = vectors.splat(builder.load(vectors.pointer(coordinates, builder.add(first, _count(center)))))
        for held in range(n_held):
            gap = builder.fsub(rows[held], coordinate)
            found[held].append(builder.fadd(sums[held][center], builder.fmul(gap, gap)))
    following = builder.add(feature, _count(1))
    feature.add_incoming(following, loop)
    for held in range(n_held):
        for total, added in zip(sums[held], found[held], strict=True):
            total.add_incoming(vectors.of(0.0), before)
            total.add_incoming(added, loop)
    builder.cbranch(builder.icmp_signed("<", following, d), loop, after)
    builder.position_at_end(after)
    return found


def _keep_second(vectors: _Vectors, distances: list[Any], nearest: Any, second: Any, at: Any) -> None:
    builder = vectors.builder
    best, other = vectors.load(nearest, at), vectors.load(second, at)
    for distance in distances:
        closer = builder.fcmp_ordered("<", distance, best)
        less = builder.select(builder.fcmp_ordered("<", distance, other), distance, other)
        other = builder.select(closer, best, less)
        best = builder.select(closer, distance, best)
    vectors.store(other, second, at)


def _keep_nearest(
    vectors: _Vectors, numbers: _Vectors, distances: list[Any], nearest: Any, labels: Any, at: Any, center: Any
) -> None:
    builder = vectors.builder
    best, label = vectors.load(nearest, at), numbers.load(labels, at)
    for place, distance in enumerate(distances):
        closer = builder.fcmp_ordered("<", distance, best)
        own = numbers.splat(builder.trunc(builder.add(center, _count(place)), _INT32))
        label = builder.select(closer, own, label)
        best = builder.select(closer, distance, best)
    vectors.store(best, nearest, at)
    numbers.store(label, labels, at)


@intrinsic
def _accumulate(
    _typing: Any, kind: Any, rows: Any, size: Any, d: Any, labels: Any, sums: Any, counts: Any
) -> tuple[Any, Callable[..., Any]]:
    """Add rows at an address to the float64 sums of their centers, and count them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, rows, size, d, labels, sums, counts = arguments
        vectors = _Vectors(builder, _rows_of(context, builder, signature).element, PADDED)
        doubles = _Vectors(builder, ir.DoubleType(), PADDED)
        numbers, totals = _Vectors(builder, _INT32, 1), _Vectors(builder, _INT64, 1)
        width = builder.and_(builder.add(d, _count(PADDED - 1)), _count(-PADDED))
        with _range(builder, _count(0), size, 1) as (row, _):
            label = builder.sext(builder.load(numbers.pointer(labels, row)), _INT64)
            count = totals.pointer(counts, label)
            builder.store(builder.add(builder.load(count), _count(1)), count)
            first, out = builder.mul(row, d), builder.mul(label, width)
            with _range(builder, _count(0), d, PADDED) as (feature, _):
                values = vectors.load_first(rows, builder.add(first, feature), builder.sub(d, feature))
                if vectors.element != doubles.element:
                    values = builder.fpext(values, doubles.type)
                at = builder.add(out, feature)
                doubles.store(builder.fadd(doubles.load(sums, at), values), sums, at)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 6), generate


@nb.njit(cache=True, nogil=True)
def pass_over(rows, n, tail, centers, d, k, tile, sums, counts, labels_out, nearest_out, second_out):  # type: ignore[no-untyped-def]
    """Assign n rows at an address and add them up; see `gpuseg.engine.cpu.lloyd` for the arrays."""
    nearest, second = np.empty(TILE, centers.dtype), np.empty(TILE, centers.dtype)
    labels, parts = np.empty(TILE, np.int32), np.zeros(_PARTS, np.float64)
    want = labels_out.size > 0
    for start in range(0, n, TILE):
        size = min(TILE, n - start)
        here = rows + start * d * centers.itemsize if size == TILE else tail.ctypes.data
        _transpose(centers, here, d, tile.ctypes.data)
        _distances(centers, tile.ctypes.data, d, k, nearest.ctypes.data, second.ctypes.data, labels.ctypes.data, want)
        _accumulate(centers, here, size, d, labels.ctypes.data, sums.ctypes.data, counts.ctypes.data)
        if want:
            for lane in range(size):
                labels_out[start + lane] = labels[lane]
                nearest_out[start + lane] = nearest[lane]
                second_out[start + lane] = second[lane]
        for lane in range(size, TILE):
            nearest[lane] = 0
        for lane in range(0, TILE, _PARTS):
            for part in range(_PARTS):
                parts[part] += np.float64(nearest[lane + part])
    inertia = 0.0
    for part in range(_PARTS):
        inertia += parts[part]
    return inertia
