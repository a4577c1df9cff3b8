"""What `assign_accumulate` does to a tile of rows, written as vectors as long as the processor's registers.

A tile is transposed, so that the lanes of a vector are rows: several vectors of rows and several centers stay in
registers over all features. Nothing depends on the number of features, so everything is compiled once a type. Every
operation of distances and sums is rounded by itself and in a fixed order, so their bits are the same for any length of
a vector. Arguments are addresses and sizes, besides an array that gives the type.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gpuseg.engine.cpu.vectors import (
    INT32,
    INT64,
    Vectors,
    address_of,
    call,
    has_wide_registers,
    integer,
    prefetch,
    rows_of,
    span,
    turned,
)

TILE = 128
"""Rows at a time; a multiple of all rows that are held in registers."""

CENTERS = 4
"""Centers whose distances to the same rows are held in registers."""

PADDED = 8
"""Sums of a center take a multiple of as many numbers."""

_AHEAD_BYTES = 16_384


@intrinsic
def transpose(_typing: Any, kind: Any, rows: Any, d: Any, tile: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows at an address to `tile`, of shape (d, TILE); up to a vector of rows of zeros behind it is overwritten."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, rows, d, tile = arguments
        vectors, _ = rows_of(context, builder, signature)
        n = vectors.n
        with span(builder, integer(0), integer(TILE), n) as (row, _):
            first = builder.mul(row, d)
            ahead = builder.add(builder.mul(first, integer(vectors.bytes)), integer(_AHEAD_BYTES))
            prefetch(builder, builder.add(rows, ahead), builder.mul(d, integer(n * vectors.bytes)))
            with span(builder, integer(0), d, n) as (feature, _):
                at, left = builder.add(first, feature), builder.sub(d, feature)
                square = []
                for _ in range(n):
                    square.append(vectors.load_first(rows, at, left))
                    at = builder.add(at, d)
                out = builder.add(builder.mul(feature, integer(TILE)), row)
                for column, vector in enumerate(turned(vectors, square)):
                    vectors.store(vector, tile, builder.add(out, integer(column * TILE)))
        return context.get_dummy_value()

    return types.void(kind, types.intp, types.intp, types.intp), generate


@intrinsic
def move(_typing: Any, kind: Any, tile: Any, d: Any, moved: Any, squares: Any) -> tuple[Any, Callable[..., Any]]:
    """A tile less one row, which is `kind`, and the squared lengths of its rows then."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shift, tile, d, moved, squares = arguments
        vectors, _ = rows_of(context, builder, signature)
        coordinates = address_of(context, builder, signature.args[0], shift)
        lanes = [integer(lane) for lane in range(0, TILE, vectors.n)]
        for lane in lanes:
            vectors.store(vectors.of(0.0), squares, lane)
        with span(builder, integer(0), d, 1) as (feature, _):
            by = vectors.splat(builder.load(vectors.pointer(coordinates, feature)))
            for lane in lanes:
                at = builder.add(builder.mul(feature, integer(TILE)), lane)
                value = builder.fsub(vectors.load(tile, at), by)
                vectors.store(value, moved, at)
                total = builder.fadd(vectors.load(squares, lane), builder.fmul(value, value))
                vectors.store(total, squares, lane)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 4), generate


@intrinsic
def distances(
    _typing: Any, kind: Any, tile: Any, d: Any, k: Any, nearest: Any, second: Any, labels: Any, want: Any
) -> tuple[Any, Callable[..., Any]]:
    """Nearest distance and center of every row of a tile, and the second distance where wanted.

    `kind` is the array of centers as `packed` orders them; all others are addresses and sizes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        centers, tile, d, k, nearest, second, labels, want = arguments
        vectors, numbers = rows_of(context, builder, signature)

        def squared_gap(row: Any, coordinate: Any, total: Any) -> Any:
            gap = builder.fsub(row, coordinate)
            return builder.fadd(total, builder.fmul(gap, gap))

        def keep(found: list[Any], at: Any, center: Any) -> None:
            with builder.if_then(want):
                _keep_second(vectors, "<", found, nearest, second, at)
            _keep_best(vectors, numbers, "<", found, nearest, labels, at, center)

        _reset(vectors, numbers, np.inf, nearest, second, labels)
        coordinates = address_of(context, builder, signature.args[0], centers)
        _for_all_centers(context, vectors, (tile, coordinates, None), (d, k), squared_gap, keep)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 6, types.boolean), generate


@intrinsic
def scores(
    _typing: Any, kind: Any, tile: Any, d: Any, k: Any, halves: Any, best: Any, second: Any, labels: Any
) -> tuple[Any, Callable[..., Any]]:
    """The two largest products of every row with a center, less half the center's square, and the center.

    Half the work of `distances`, but off by rounding. `halves` has minus half the square of each center.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        centers, tile, d, k, halves, best, second, labels = arguments
        vectors, numbers = rows_of(context, builder, signature)
        fused = f"llvm.fmuladd.v{vectors.n}f{8 * vectors.bytes}"

        def product(row: Any, coordinate: Any, total: Any) -> Any:
            return call(builder, fused, vectors.type, [row, coordinate, total])

        def keep(found: list[Any], at: Any, center: Any) -> None:
            _keep_second(vectors, ">", found, best, second, at)
            _keep_best(vectors, numbers, ">", found, best, labels, at, center)

        _reset(vectors, numbers, -np.inf, best, second, labels)
        coordinates = address_of(context, builder, signature.args[0], centers)
        _for_all_centers(context, vectors, (tile, coordinates, halves), (d, k), product, keep)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 7), generate


def _reset(vectors: Vectors, numbers: Vectors, worst: float, best: Any, second: Any, labels: Any) -> None:
    with span(vectors.builder, integer(0), integer(TILE), vectors.n) as (lane, _):
        vectors.store(vectors.of(worst), best, lane)
        vectors.store(vectors.of(worst), second, lane)
        numbers.store(numbers.of(0), labels, lane)


def _for_all_centers(
    context: Any,
    vectors: Vectors,
    addresses: tuple[Any, Any, Any],
    size: tuple[Any, Any],
    term: Callable[[Any, Any, Any], Any],
    keep: Callable[[list[Any], Any, Any], None],
) -> None:
    """Add up a term of every row and center over the features, and hand on what comes out for a vector of rows."""
    builder, (tile, coordinates, starts), (d, k) = vectors.builder, addresses, size
    n_held = 4 if has_wide_registers(context) else 2
    wide = builder.mul(builder.sdiv(k, integer(CENTERS)), integer(CENTERS))
    for start, stop, n_centers in ((integer(0), wide, CENTERS), (wide, k, 1)):
        with span(builder, start, stop, n_centers) as (center, _):
            own = builder.ptrtoint(vectors.pointer(coordinates, builder.mul(center, d)), INT64)
            with span(builder, integer(0), integer(TILE), n_held * vectors.n) as (lane, _):
                begun = [vectors.of(0.0)] * n_centers
                if starts is not None:
                    places = [builder.add(center, integer(i)) for i in range(n_centers)]
                    begun = [vectors.splat(builder.load(vectors.pointer(starts, place))) for place in places]
                found = _held(vectors, (tile, lane, own), d, n_held, begun, term)
                for held, values in enumerate(found):
                    keep(values, builder.add(lane, integer(held * vectors.n)), center)


def _held(
    vectors: Vectors,
    places: tuple[Any, Any, Any],
    d: Any,
    n_held: int,
    begun: list[Any],
    term: Callable[[Any, Any, Any], Any],
) -> list[list[Any]]:
    """Sums over features of some vectors of rows with some centers, all of them in registers."""
    builder, (tile, lane, coordinates), n_centers = vectors.builder, places, len(begun)
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    feature = builder.phi(INT64)
    feature.add_incoming(integer(0), before)
    sums = [[builder.phi(vectors.type) for _ in begun] for _ in range(n_held)]
    at = builder.add(builder.mul(feature, integer(TILE)), lane)
    rows = [vectors.load(tile, builder.add(at, integer(held * vectors.n))) for held in range(n_held)]
    first = builder.mul(feature, integer(n_centers))
    found: list[list[Any]] = [[] for _ in range(n_held)]
    for center in range(n_centers):
        coordinate = vectors.splat(builder.load(vectors.pointer(coordinates, builder.add(first, integer(center)))))
        for held in range(n_held):
            found[held].append(term(rows[held], coordinate, sums[held][center]))
    following = builder.add(feature, integer(1))
    feature.add_incoming(following, loop)
    for held in range(n_held):
        for total, start, added in zip(sums[held], begun, found[held], strict=True):
            total.add_incoming(start, before)
            total.add_incoming(added, loop)
    builder.cbranch(builder.icmp_signed("<", following, d), loop, after)
    builder.position_at_end(after)
    return found


def _keep_second(vectors: Vectors, order: str, values: list[Any], best: Any, second: Any, at: Any) -> None:
    builder = vectors.builder
    first, other = vectors.load(best, at), vectors.load(second, at)
    for value in values:
        better = builder.fcmp_ordered(order, value, first)
        nearer = builder.select(builder.fcmp_ordered(order, value, other), value, other)
        other = builder.select(better, first, nearer)
        first = builder.select(better, value, first)
    vectors.store(other, second, at)


def _keep_best(
    vectors: Vectors, numbers: Vectors, order: str, values: list[Any], best: Any, labels: Any, at: Any, center: Any
) -> None:
    builder = vectors.builder
    first, label = vectors.load(best, at), numbers.load(labels, at)
    for place, value in enumerate(values):
        better = builder.fcmp_ordered(order, value, first)
        own = numbers.splat(builder.trunc(builder.add(center, integer(place)), INT32))
        label = builder.select(better, own, label)
        first = builder.select(better, value, first)
    vectors.store(first, best, at)
    numbers.store(label, labels, at)


@intrinsic
def own_distances(
    _typing: Any, kind: Any, tile: Any, d: Any, labels: Any, nearest: Any
) -> tuple[Any, Callable[..., Any]]:
    """Distance of every row of a tile to the center of its label; `kind` is the array of centers, one after another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        centers, tile, d, labels, nearest = arguments
        vectors, numbers = rows_of(context, builder, signature)
        coordinates = address_of(context, builder, signature.args[0], centers)
        n = vectors.n
        with span(builder, integer(0), integer(TILE), n) as (lane, _):
            vectors.store(vectors.of(0.0), nearest, lane)
            own = [builder.load(numbers.pointer(labels, builder.add(lane, integer(i)))) for i in range(n)]
            places = [builder.mul(builder.sext(label, INT64), d) for label in own]
            with span(builder, integer(0), d, n) as (feature, _):
                left = builder.sub(d, feature)
                square = [vectors.load_first(coordinates, builder.add(place, feature), left) for place in places]
                total = vectors.load(nearest, lane)
                at = builder.add(builder.mul(feature, integer(TILE)), lane)
                # Behind the last feature both are zero, which changes no bit of the sum.
                for i, column in enumerate(turned(vectors, square)):
                    gap = builder.fsub(vectors.load(tile, builder.add(at, integer(i * TILE))), column)
                    total = builder.fadd(total, builder.fmul(gap, gap))
                vectors.store(total, nearest, lane)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 4), generate


@intrinsic
def accumulate(
    _typing: Any, kind: Any, rows: Any, size: Any, d: Any, labels: Any, sums: Any, counts: Any
) -> tuple[Any, Callable[..., Any]]:
    """Add rows at an address to the float64 sums of their centers, and count them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, rows, size, d, labels, sums, counts = arguments
        vectors = Vectors(builder, rows_of(context, builder, signature)[0].element, PADDED)
        doubles = Vectors(builder, ir.DoubleType(), PADDED)
        numbers, totals = Vectors(builder, INT32, 1), Vectors(builder, INT64, 1)
        width = builder.and_(builder.add(d, integer(PADDED - 1)), integer(-PADDED))
        with span(builder, integer(0), size, 1) as (row, _):
            label = builder.sext(builder.load(numbers.pointer(labels, row)), INT64)
            count = totals.pointer(counts, label)
            builder.store(builder.add(builder.load(count), integer(1)), count)
            first, out = builder.mul(row, d), builder.mul(label, width)
            with span(builder, integer(0), d, PADDED) as (feature, _):
                values = vectors.load_first(rows, builder.add(first, feature), builder.sub(d, feature))
                if vectors.element != doubles.element:
                    values = builder.fpext(values, doubles.type)
                at = builder.add(out, feature)
                doubles.store(builder.fadd(doubles.load(sums, at), values), sums, at)
        return context.get_dummy_value()

    return types.void(kind, *[types.intp] * 6), generate
