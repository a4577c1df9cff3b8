"""Every mistake a person can make gets one line, an exit code, and leaves the last good version as it was.

All cases run beside a committed version and under `--json`, so each checks the line on stderr, the object on stdout,
the exit code, that no id or value of the data is repeated, and that nothing is left behind.
"""

import csv
import datetime as dt
import decimal
import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.shop import (
    INT_ID,
    N_ROWS,
    TEXT_ID,
    Command,
    Rows,
    Shop,
    Told,
    csv_text,
    parquet_bytes,
    rows,
)

# Parts of every id and of the values that the cases plant; none may ever be printed.
VALUE, WORD = "31337.4242", "Geheimware"
SECRETS = (TEXT_ID, "77001100", "31337", WORD)
BAD_ROW = 5
EXIT = {
    "gate-failed": 1,
    "config": 2,
    "data": 3,
    "schema": 3,
    "invalid-value": 3,
    "empty-data": 3,
    "clustering": 3,
    "device-unavailable": 4,
    "workspace": 4,
    "integrity": 5,
}


@dataclass(frozen=True)
class Case:
    """One mistake: what it changes, the code of the error, and words that the line must hold."""

    change: Callable[[Shop], object]
    code: str
    words: tuple[str, ...]
    absent: tuple[str, ...] = ()
    # A stage after `validate` found it, so the version stays as a checkpoint for --resume.
    checkpoint: bool = False


def setting(path: str, value: Any, code: str = "config", *, words: tuple[str, ...], checkpoint: bool = False) -> Case:
    """A mistake in the configuration at a dotted path."""

    def change(shop: Shop) -> None:
        *parents, last = path.split(".")
        at: Any = shop.config
        for key in parents:
            at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
        at[last] = value

    return Case(change, code, words, checkpoint=checkpoint)


def cell(column: str, value: Any, *, code: str = "invalid-value", words: tuple[str, ...] = (), **extra: Any) -> Case:
    """One bad cell of a CSV file; the line names file, row and column."""

    def change(shop: Shop) -> None:
        content = rows()
        content[column][BAD_ROW - 1] = value
        shop.csv(content)

    return Case(change, code, ("orders.csv", f"row {BAD_ROW}", repr(column), *words), **extra)


def parquet_cell(column: str, value: Any, type_: pa.DataType | None = None, *, words: tuple[str, ...] = ()) -> Case:
    """One bad cell of a Parquet file."""

    def change(shop: Shop) -> None:
        content = rows(ids=int)
        if type_ is not None and pa.types.is_string(type_):
            content[column] = [str(v) for v in content[column]]
        content[column][BAD_ROW - 1] = value
        table = pa.table(content)
        if type_ is not None:
            table = table.set_column(table.schema.get_field_index(column), column, pa.array(content[column], type_))
        shop.parquet(table)

    return Case(change, "invalid-value", ("orders.parquet", f"row {BAD_ROW}", repr(column), *words))


def every_row(**columns: Any) -> Callable[[Shop], None]:
    """A CSV file with the same value in every row of some columns."""

    def change(shop: Shop) -> None:
        content = rows()
        for name, value in columns.items():
            content[name] = [value] * len(content[name])
        shop.csv(content)

    return change


def truncated_parquet(shop: Shop) -> None:
    content = parquet_bytes(rows(ids=int))
    shop.file("orders.parquet", content[: len(content) // 2])


def damaged_page(shop: Shop) -> None:
    content = bytearray(parquet_bytes(rows(ids=int)))
    content[4:400] = bytes(396)
    shop.file("orders.parquet", bytes(content))


def truncated_gzip(shop: Shop) -> None:
    content = gzip.compress(csv_text(rows()).encode())
    shop.file("orders.csv.gz", content[: len(content) // 2])


def two_id_types(shop: Shop) -> None:
    shop.parquet(rows(ids=int), "a.parquet")
    shop.parquet(rows(), "b.parquet")
    shop.source["uri"] = "*.parquet"


def crm_of_other_type(shop: Shop) -> None:
    shop.parquet(rows(ids=int))
    shop.crm(f"customer,region\n{TEXT_ID}-001,north\n")


def ragged(shop: Shop) -> None:
    lines = csv_text(rows()).splitlines()
    lines[BAD_ROW] += f",{WORD}"
    shop.csv("\n".join(lines) + "\n")


def short_row(shop: Shop) -> None:
    lines = csv_text(rows()).splitlines()
    lines[BAD_ROW] = lines[BAD_ROW].rpartition(",")[0]
    shop.csv("\n".join(lines) + "\n")


def no_header(shop: Shop) -> None:
    shop.csv("\n".join(csv_text(rows()).splitlines()[1:]) + "\n")


def repeated_cells_for_a_header(shop: Shop) -> None:
    shop.csv(f"{TEXT_ID}-001,2017-03-01,{WORD},{WORD},3\n" * 4)


def doubled_header(shop: Shop) -> None:
    shop.csv(csv_text(rows()).replace("ticket", "money", 1))


def unclosed_quote(shop: Shop) -> None:
    lines = csv_text(rows()).splitlines()
    lines[BAD_ROW] = f'"{lines[BAD_ROW]}'
    shop.csv("\n".join(lines) + "\n")


def duplicate_people(shop: Shop) -> None:
    shop.crm(f"customer,region\n{TEXT_ID}-001,north\n{TEXT_ID}-002,{WORD}\n{TEXT_ID}-001,{WORD}\n")


def duplicate_people_in_two_files(shop: Shop) -> None:
    (shop.folder / "people1.csv").write_text(f"customer,region\n{TEXT_ID}-001,north\n", encoding="utf-8")
    (shop.folder / "people2.csv").write_text(f"customer,region\n{TEXT_ID}-001,south\n", encoding="utf-8")
    shop.crm("customer,region\n", uri="people[12].csv")


def people_only(shop: Shop) -> None:
    shop.crm(f"customer,region\n{TEXT_ID}-001,north\n")
    del shop.config["sources"][0]


def nobody_known(shop: Shop) -> None:
    lines = "".join(f"{TEXT_ID}-{n:03d},{'' if n % 3 else WORD}\n" for n in range(30))
    shop.crm(f"customer,region\n{lines}")


def same_name_twice(shop: Shop) -> None:
    shop.config["sources"].append(dict(shop.source))


def too_large_a_sum(shop: Shop) -> None:
    content = rows()
    content["money"] = ["400000000000000"] * len(content["money"])
    shop.csv(content)


def one_profile(shop: Shop) -> None:
    every_row(customer=f"{TEXT_ID}-001")(shop)


def twins(shop: Shop) -> None:
    """Two profiles that bought the very same."""
    content = rows(40)
    content["customer"] = [f"{TEXT_ID}-001"] * 40
    other = {name: list(values) for name, values in content.items()}
    other["customer"] = [f"{TEXT_ID}-002"] * 40
    other["ticket"] = [1000 + ticket for ticket in other["ticket"]]
    shop.csv({name: content[name] + other[name] for name in content})


def folder_for_a_file(shop: Shop) -> None:
    (shop.folder / "data").mkdir()
    shop.source["uri"] = "data"


def no_uri(shop: Shop) -> None:
    del shop.source["uri"]


def no_folder(shop: Shop) -> None:
    shop.source["uri"] = "nowhere/orders.csv"


def unknown_ending(shop: Shop) -> None:
    shop.csv(rows(), "orders.txt")


def wide_integers(shop: Shop) -> None:
    table = pa.table(rows(ids=int))
    values = pa.array([INT_ID] * (BAD_ROW - 1) + [2**64 - 1] * (N_ROWS - BAD_ROW + 1), pa.uint64())
    shop.parquet(table.set_column(0, "customer", values))


def typed(column: str, values: Callable[[int], Any], type_: pa.DataType) -> Callable[[Shop], None]:
    """A Parquet file with a whole column of a type that cannot be."""

    def change(shop: Shop) -> None:
        table = pa.table(rows(ids=int))
        array = pa.array([values(i) for i in range(table.num_rows)], type_)
        shop.parquet(table.set_column(table.schema.get_field_index(column), column, array))

    return change


def unrounded_decimal(shop: Shop) -> None:
    """9.999 in decimal(4, 3) becomes 10.00, which that type cannot hold; the amount itself is good."""
    typed("money", lambda i: decimal.Decimal("9.999"), pa.decimal128(4, 3))(shop)


def utf16(shop: Shop) -> None:
    shop.csv(csv_text(rows()).encode("utf-16"))


def latin1(shop: Shop) -> None:
    shop.csv(csv_text(rows()).replace("Garden", "Gärten").encode("latin-1"))


def raw_yaml(text: str) -> Callable[[Shop], None]:
    """A configuration that is written as it stands."""

    def change(shop: Shop) -> None:
        shop.config = {"raw": text}

    return change


GOOD_YAML = """\
run: {out: out, as_of: 2018-01-01}
sources: [{name: orders, kind: purchases, uri: orders.csv}]
"""

FILES = {
    "truncated Parquet": Case(truncated_parquet, "schema", ("orders.parquet", "not readable as Parquet", "truncated")),
    "damaged Parquet page": Case(damaged_page, "schema", ("orders.parquet", "not readable as Parquet")),
    "empty Parquet": Case(lambda s: s.file("orders.parquet", b""), "schema", ("orders.parquet", "the file is empty")),
    "Parquet of no rows": Case(lambda s: s.parquet(pa.table(rows(ids=int))[:0]), "empty-data", ("orders", "no rows")),
    "CSV named .parquet": Case(lambda s: s.csv(rows(), "orders.parquet"), "schema", ("orders.parquet", "format: csv")),
    "Parquet named .csv": Case(
        lambda s: s.file("orders.csv", parquet_bytes(rows(ids=int))), "schema", ("orders.csv", "format: parquet")
    ),
    "no such path": setting("sources.0.uri", "gone.csv", "empty-data", words=("orders", "gone.csv", "no file matches")),
    "no such glob": setting("sources.0.uri", "gone-*.csv", "empty-data", words=("orders", "gone-*.csv")),
    "no such folder": Case(no_folder, "empty-data", ("orders", "nowhere", "does not exist")),
    "a folder for a file": Case(folder_for_a_file, "schema", ("orders", "is a folder", "data/*.parquet")),
    "unknown ending": Case(unknown_ending, "schema", ("orders", ".parquet", "format:")),
    "unknown protocol": setting("sources.0.uri", "ftq://host/x.csv", "schema", words=("orders", "ftq")),
    "no uri": Case(no_uri, "config", ("sources.orders", "neither a uri nor a frame")),
    "CSV of 0 bytes": Case(lambda s: s.csv(b""), "schema", ("orders.csv", "the file is empty")),
    "CSV of a header only": Case(lambda s: s.csv(rows(0)), "empty-data", ("orders", "no rows")),
    "CSV cut off in gzip": Case(truncated_gzip, "schema", ("orders.csv.gz", "not readable as CSV")),
    "ragged CSV": Case(ragged, "schema", ("orders.csv", f"row {BAD_ROW}", "6 fields", "has 5")),
    "short CSV row": Case(short_row, "schema", ("orders.csv", f"row {BAD_ROW}", "4 fields", "has 5")),
    "unclosed quote": Case(unclosed_quote, "schema", ("orders.csv",)),
    "CSV without a header": Case(no_header, "schema", ("orders.csv", "no column 'customer'", "header line")),
    "cells for a header": Case(repeated_cells_for_a_header, "schema", ("orders.csv",)),
    "a header given twice": Case(doubled_header, "schema", ("orders.csv", "more than once")),
    "UTF-16": Case(utf16, "schema", ("orders.csv", "UTF-8")),
    "Latin-1": Case(latin1, "schema", ("orders.csv", "UTF-8")),
}

VALUES = {
    "missing column": setting(
        "sources.0.columns.amount", "mony", "schema", words=("orders.csv", "'mony'", "did you mean money?")
    ),
    "ids of two types in two files": Case(two_id_types, "schema", ("a.parquet", "b.parquet", "id_type")),
    "ids of two types in two sources": Case(crm_of_other_type, "schema", ("people.csv", "orders.parquet", "id_type")),
    "float ids": Case(typed("customer", float, pa.float64()), "schema", ("orders.parquet", "'customer'", "double")),
    "ids beyond int64": Case(wide_integers, "invalid-value", ("orders.parquet", f"row {BAD_ROW}", "'customer'")),
    "text where id_type is int64": Case(
        lambda s: s.source.update(id_type="int64"), "invalid-value", ("orders.csv", "row 1", "'customer'", "int64")
    ),
    "NaN in Parquet": parquet_cell("money", float("nan"), words=("not a finite number",)),
    "inf in Parquet": parquet_cell("money", float("inf"), words=("not a finite number",)),
    "-inf in Parquet": parquet_cell("money", float("-inf"), words=("not a finite number",)),
    "null amount in Parquet": parquet_cell("money", None, words=("missing",)),
    "text amount in Parquet": parquet_cell("money", f"{VALUE} zł", pa.string(), words=("decimal number",)),
    "amount beyond 2^53 in Parquet": parquet_cell("money", 3.1337e18, words=("2^53",)),
    "amount near the largest float": parquet_cell("money", 1.7e308, words=("2^53",)),
    "flags for amounts": Case(
        typed("money", lambda i: i % 2 == 0, pa.bool_()), "schema", ("orders.parquet", "'money'", "bool")
    ),
    "numbers for times": Case(typed("ordered", int, pa.int64()), "schema", ("orders.parquet", "'ordered'", "int64")),
    "fractions for categories": Case(
        typed("dept", float, pa.float64()), "schema", ("orders.parquet", "'dept'", "double")
    ),
    "time out of range in Parquet": parquet_cell("ordered", 2**62, pa.timestamp("ms"), words=("out of range",)),
    "NaN in CSV": cell("money", "NaN", words=("finite",)),
    "inf in CSV": cell("money", "inf", words=("finite",)),
    "null amount in CSV": cell("money", None, words=("missing",)),
    "text amount in CSV": cell("money", f"{VALUE} zł", words=("decimal number",)),
    "thousands separator": cell("money", '"31,337.42"', words=("thousands",)),
    "decimal comma": cell("money", '"31337,42"', words=("decimal number",)),
    "amount beyond 2^63 in CSV": cell("money", "31337" + "0" * 15, words=("2^63",)),
    "amount of 50 digits": cell("money", "31337" + "0" * 45, words=("digits",)),
    "null id in Parquet": parquet_cell("customer", None, words=("missing",)),
    "null id in CSV": cell("customer", None, words=("missing",)),
    "null time in Parquet": parquet_cell("ordered", None, words=("missing",)),
    "null time in CSV": cell("ordered", None, words=("missing",)),
    "not a time": cell("ordered", f"on {VALUE}", words=("ISO 8601",)),
    "an impossible day": cell("ordered", "2017-02-30 12:00:00", words=("ISO 8601",), absent=("2017-02-30",)),
    "the year 1900 in CSV": cell("ordered", "1900-01-01", words=("before 1970",), absent=("1900-01-01",)),
    "the year 1900 in Parquet": parquet_cell("ordered", dt.datetime(1900, 1, 1), words=("before 1970",)),
    "duplicate CRM ids": Case(duplicate_people, "invalid-value", ("people.csv, row 1", "people.csv, row 3")),
    "duplicate CRM ids in two files": Case(
        duplicate_people_in_two_files, "invalid-value", ("people1.csv, row 1", "people2.csv, row 1")
    ),
    "null CRM id": Case(
        lambda s: s.crm(f"customer,region\n{TEXT_ID}-001,north\n,south\n"),
        "invalid-value",
        ("people.csv", "row 2", "'customer'"),
    ),
    "everything after as_of": Case(every_row(ordered="2018-01-01"), "empty-data", ("orders", "240", "2018-01-01")),
    "people without events": Case(people_only, "empty-data", ("purchases",)),
    "amounts that overflow when summed": Case(too_large_a_sum, "invalid-value", ("orders", "2^63", "amount_scale")),
    "too many nulls": Case(nobody_known, "gate-failed", ("people", "'region'", "66.7%", "5.0%", "max_null_share")),
    "one profile": Case(one_profile, "empty-data", ("1 profile", "at least 2"), checkpoint=True),
    "profiles that are all the same": Case(twins, "clustering", ("every feature is the same",), checkpoint=True),
}

SETTINGS = {
    "k beyond the profiles": setting(
        "cluster.segments", 31, words=("cluster.segments", "31", "30 distinct", "nearest valid: 30"), checkpoint=True
    ),
    "k = 0": setting("cluster.segments", 0, words=("cluster.segments: 0", "nearest valid: 2")),
    "k = 1": setting("cluster.segments", 1, words=("cluster.segments: 1", "nearest valid: 2")),
    "k = 5000": setting("cluster.segments", 5000, words=("cluster.segments: 5000", "nearest valid: 1000")),
    "k = 'five'": setting("cluster.segments", "five", words=("cluster.segments: 'five'", "whole number", "auto")),
    "k = '5'": setting("cluster.segments", "5", words=("cluster.segments: '5'", "whole number")),
    "k = 1.5": setting("cluster.segments", 1.5, words=("cluster.segments: 1.5", "whole number")),
    "k = true": setting("cluster.segments", True, words=("cluster.segments: true", "whole number")),
    "k = null": setting("cluster.segments", None, words=("cluster.segments: null", "whole number")),
    "range upside down": setting("cluster.segments_range", [8, 3], words=("cluster.segments_range", "[3, 8]")),
    "unknown section": setting("clusters", {}, words=("clusters", "unknown key", "did you mean cluster?")),
    "unknown run key": setting("run.timezon", "UTC", words=("run.timezon", "did you mean timezone?")),
    "unknown source key": setting("sources.0.colums", {}, words=("sources.orders.colums", "did you mean columns?")),
    "unknown quality key": setting("quality.max_nulls", 1, words=("quality.max_nulls", "max_null_share")),
    "unknown features key": setting("features.window_days", [1], words=("features.window_days", "windows_days?")),
    "unknown matrix key": setting("matrix.clips", 1, words=("matrix.clips", "did you mean clip?")),
    "unknown cluster key": setting("cluster.segment", 3, words=("cluster.segment:", "did you mean segments?")),
    "unknown column": setting(
        "sources.0.columns.amuont",
        "money",
        words=("sources.orders.columns: 'amuont'", "purchases", "did you mean amount?"),
    ),
    "unknown key that begins like a type": setting("run.interval", 5, words=("run.interval", "unknown key")),
    "future key refine": setting("cluster.refine", 9, words=("cluster.refine", "unknown key")),
    "key of another start": setting("cluster.micro_clusters", 9, words=("cluster.micro_clusters", "needs init: tree")),
    "future section fairness": setting("fairness.max_gap", 0.2, words=("fairness", "unknown key")),
    "future method": setting("cluster.method", "density", words=("cluster.method: 'density'", "kmeans")),
    "future version": setting("version", 2, words=("version: 2", "1")),
    "unknown zone": setting("run.timezone", "Europe/Berln", words=("run.timezone: 'Europe/Berln'", "Europe/Berlin?")),
    "unknown source zone": setting("sources.0.timezone", "Mars", words=("sources.orders.timezone: 'Mars'",)),
    "a zone that is a folder": setting("run.timezone", "Europe", words=("run.timezone: 'Europe'",)),
    "unknown family": setting("features.families", ["rfn"], words=("features.families: 'rfn'", "did you mean rfm?")),
    "a family twice": setting("features.families", ["rfm", "rfm"], words=("features.families", "once")),
    "no family": setting("features.families", [], words=("features.families",)),
    "unknown kind": setting("sources.0.kind", "purchase", words=("sources.orders.kind: 'purchase'", "mean purchases?")),
    "a kind that is none": setting(
        "sources.0.kind", "contacts", words=("sources.orders.kind: 'contacts'", "purchases", "crm")
    ),
    "as_of missing": Case(lambda s: s.config["run"].pop("as_of"), "config", ("run.as_of", "required")),
    "out missing": Case(lambda s: s.config["run"].pop("out"), "config", ("run.out", "required")),
    "as_of not a date": setting("run.as_of", "soon", words=("run.as_of: 'soon'", "2018-01-01")),
    "as_of a number": setting("run.as_of", 20180101, words=("run.as_of: 20180101", "2018-01-01")),
    "as_of an instant": setting("run.as_of", dt.datetime(2018, 1, 1, 12), words=("run.as_of", "midnight")),
    "as_of before 1970": setting("run.as_of", "1969-12-31", words=("run.as_of", "1970-01-02")),
    "amount_scale 7": setting("run.amount_scale", 7, words=("run.amount_scale: 7", "nearest valid: 10")),
    "amount_scale 0": setting("run.amount_scale", 0, words=("run.amount_scale: 0", "nearest valid: 1")),
    "a window of 0": setting("features.windows_days", [0], words=("features.windows_days", "0")),
    "a window twice": setting("features.windows_days", [30, 30], words=("features.windows_days", "once")),
    "a window in words": setting("features.windows_days", ["month"], words=("features.windows_days", "'month'")),
    "a window alone": setting("features.windows_days", 30, words=("features.windows_days: 30",)),
    "drop of no feature": setting(
        "features.drop", ["recency"], words=("features.drop: 'recency'", "recency_days?"), checkpoint=True
    ),
    "weight of no feature": setting(
        "features.weights.n_order", 2.0, words=("features.weights: 'n_order'", "n_orders?"), checkpoint=True
    ),
    "negative weight": setting("features.weights.n_orders", -1, words=("features.weights.n_orders: -1", "above 0")),
    "negative weight of a feature that begins like a type": setting(
        "features.weights.interval_days", -1, words=("features.weights.interval_days: -1",)
    ),
    "seed in words": setting("run.seed", "lucky", words=("run.seed: 'lucky'",)),
    "buckets 0": setting("run.buckets", 0, words=("run.buckets: 0", "nearest valid: 1")),
    "engine gpu": setting("run.engine", "gpu", "device-unavailable", words=("gpu", "engine: cpu")),
    "unknown engine": setting("run.engine", "cpuu", words=("run.engine: 'cpuu'", "did you mean cpu?")),
    "executor dusk": setting("run.executor", "dusk", words=("run.executor: 'dusk'", "dask")),
    "two sources of one name": Case(same_name_twice, "config", ("'orders'", "more than once")),
    "no sources": setting("sources", [], words=("sources",)),
    "sources a mapping": setting("sources", {"orders": {}}, words=("sources",)),
    "run a word": setting("run", "shop", words=("run: 'shop'",)),
    "not YAML": Case(raw_yaml("run: [out\nsources: 3\n"), "config", ("gpuseg.yaml", "line 2", "not valid YAML")),
    "not a mapping": Case(raw_yaml("- run\n- sources\n"), "config", ("gpuseg.yaml", "must be a mapping")),
    "an empty configuration": Case(raw_yaml(""), "config", ("gpuseg.yaml", "must be a mapping")),
    "a key twice": Case(
        raw_yaml("run: {out: out, as_of: 2018-01-01, out: elsewhere}\nsources: []\n"), "config", ("line 1", "'out'")
    ),
    "a section twice": Case(raw_yaml(GOOD_YAML + "run: {}\n"), "config", ("gpuseg.yaml", "line 3", "'run'", "twice")),
    "a day that never was": Case(
        raw_yaml(GOOD_YAML.replace("2018-01-01", "2018-02-30")), "config", ("run.as_of", "2018-02-30")
    ),
    "a tab": Case(raw_yaml("run:\n\tout: out\n"), "config", ("gpuseg.yaml", "line 2", "not valid YAML")),
    "a number for a key": Case(raw_yaml(GOOD_YAML + "7: x\n"), "config", ("7",)),
    "a list for a key": Case(raw_yaml(GOOD_YAML + "[a]: x\n"), "config", ("gpuseg.yaml", "line 3")),
    "a YAML tag": Case(raw_yaml("!!python/object:os.system {}\n"), "config", ("gpuseg.yaml", "line 1")),
    "a configuration of bytes": Case(raw_yaml("\x00\x01"), "config", ("gpuseg.yaml", "not valid YAML")),
}


def json_text(content: Rows) -> str:
    return "".join(
        json.dumps(dict(zip(content, row, strict=True)), default=str) + "\n"
        for row in zip(*content.values(), strict=True)
    )


def json_row(text: str) -> Callable[[Shop], None]:
    """JSON lines of which one is written as it stands; `@` in it is the good line."""

    def change(shop: Shop) -> None:
        lines = json_text(rows()).splitlines()
        lines[BAD_ROW - 1] = text.replace("@", lines[BAD_ROW - 1])
        shop.file("orders.jsonl", ("\n".join(lines) + "\n").encode())

    return change


def json_cell(column: str, value: Any, *, words: tuple[str, ...]) -> Case:
    """One bad value of JSON lines; the line names file, row and column."""

    def change(shop: Shop) -> None:
        content = rows()
        content[column][BAD_ROW - 1] = value
        shop.file("orders.jsonl", json_text(content).encode())

    return Case(change, "invalid-value", ("orders.jsonl", f"row {BAD_ROW}", repr(column), *words))


def json_array(shop: Shop) -> None:
    lines = json_text(rows()).splitlines()
    shop.file("orders.json", f"[{','.join(lines)}]".encode())


def arrow_bytes(content: Rows) -> bytes:
    table = pa.table(content)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    return sink.getvalue().to_pybytes()


def truncated_arrow(shop: Shop) -> None:
    content = arrow_bytes(rows())
    shop.file("orders.arrows", content[: len(content) // 2])


def unclosed_arrow(shop: Shop) -> None:
    shop.file("orders.arrows", arrow_bytes(rows())[:-8])


def semicolons(shop: Shop) -> None:
    shop.csv(csv_text(rows()).replace(",", ";"))


FORMATS = {
    "JSON array": Case(json_array, "schema", ("orders.json", "row 1", "one object a line")),
    "broken JSON line": Case(json_row("@{"), "schema", ("orders.jsonl", f"row {BAD_ROW}", "one object a line")),
    "cut JSON line": Case(
        json_row('{"customer": "' + WORD), "schema", ("orders.jsonl", f"row {BAD_ROW}", "valid JSON")
    ),
    "two JSON objects on a line": Case(json_row("@ @"), "schema", ("orders.jsonl", f"row {BAD_ROW}", "one object")),
    "a JSON null among objects": Case(json_row("null"), "schema", ("orders.jsonl", f"row {BAD_ROW}", "no object")),
    "a JSON name twice": Case(
        json_row('{"money": 31337, "money": 31337}'), "schema", ("orders.jsonl", f"row {BAD_ROW}", "'money'", "once")
    ),
    "JSON of 0 bytes": Case(lambda s: s.file("orders.jsonl", b""), "empty-data", ("orders", "no rows")),
    "CSV named .jsonl": Case(lambda s: s.csv(rows(), "orders.jsonl"), "schema", ("orders.jsonl", "format: csv")),
    "JSON lines named .csv": Case(lambda s: s.csv(json_text(rows())), "schema", ("orders.csv", "format: jsonl")),
    "Arrow named .csv": Case(lambda s: s.csv(arrow_bytes(rows())), "schema", ("orders.csv", "format: arrow")),
    "a JSON id of fractions": json_cell("customer", 31337.5, words=("fraction",)),
    "a nested JSON id": json_cell("customer", [WORD], words=("an array",)),
    "a JSON time in seconds": json_cell("ordered", 1_483_313_370, words=("ISO 8601", "not guessed")),
    "a JSON amount of NaN": json_cell("money", float("nan"), words=("finite",)),
    "a JSON amount in words": json_cell("money", f"{VALUE} zł", words=("decimal number",)),
    "half a surrogate pair": json_cell("customer", WORD + "\ud800", words=("surrogate",)),
    "Arrow cut off": Case(truncated_arrow, "schema", ("orders.arrows", "truncated")),
    "Arrow stream without an end": Case(unclosed_arrow, "schema", ("orders.arrows", "no end mark")),
    "Arrow of 0 bytes": Case(lambda s: s.file("orders.arrow", b""), "schema", ("orders.arrow", "empty")),
    "Feather of version 1": Case(lambda s: s.file("o.feather", b"FEA1" * 9), "schema", ("o.feather", "version 1")),
    "CSV of semicolons": Case(semicolons, "schema", ("orders.csv", "semicolons")),
}

CASES = FILES | VALUES | SETTINGS | FORMATS


@pytest.fixture
def shop(copied: Shop) -> Shop:
    """A copy of the good version, to be spoilt."""
    return copied


def check_refusal(told: Told, code: str, words: tuple[str, ...], absent: tuple[str, ...] = ()) -> None:
    """One line on stderr, the same in the JSON object, the right exit code, and nothing of the data in either."""
    assert len(told.lines) == 1, told.err
    assert re.fullmatch(rf"gpuseg: error\[{code}\] \S.*", told.lines[0]), told.err
    assert told.code == EXIT[code]
    said = told.content
    assert said == {
        "ok": False,
        "error": {"code": code, "message": told.lines[0].removeprefix(f"gpuseg: error[{code}] ")},
    }
    for word in words:
        assert word in told.lines[0]
    for secret in (*SECRETS, *absent):
        assert secret not in told.lines[0]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_is_one_line_and_the_last_version_stays(case: Case, shop: Shop, gpuseg: Command) -> None:
    before = shop.tree()
    case.change(shop)

    told = gpuseg("--json", "run", shop.write())

    check_refusal(told, case.code, case.words, case.absent)
    after = shop.tree()
    if case.checkpoint:
        # `validate` is done and stays for --resume; of the stage that failed there is nothing.
        kept = {name for name in after if name.partition("/")[0] == "v0002"}
        assert {name for name in kept if name.startswith("v0002/.stages/")} >= {"v0002/.stages/validate.json"}
        assert not [name for name in kept if name.endswith(".tmp") or ".work" in name or "manifest" in name]
        after = {name: content for name, content in after.items() if name not in kept}
    assert after == before
    checked = gpuseg("verify", shop.out)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith("v0001:")


@pytest.mark.parametrize(
    "name", ["too many nulls", "k = 0", "NaN in CSV", "engine gpu", "k beyond the profiles", "truncated Parquet"]
)
def test_without_json_stdout_stays_empty(name: str, shop: Shop, gpuseg: Command) -> None:
    CASES[name].change(shop)
    told = gpuseg("run", shop.write())
    assert told.code == EXIT[CASES[name].code]
    assert told.out == ""
    assert len(told.lines) == 1


@pytest.mark.parametrize("name", ["drop of no feature", "k beyond the profiles"])
def test_a_mended_configuration_goes_on_from_the_checkpoint(name: str, shop: Shop, gpuseg: Command) -> None:
    good = shop.copy_config()
    CASES[name].change(shop)
    assert gpuseg("run", shop.write()).code == 2
    shop.config = good
    told = gpuseg("--json", "run", shop.write(), "--resume")
    assert told.code == 0
    assert "validate" not in told.content["executed"]
    assert gpuseg("verify", shop.out).code == 0


@pytest.mark.parametrize("verb", ["validate", "features", "fit", "assign", "report"])
def test_every_stage_verb_refuses_bad_data_alike(verb: str, shop: Shop, gpuseg: Command) -> None:
    before = shop.tree()
    CASES["NaN in CSV"].change(shop)
    told = gpuseg("--json", verb, shop.write())
    check_refusal(told, "invalid-value", ("orders.csv", f"row {BAD_ROW}", "'money'"))
    assert shop.tree() == before


def test_a_dry_run_refuses_what_it_can_see(shop: Shop, gpuseg: Command) -> None:
    before = shop.tree()
    CASES["missing column"].change(shop)
    told = gpuseg("--json", "run", shop.write(), "--dry-run")
    check_refusal(told, "schema", ("'mony'",))
    assert shop.tree() == before


def test_bad_data_in_the_first_run_leaves_no_version(tmp_path: Path, committed: Shop, gpuseg: Command) -> None:
    shop = Shop(tmp_path, committed.copy_config())
    CASES["NaN in CSV"].change(shop)
    told = gpuseg("--json", "run", shop.write())
    check_refusal(told, "invalid-value", ("orders.csv",))
    assert shop.tree() == {}


# --- the command line itself ---


USAGE = {
    "unknown verb": (["ruun"], "'ruun'"),
    "a later verb": (["refresh", "gpuseg.yaml"], "'refresh'"),
    "missing CONFIG": (["run"], "CONFIG"),
    "unknown flag": (["run", "--segments", "5", "gpuseg.yaml"], "--segments"),
    "two CONFIGs": (["run", "gpuseg.yaml", "another.yaml"], "another.yaml"),
    "missing RUN": (["describe"], "RUN"),
    "not a number": (["synth", "--profiles", "many", "--events", "5", "--out", "x"], "many"),
    "unknown second word": (["config", "shema"], "'shema'"),
}


@pytest.mark.parametrize(("words", "named"), USAGE.values(), ids=USAGE.keys())
def test_usage_errors(
    words: list[str], named: str, gpuseg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_refusal(gpuseg("--json", *words), "config", (named,))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_configuration(tmp_path: Path, gpuseg: Command) -> None:
    check_refusal(gpuseg("--json", "run", tmp_path / "gone.yaml"), "config", ("gone.yaml", "gpuseg init"))


def test_a_folder_for_a_configuration(tmp_path: Path, gpuseg: Command) -> None:
    check_refusal(gpuseg("--json", "run", tmp_path), "config", (str(tmp_path), "cannot read"))


def test_a_configuration_in_latin1(tmp_path: Path, gpuseg: Command) -> None:
    path = tmp_path / "gpuseg.yaml"
    path.write_bytes("run: {name: Käufer}".encode("latin-1"))
    check_refusal(gpuseg("--json", "run", path), "config", ("gpuseg.yaml", "UTF-8"))


@pytest.mark.parametrize("out", ["blocked", "blocked/deeper"], ids=["a file in its shop", "a file above it"])
def test_out_that_cannot_be_written(out: str, shop: Shop, gpuseg: Command) -> None:
    (shop.folder / "blocked").write_text("in the way", encoding="utf-8")
    shop.config["run"]["out"] = out
    told = gpuseg("--json", "run", shop.write())
    check_refusal(told, "workspace", ("blocked", "cannot be written"))
    assert (shop.folder / "blocked").read_text(encoding="utf-8") == "in the way"


def test_init_where_a_file_is_in_the_way(tmp_path: Path, gpuseg: Command) -> None:
    (tmp_path / "shop").write_text("in the way", encoding="utf-8")
    check_refusal(gpuseg("--json", "init", tmp_path / "shop"), "workspace", ("shop", "cannot be written"))


def test_init_twice(tmp_path: Path, gpuseg: Command) -> None:
    assert gpuseg("init", tmp_path).code == 0
    (tmp_path / "gpuseg.yaml").write_text("mine", encoding="utf-8")
    check_refusal(gpuseg("--json", "init", tmp_path), "config", ("gpuseg.yaml", "there already"))
    assert (tmp_path / "gpuseg.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("verb", ["describe", "verify"])
@pytest.mark.parametrize("kind", ["empty", "missing", "a file"])
def test_looking_where_no_run_is(verb: str, kind: str, tmp_path: Path, gpuseg: Command) -> None:
    target = tmp_path / "run"
    if kind == "empty":
        target.mkdir()
    elif kind == "a file":
        target.write_text("not a run", encoding="utf-8")
    check_refusal(gpuseg("--json", verb, target), "integrity", (str(target), "no run"))


def test_looking_at_an_unfinished_run(shop: Shop, gpuseg: Command) -> None:
    shutil.rmtree(shop.out)
    assert gpuseg("fit", shop.write()).code == 0
    check_refusal(gpuseg("--json", "verify", shop.out), "integrity", ("v0001", "--resume"))


@pytest.mark.parametrize("segment", ["3", "-1", "99"])
def test_describe_of_no_segment(segment: str, shop: Shop, gpuseg: Command) -> None:
    told = gpuseg("--json", "describe", shop.out, "--segment", segment)
    check_refusal(told, "config", (f"--segment {segment}", "0 to 2"))


def test_describe_of_a_segment_in_words(shop: Shop, gpuseg: Command) -> None:
    check_refusal(gpuseg("--json", "describe", shop.out, "--segment", "best"), "config", ("--segment", "best"))


# --- what looks wrong but is not ---


def test_a_constant_column_is_a_warning(shop: Shop, gpuseg: Command) -> None:
    every_row(dept="Food")(shop)
    told = gpuseg("run", shop.write())
    assert told.code == 0
    assert len(told.lines) == 1
    assert told.lines[0].startswith("gpuseg: warning: constant features")
    assert "share_Food" in told.lines[0]


def test_refunds_may_outweigh_purchases(shop: Shop, gpuseg: Command) -> None:
    content = rows()
    content["money"] = [-3 * m if i % 2 else m for i, m in enumerate(content["money"])]
    shop.csv(content)
    told = gpuseg("--json", "run", shop.write())
    assert told.code == 0
    assert sum(card["value_share"] for card in told.content["segments"]) == pytest.approx(1.0)


def test_purchases_may_sum_to_nothing(shop: Shop, gpuseg: Command) -> None:
    content = rows()
    content["money"] = [(-5, 5)[i % 2] for i in range(len(content["money"]))]
    shop.csv(content)
    told = gpuseg("--json", "run", shop.write())
    assert told.code == 0
    assert [card["value_share"] for card in told.content["segments"]] == [None] * 3


def test_ids_may_hold_any_letters(shop: Shop, gpuseg: Command) -> None:
    content = rows()
    content["customer"] = [f"Ж{name[-3:]} 🛒 e\u0301é" for name in content["customer"]]
    shop.csv(content)
    assert gpuseg("run", shop.write()).code == 0
    assert set(shop.assignments()["profile_id"].to_pylist()) == set(content["customer"])


def test_profiles_without_events_have_no_segment(shop: Shop, gpuseg: Command) -> None:
    known = sorted(set(rows()["customer"]))
    shop.crm("customer,region\n" + "".join(f"{name},north\n" for name in [known[0], "someone new"]))
    told = gpuseg("--json", "run", shop.write())
    assert told.code == 0
    found = {row["profile_id"]: row for row in shop.assignments().to_pylist()}
    assert set(found) == {*known, "someone new"}
    nobody = found["someone new"]
    assert (nobody["segment_id"], nobody["segment_name"], nobody["segment_status"]) == (-1, None, "no_data")
    assert nobody["distance"] is None
    assert nobody["confidence"] is None
    assert told.content["stages"]["assign"]["n_no_data"] == 1


def test_rows_after_as_of_are_left_out_and_counted(shop: Shop, gpuseg: Command) -> None:
    content = rows()
    n_late = 17
    late = {name: values[:n_late] for name, values in rows().items()} | {"ordered": ["2018-01-01"] * n_late}
    shop.csv({name: content[name] + late[name] for name in content})
    told = gpuseg("run", shop.write())
    assert told.code == 0
    assert f"{n_late} rows at or after as_of" in told.err
    version = shop.out / "v0002"
    quality = json.loads((version / "quality.json").read_text(encoding="utf-8"))["sources"][0]
    assert (quality["rows_read"], quality["rows_used"], quality["rows_after_as_of"]) == (257, 240, n_late)
    features = [path.name for path in (version / "features").glob("*.parquet")]
    assert features
    for name in features:
        assert pq.read_table(version / "features" / name).equals(pq.read_table(shop.out / "v0001" / "features" / name))


def test_a_decimal_column_may_round_up_to_one_more_digit(shop: Shop, gpuseg: Command) -> None:
    unrounded_decimal(shop)
    shop.config["run"]["amount_scale"] = 100
    told = gpuseg("run", shop.write())
    assert told.code == 0
    assert "240 amounts finer than 1/100" in told.err


def test_csv_written_by_the_standard_library_is_read(shop: Shop, gpuseg: Command) -> None:
    content = rows()
    content["dept"] = ['Bread, "fresh"\nand warm' if name == "Food" else name for name in content["dept"]]
    with (shop.folder / "orders.csv").open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(content)
        writer.writerows(zip(*content.values(), strict=True))
    assert gpuseg("run", shop.write()).code == 0
    listed = json.loads((shop.out / "v0002" / "features" / "_features.json").read_text(encoding="utf-8"))
    assert 'share_Bread, "fresh"\nand warm' in {feature["name"] for feature in listed}


def test_a_folder_may_have_brackets_in_its_name(shop: Shop, gpuseg: Command) -> None:
    """Only what the configuration itself says is a glob, not where its file lies."""
    folder = shop.folder.rename(shop.folder.with_name("shop [2017]"))
    told = gpuseg("run", Shop(folder, shop.config).write())
    assert (told.code, told.err) == (0, "")


def test_yaml_may_merge_mappings(shop: Shop, gpuseg: Command) -> None:
    (shop.folder / "more.csv").write_text(csv_text(rows()), encoding="utf-8")
    listed = ", ".join(f"{name}: {column}" for name, column in shop.source["columns"].items())
    shop.config["raw"] = f"""\
run: {{out: out, as_of: 2018-01-01}}
sources:
  - &orders {{name: orders, kind: purchases, uri: orders.csv, columns: {{{listed}}}}}
  - {{<<: *orders, name: more, uri: more.csv}}
"""
    told = gpuseg("--json", "run", shop.write())
    assert told.code == 0
    assert told.content["stages"]["validate"]["rows_read"] == 2 * N_ROWS
