"""`aggregate` on the CPU: all rows of one bucket to the state tables that are kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.cpu.cells import day_cells, distinct_orders, group_by_rank, sum_overflows
from gpuseg.engine.cpu.ranks import rank_ids
from gpuseg.errors import InvalidValueError


def aggregate_purchases(events: Mapping[str, pa.Table], categories: Sequence[str]) -> dict[str, pa.Table]:
    """Reduce the purchase lines of one bucket.

    Parameters
    ----------
    events : mapping of source name to Arrow table
        Columns `profile_id`, `at_us`, `day`, `amount_minor` and, where the source has them, `order_id` and
        `category` (int32 code into `categories`, -1 for none).
    categories : sequence of str
        What the codes stand for.

    Returns
    -------
    dict of Arrow tables
        "purchases.cells": one row per (profile, day, category) with `n_lines`, `amount_minor`, `first_us`,
        `last_us`. "purchases.orders": one row per (profile, source, order) with the day of its first line; an order
        without an id is the distinct time `order_us`.
    """
    sources = sorted(events)
    lines = pa.concat_tables([_lines(events[source]) for source in sources])
    ranks, profiles = rank_ids(lines["profile_id"])
    order, offsets = group_by_rank(ranks, len(profiles))
    category_ranks, names = _category_ranks(lines["category"], categories)
    day, amount = lines["day"].to_numpy(), lines["amount_minor"].to_numpy()
    at_us = lines["at_us"].to_numpy()
    if sum_overflows(amount):
        raise InvalidValueError(
            f"{', '.join(sources)}: the amounts add up to more than 2^63 minor units; lower run.amount_scale"
        )
    cells = day_cells(order, offsets, day, category_ranks, at_us, amount)
    return {
        "purchases.cells": _cell_table(cells, profiles, names),
        "purchases.orders": _order_table(events, sources, ranks, profiles),
    }


def _lines(table: pa.Table) -> pa.Table:
    columns = {name: table[name] for name in ("profile_id", "at_us", "day", "amount_minor")}
    if "category" in table.column_names:
        columns["category"] = table["category"]
    else:
        columns["category"] = pa.array(np.full(table.num_rows, -1, np.int32))
    return pa.table(columns)


def _category_ranks(codes: pa.ChunkedArray, categories: Sequence[str]) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Codes to ranks by UTF-8 bytes, so that the order of cells does not follow the order of arrival."""
    names = pa.array(categories, pa.string())
    order = pc.sort_indices(names)
    # One extra entry at the end makes code -1 find rank -1.
    rank_of_code = np.full(len(names) + 1, -1, np.int32)
    rank_of_code[order.to_numpy()] = np.arange(len(names), dtype=np.int32)
    return rank_of_code[codes.to_numpy()], names.take(order)


def _cell_table(cells: tuple[Any, ...], profiles: pa.Array, names: pa.Array) -> pa.Table:
    profile, day, category, n_lines, amount_minor, first_us, last_us = cells
    return pa.table(
        {
            "profile_id": profiles.take(pa.array(profile)),
            "day": pa.array(day),
            "category": pa.DictionaryArray.from_arrays(pa.array(category, mask=category < 0), names),
            "n_lines": pa.array(n_lines),
            "amount_minor": pa.array(amount_minor),
            "first_us": pa.array(first_us),
            "last_us": pa.array(last_us),
        }
    )


def _order_table(
    events: Mapping[str, pa.Table], sources: Sequence[str], ranks: npt.NDArray[np.int32], profiles: pa.Array
) -> pa.Table:
    pieces = []
    start = 0
    for number, source in enumerate(sources):
        table = events[source]
        mine = ranks[start : start + table.num_rows]
        start += table.num_rows
        pieces.extend(_orders_of(table, mine, len(profiles), number))
    rank = np.concatenate([piece["rank"].to_numpy() for piece in pieces])
    merged = pa.concat_tables(pieces, promote_options="permissive")
    if len(pieces) > 1:
        # Pieces come in (source, id before time) order, so a stable sort by profile keeps that order inside one.
        by_profile = np.argsort(rank, kind="stable")
        merged, rank = merged.take(pa.array(by_profile)), rank[by_profile]
    columns = {"profile_id": profiles.take(pa.array(rank))}
    columns["source"] = pa.DictionaryArray.from_arrays(
        merged["source"].combine_chunks(), pa.array(sources, pa.string())
    )
    columns |= {name: merged[name] for name in ("order_id", "order_us", "day")}
    return pa.table(columns)


def _orders_of(table: pa.Table, ranks: npt.NDArray[np.int32], n_profiles: int, source: int) -> list[pa.Table]:
    """Orders of one source: those with an id, then those that are a distinct time."""
    day, at_us = table["day"].to_numpy(), table["at_us"].to_numpy()
    if "order_id" not in table.column_names:
        return [_distinct_table(ranks, n_profiles, at_us, day, source, None)]
    ids = table["order_id"].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    missing = ids.is_null().to_numpy(zero_copy_only=False) if ids.null_count else np.zeros(len(ids), np.bool_)
    pieces = []
    for mask, by_time in ((~missing, False), (missing, True)):
        if not mask.any():
            continue
        everything = bool(mask.all())
        rank, days = (ranks, day) if everything else (ranks[mask], day[mask])
        if by_time:
            pieces.append(_distinct_table(rank, n_profiles, at_us[mask], days, source, None))
            continue
        present = ids if everything else ids.filter(pa.array(mask))
        keys, names = _order_keys(present)
        pieces.append(_distinct_table(rank, n_profiles, keys, days, source, names))
    return pieces


def _order_keys(ids: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Integers that sort as the ids do, and the ids they stand for (an empty int64 array: themselves)."""
    if pa.types.is_integer(ids.type):
        return ids.to_numpy(), pa.array([], pa.int64())
    ranks, names = rank_ids(ids)
    return ranks.astype(np.int64), names


def _distinct_table(
    ranks: npt.NDArray[np.int32],
    n_profiles: int,
    keys: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    source: int,
    names: pa.Array | None,
) -> pa.Table:
    order, offsets = group_by_rank(ranks, n_profiles)
    profile, key, first_day = distinct_orders(order, offsets, keys, day)
    nothing = pa.nulls(len(key))
    if names is None:
        order_id, order_us = nothing, pa.array(key)
    elif pa.types.is_integer(names.type):
        order_id, order_us = pa.array(key), nothing
    else:
        order_id, order_us = names.take(pa.array(key)), nothing
    return pa.table(
        {
            "rank": pa.array(profile),
            "source": pa.array(np.full(len(key), source, np.int32)),
            "order_id": order_id,
            "order_us": order_us,
            "day": pa.array(first_day),
        }
    )


def attribute_rows(source: str, rows: pa.Table) -> pa.Table:
    """The CRM rows of one bucket, ordered by profile.

    Parameters
    ----------
    source : str
        Name of the source, for messages.
    rows : Arrow table
        `profile_id`, attributes, and `file` (text) and `row` (int64), the place of each row.

    Returns
    -------
    Arrow table
        Without the places.

    Raises
    ------
    InvalidValueError
        If a profile has more than one row; names both places.
    """
    ranks, profiles = rank_ids(rows["profile_id"])
    order = np.argsort(ranks, kind="stable")
    if len(profiles) < rows.num_rows:
        ordered = ranks[order]
        at = int(np.argmax(ordered[1:] == ordered[:-1]))
        places = sorted((rows["file"][int(row)].as_py(), rows["row"][int(row)].as_py()) for row in order[at : at + 2])
        first, second = (f"{file}, row {row}" for file, row in places)
        raise InvalidValueError(
            f"{source}: {first} and {second} describe the same profile; a crm source needs one row per profile"
        )
    return rows.drop_columns(["file", "row"]).take(pa.array(order))
