"""A shop in files of any kind: orders in folders of months, an identity map, a table of consents."""

import datetime as dt
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq

IDS = ["00001", "é", "👩\u200d👧", " 1 ", "a,b", "NA"]
MONTHS = ["2017-03", "2017-04"]


def lines(month):
    start = dt.datetime.fromisoformat(f"{month}-01")
    return pa.table(
        {
            "handle": [f"@{IDS[row % 6]}" for row in range(40)],
            "at": pa.array([start + dt.timedelta(hours=7 * row) for row in range(40)], pa.timestamp("us")),
            "amount": [f"{row}.25" for row in range(40)],
            "order_id": [f"o{row % 9}" for row in range(40)],
            "junk": ["x" * 50] * 40,
        }
    )


def csv_bytes(table):
    rows = [",".join(table.column_names)]
    rows += [",".join(f'"{value}"' for value in row.values()) for row in table.to_pylist()]
    return ("\n".join(rows) + "\n").encode()


def written(table, kind):
    if kind.startswith("csv"):
        content = csv_bytes(table)
    elif kind.startswith("jsonl"):
        rows = [row | {"at": row["at"].isoformat()} if "at" in row else row for row in table.to_pylist()]
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        sink = pa.BufferOutputStream()
        if kind == "parquet":
            pq.write_table(table, sink, row_group_size=11)
        else:
            with (pa.ipc.new_stream if kind.startswith("arrows") else pa.ipc.new_file)(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=9)
        content = sink.getvalue().to_pybytes()
    return gzip.compress(content) if kind.endswith(".gz") else content


def shop(kind):
    """Files of a source in folders of months, its identity map, and a table of consents, all of one kind."""
    files = {f"orders/month={month}/part.{kind}": written(lines(month), kind) for month in MONTHS}
    names = pa.table({"handle": [f"@{name}" for name in IDS], "customer": [f"C-{name}" for name in IDS]})
    people = pa.table({"customer": [f"C-{name}" for name in IDS], "age": ["31"] * 6, "may": ["yes"] * 5 + ["no"]})
    return files | {f"names.{kind}": written(names, kind), f"people.{kind}": written(people, kind)}


def configured(root, kind, config_of, out):
    orders = {
        "name": "orders",
        "kind": "purchases",
        "uri": f"{root}/orders/month=*/part.{kind}",
        "columns": {"profile_id": "handle", "category": "month"},
        "identity": {"uri": f"{root}/names.{kind}", "key": "handle", "profile_id": "customer"},
    }
    people = {
        "name": "people",
        "kind": "crm",
        "uri": f"{root}/people.{kind}",
        "columns": {"profile_id": "customer", "age": "age"},
        "consent_column": "may",
    }
    return config_of(orders, people, out=str(out))


def contents(version):
    folders = [version.path / "state", version.path / "features"]
    return {
        str(path.relative_to(version.path)): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
