"""`aggregate` on the CPU: all rows of one bucket to the state tables that are kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen, text_arrow
from gpuseg.engine.cpu.cells import category_counts, day_cells, distinct_orders
from gpuseg.engine.cpu.ranks import rank_ids
from gpuseg.engine.cpu.sessions import sessions
from gpuseg.errors import InvalidValueError
from gpuseg.vocabulary import Kind


@dataclass(frozen=True)
class Kernels:
    """What does the work on arrays in host memory; the defaults are the compiled ones.

    Parameters
    ----------
    rank_ids, day_cells, distinct_orders : callable
        With the parameters and results of the functions of these names in `engine.cpu`.
    """

    rank_ids: Callable[..., Any] = rank_ids
    day_cells: Callable[..., Any] = day_cells
    distinct_orders: Callable[..., Any] = distinct_orders


_COMPILED = Kernels()


def aggregate_events(
    kind: Kind, events: Mapping[str, pa.Table], categories: Sequence[str], *, kernels: Kernels = _COMPILED
) -> dict[str, pa.Table]:
    """Reduce the events of one kind in one bucket.

    Parameters
    ----------
    kind : Kind
    events : mapping of source name to Arrow table
        Columns `profile_id`, `at_us`, `day`, the kind's measures and, where the source has them, `order_id` and
        `category` (int32 code into `categories`, -1 for none).
    categories : sequence of str
        What the codes stand for.
    kernels : Kernels

    Returns
    -------
    dict of Arrow tables
        "KIND.cells": one row per (profile, day, category) with `n_lines`, the sums of the measures, `first_us` and
        `span_us`, the time from the first to the last line. "KIND.orders", where the kind has orders: one row per
        (profile, source, order) with the day of its first line; an order without an id is the distinct time
        `order_us`. "KIND.sessions", where it has sessions: one row a session with the day of its first line.
        "profiles": the distinct profiles, and whether each source knows them. "categories": each category that a cell
        has, with `n_lines` and `n_profiles`.

    Raises
    ------
    InvalidValueError
        If a measure of one profile could add up past int64.
    """
    sources = sorted(events)
    lines = pa.concat_tables([_lines(kind, events[source]) for source in sources])
    ranks, profiles = kernels.rank_ids(lines["profile_id"])
    category_ranks, names = _category_ranks(lines["category"], categories)
    day, at_us = as_numpy(lines["day"]), as_numpy(lines["at_us"])
    measures = [as_numpy(lines[measure.name]) for measure in kind.measures]
    stacked = measures[0].reshape(1, -1) if len(measures) == 1 else frozen(np.stack(measures))
    *cells, overflow = kernels.day_cells(ranks, len(profiles), day, category_ranks, at_us, stacked)
    if overflow:
        advice = "; lower run.amount_scale" if kind.has_orders else ""
        raise InvalidValueError(f"{', '.join(sources)}: the figures of one profile add up to more than 2^63{advice}")
    spans = _spans(events, sources)
    tables = {f"{kind.name}.cells": _cell_table(kind, cells, profiles, names)}
    if kind.has_orders:
        tables[f"{kind.name}.orders"] = _order_table(kernels, events, spans, ranks, profiles, day, at_us)
    if kind.sessions is not None:
        found = {name: rank for rank, name in enumerate(names.to_pylist())}
        classes = [found.get(name, -1) for name in kind.class_order]
        tables[f"{kind.name}.sessions"] = _session_table(kind, classes, category_ranks, ranks, profiles, day, at_us)
    if kind.category is not None:
        tables["categories"] = _category_table(cells, names)
    return tables | {"profiles": _presence(spans, ranks, profiles)}


def _lines(kind: Kind, table: pa.Table) -> pa.Table:
    names = ("profile_id", "at_us", "day", *(measure.name for measure in kind.measures))
    columns = {name: table[name] for name in names}
    if "category" in table.column_names:
        columns["category"] = table["category"]
    else:
        columns["category"] = as_arrow(np.full(table.num_rows, -1, np.int32))
    return pa.table(columns)


def _category_ranks(codes: pa.ChunkedArray, categories: Sequence[str]) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Codes to ranks by UTF-8 bytes, so that the order of cells does not follow the order of arrival."""
    names = text_arrow(categories)
    order = pc.sort_indices(names)
    # One extra entry at the end makes code -1 find rank -1.
    rank_of_code = np.full(len(names) + 1, -1, np.int32)
    rank_of_code[as_numpy(order)] = np.arange(len(names), dtype=np.int32)
    return rank_of_code.take(as_numpy(codes)), names.take(order)


def _cell_table(kind: Kind, cells: Sequence[Any], profiles: pa.Array, names: pa.Array) -> pa.Table:
    profile, day, category, n_lines, first_us, last_us, sums = cells
    columns = {"profile_id": profiles.take(as_arrow(profile)), "day": as_arrow(day)}
    if kind.category is not None:
        columns["category"] = pa.DictionaryArray.from_arrays(as_arrow(category, category < 0), names)
    columns["n_lines"] = as_arrow(n_lines)
    columns |= {measure.name: as_arrow(values) for measure, values in zip(kind.measures, sums, strict=True)}
    # Most cells hold one line, so spans pack far better than a second instant.
    return pa.table(columns | {"first_us": as_arrow(first_us), "span_us": as_arrow(last_us - first_us)})


def _category_table(cells: Sequence[Any], names: pa.Array) -> pa.Table:
    profile, _, category, lines, *_ = cells
    n_lines, n_profiles = category_counts(profile, category, lines, len(names))
    known = as_arrow(n_lines > 0)
    counts = {"n_lines": as_arrow(n_lines), "n_profiles": as_arrow(n_profiles)}
    return pa.table({"category": names, **counts}).filter(known)


def _session_table(
    kind: Kind,
    classes: Sequence[int],
    category_ranks: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
    profiles: pa.Array,
    day: npt.NDArray[np.int32],
    at_us: npt.NDArray[np.int64],
) -> pa.Table:
    """Sessions with `span_us`, `depth` (place of the latest class in the kind's order) and a 0 or 1 for each flag.

    `classes` are the ranks of the kind's classes among all categories, -1 for one that no row has.
    """
    assert kind.sessions is not None
    bit_of_rank = np.zeros(max(int(category_ranks.max(initial=0)), *classes) + 1, np.int64)
    for bit, rank in enumerate(classes):
        if rank >= 0:
            bit_of_rank[rank] = 1 << bit
    marks = frozen(bit_of_rank.take(category_ranks))
    profile, first_day, n_lines, first_us, last_us, found = sessions(
        ranks, len(profiles), day, at_us, marks, kind.sessions.gap_us
    )
    columns = {"profile_id": profiles.take(as_arrow(profile)), "day": as_arrow(first_day), "n_lines": as_arrow(n_lines)}
    columns |= {"first_us": as_arrow(first_us), "span_us": as_arrow(last_us - first_us)}
    depth = np.zeros(found.size, np.int64)
    for bit in range(len(classes)):
        depth[found >> bit > 0] = bit
    columns["depth"] = as_arrow(depth)
    for name, wanted in kind.sessions.flags.items():
        bits = sum(1 << kind.class_order.index(word) for word in wanted)
        columns[name] = as_arrow((found & bits > 0).astype(np.int64))
    return pa.table(columns)


def _spans(events: Mapping[str, pa.Table], sources: Sequence[str]) -> dict[str, slice]:
    """Where the rows of each source lie among the rows of all."""
    spans, start = {}, 0
    for source in sources:
        spans[source] = slice(start, start + events[source].num_rows)
        start += events[source].num_rows
    return spans


def _presence(spans: Mapping[str, slice], ranks: npt.NDArray[np.int32], profiles: pa.Array) -> pa.Table:
    columns = {"profile_id": profiles}
    for source, span in spans.items():
        known = np.zeros(len(profiles), np.bool_)
        known[ranks[span]] = True
        columns[f"in_{source}"] = as_arrow(known)
    return pa.table(columns)


def _order_table(
    kernels: Kernels,
    events: Mapping[str, pa.Table],
    spans: Mapping[str, slice],
    ranks: npt.NDArray[np.int32],
    profiles: pa.Array,
    day: npt.NDArray[np.int32],
    at_us: npt.NDArray[np.int64],
) -> pa.Table:
    pieces = []
    for number, (source, span) in enumerate(spans.items()):
        pieces.extend(_orders_of(kernels, events[source], ranks[span], len(profiles), number, day[span], at_us[span]))
    rank = np.concatenate([as_numpy(piece["rank"]) for piece in pieces])
    merged = pa.concat_tables(pieces, promote_options="permissive")
    if len(pieces) > 1:
        # Pieces come in (source, id before time) order, so a stable sort by profile keeps that order inside one.
        by_profile = np.argsort(rank, kind="stable")
        merged, rank = merged.take(as_arrow(by_profile)), rank[by_profile]
    columns = {"profile_id": profiles.take(as_arrow(rank))}
    columns["source"] = pa.DictionaryArray.from_arrays(merged["source"].combine_chunks(), text_arrow(list(spans)))
    columns |= {name: merged[name] for name in ("order_id", "order_us", "day")}
    return pa.table(columns)


def _orders_of(
    kernels: Kernels,
    table: pa.Table,
    ranks: npt.NDArray[np.int32],
    n_profiles: int,
    source: int,
    day: npt.NDArray[np.int32],
    at_us: npt.NDArray[np.int64],
) -> list[pa.Table]:
    """Orders of one source: those with an id, then those that are a distinct time."""
    if "order_id" not in table.column_names:
        return [_distinct_table(kernels, ranks, n_profiles, at_us, day, source, None)]
    ids = table["order_id"].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    if not ids.null_count:
        keys, names = _order_keys(kernels, ids)
        return [_distinct_table(kernels, ranks, n_profiles, keys, day, source, names)]
    missing = as_numpy(ids.is_null())
    pieces = []
    if not missing.all():
        keys, names = _order_keys(kernels, ids.drop_null())
        pieces.append(_distinct_table(kernels, ranks[~missing], n_profiles, keys, frozen(day[~missing]), source, names))
    times, days = frozen(at_us[missing]), frozen(day[missing])
    pieces.append(_distinct_table(kernels, ranks[missing], n_profiles, times, days, source, None))
    return pieces


def _order_keys(kernels: Kernels, ids: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Integers that sort as the ids do, and the ids they stand for (an empty int64 array: themselves)."""
    if pa.types.is_integer(ids.type):
        return as_numpy(ids), pa.nulls(0, pa.int64())
    ranks, names = kernels.rank_ids(ids)
    return frozen(ranks.astype(np.int64)), names


def _distinct_table(
    kernels: Kernels,
    ranks: npt.NDArray[np.int32],
    n_profiles: int,
    keys: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    source: int,
    names: pa.Array | None,
) -> pa.Table:
    profile, key, first_day = kernels.distinct_orders(ranks, n_profiles, keys, day)
    nothing = pa.nulls(len(key))
    if names is None:
        order_id, order_us = nothing, as_arrow(key)
    elif pa.types.is_integer(names.type):
        order_id, order_us = as_arrow(key), nothing
    else:
        order_id, order_us = names.take(as_arrow(key)), nothing
    return pa.table(
        {
            "rank": as_arrow(profile),
            "source": as_arrow(np.full(len(key), source, np.int32)),
            "order_id": order_id,
            "order_us": order_us,
            "day": as_arrow(first_day),
        }
    )
