"""`aggregate` on the CPU: all rows of one bucket to the state tables that are kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen, text_arrow
from gpuseg.engine.cpu.cells import day_cells, distinct_orders
from gpuseg.engine.cpu.ranks import rank_ids
from gpuseg.errors import InvalidValueError

# Columns beside the attributes, under names that no configuration can give.
PLACE_FILE, PLACE_ROW = "\0file", "\0row"


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
        without an id is the distinct time `order_us`. "profiles": the distinct profiles, and whether each source
        knows them.
    """
    sources = sorted(events)
    lines = pa.concat_tables([_lines(events[source]) for source in sources])
    ranks, profiles = rank_ids(lines["profile_id"])
    category_ranks, names = _category_ranks(lines["category"], categories)
    day, amount = as_numpy(lines["day"]), as_numpy(lines["amount_minor"])
    at_us = as_numpy(lines["at_us"])
    *cells, overflow = day_cells(ranks, len(profiles), day, category_ranks, at_us, amount.reshape(1, -1))
    if overflow:
        raise InvalidValueError(
            f"{', '.join(sources)}: the amounts of one profile add up to more than 2^63 minor units; "
            "lower run.amount_scale"
        )
    spans = _spans(events, sources)
    return {
        "purchases.cells": _cell_table(cells, profiles, names),
        "purchases.orders": _order_table(events, spans, ranks, profiles),
        "profiles": _presence(spans, ranks, profiles),
    }


def _lines(table: pa.Table) -> pa.Table:
    columns = {name: table[name] for name in ("profile_id", "at_us", "day", "amount_minor")}
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


def _cell_table(cells: tuple[Any, ...], profiles: pa.Array, names: pa.Array) -> pa.Table:
    profile, day, category, n_lines, first_us, last_us, (amount_minor,) = cells
    return pa.table(
        {
            "profile_id": profiles.take(as_arrow(profile)),
            "day": as_arrow(day),
            "category": pa.DictionaryArray.from_arrays(as_arrow(category, category < 0), names),
            "n_lines": as_arrow(n_lines),
            "amount_minor": as_arrow(amount_minor),
            "first_us": as_arrow(first_us),
            "last_us": as_arrow(last_us),
        }
    )


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
    events: Mapping[str, pa.Table],
    spans: Mapping[str, slice],
    ranks: npt.NDArray[np.int32],
    profiles: pa.Array,
) -> pa.Table:
    pieces = []
    for number, (source, span) in enumerate(spans.items()):
        pieces.extend(_orders_of(events[source], ranks[span], len(profiles), number))
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


def _orders_of(table: pa.Table, ranks: npt.NDArray[np.int32], n_profiles: int, source: int) -> list[pa.Table]:
    """Orders of one source: those with an id, then those that are a distinct time."""
    day, at_us = as_numpy(table["day"]), as_numpy(table["at_us"])
    if "order_id" not in table.column_names:
        return [_distinct_table(ranks, n_profiles, at_us, day, source, None)]
    ids = table["order_id"].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    if not ids.null_count:
        keys, names = _order_keys(ids)
        return [_distinct_table(ranks, n_profiles, keys, day, source, names)]
    missing = as_numpy(ids.is_null())
    pieces = []
    if not missing.all():
        keys, names = _order_keys(ids.drop_null())
        pieces.append(_distinct_table(ranks[~missing], n_profiles, keys, frozen(day[~missing]), source, names))
    times, days = frozen(at_us[missing]), frozen(day[missing])
    pieces.append(_distinct_table(ranks[missing], n_profiles, times, days, source, None))
    return pieces


def _order_keys(ids: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Integers that sort as the ids do, and the ids they stand for (an empty int64 array: themselves)."""
    if pa.types.is_integer(ids.type):
        return as_numpy(ids), pa.nulls(0, pa.int64())
    ranks, names = rank_ids(ids)
    return frozen(ranks.astype(np.int64)), names


def _distinct_table(
    ranks: npt.NDArray[np.int32],
    n_profiles: int,
    keys: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    source: int,
    names: pa.Array | None,
) -> pa.Table:
    profile, key, first_day = distinct_orders(ranks, n_profiles, keys, day)
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


def attribute_rows(source: str, rows: pa.Table) -> dict[str, pa.Table]:
    """Order the CRM rows of one source and bucket by profile.

    Parameters
    ----------
    source : str
        Name of the source, for messages.
    rows : Arrow table
        `profile_id`, attributes, and `PLACE_FILE` (text) and `PLACE_ROW` (int64), the place of each row.

    Returns
    -------
    dict of Arrow tables
        "SOURCE.attributes" without the places, and "profiles".

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
        places = sorted(
            (rows[PLACE_FILE][int(row)].as_py(), rows[PLACE_ROW][int(row)].as_py()) for row in order[at : at + 2]
        )
        first, second = (f"{file}, row {row}" for file, row in places)
        raise InvalidValueError(
            f"{source}: {first} and {second} describe the same profile; a crm source needs one row per profile"
        )
    return {
        f"{source}.attributes": rows.drop_columns([PLACE_FILE, PLACE_ROW]).take(as_arrow(order)),
        "profiles": pa.table({"profile_id": profiles, f"in_{source}": as_arrow(np.ones(len(profiles), np.bool_))}),
    }
