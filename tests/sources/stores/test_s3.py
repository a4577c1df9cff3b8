"""Sources in S3, over HTTP: equal bytes to local files, few requests, bounded memory."""

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine import json_lines, opening, parquet_parts
from gpuseg.engine.cpu import csv_reading
from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.engine.opening import file_system, opened
from gpuseg.pipeline import execute
from gpuseg.sources.plan import plan_sources
from tests.sources.stores.faults import bytes_of
from tests.sources.stores.worlds import configured, contents, shop, written


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl", "arrow", "arrows.gz"])
def test_the_same_bytes_come_of_s3_as_of_local_files(tmp_path, store, config_of, kind, from_local_files):
    for name, content in shop(kind).items():
        store.put(f"in/{name}", content)
    version = execute(configured(store.url("in"), kind, config_of, tmp_path / "run"), until="features").version
    assert len(from_local_files) > 5
    assert contents(version) == from_local_files


def big_table(n_rows):
    random = np.random.default_rng(5)
    return pa.table(
        {
            "profile_id": random.integers(0, n_rows, n_rows),
            "junk": random.random(n_rows),
            "at": pa.array(random.integers(14 * 10**14, 15 * 10**14, n_rows), pa.timestamp("us")),
            "amount": random.random(n_rows),
            "more junk": random.random(n_rows),
        }
    )


def plan_at(uri, config_of):
    return plan_sources(config_of({"name": "orders", "kind": "purchases", "uri": uri})).reads[0]


@pytest.mark.parametrize("fetched_bytes", [64 << 20, 4 << 20, 1 << 20], ids=["all at once", "some", "page by page"])
def test_only_the_columns_that_are_needed_are_fetched(store, config_of, monkeypatch, fetched_bytes):
    monkeypatch.setattr(parquet_parts, "_FETCHED_BYTES", fetched_bytes)
    monkeypatch.setattr(parquet_parts, "_BUFFER_BYTES", 256 << 10)
    n_rows = 300_000
    table, sink = big_table(n_rows), pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=n_rows // 4)
    content = sink.getvalue().to_pybytes()
    metadata = pq.ParquetFile(pa.BufferReader(content)).metadata
    groups = [metadata.row_group(number) for number in range(4)]
    needed = sum(group.column(place).total_compressed_size for group in groups for place in (0, 2, 3))
    plan = plan_at(store.put("orders.parquet", content), config_of)
    planned = store.proxy.of("GET")
    assert bytes_of(planned) < 400_000
    assert len(planned) == 2
    store.proxy.requests.clear()
    read = pa.concat_tables([chunk.table for chunk in read_chunks(plan)])
    assert read.select(["profile_id", "at", "amount"]).equals(table.select(["profile_id", "at", "amount"]))
    fetched = store.proxy.of("GET")
    if fetched_bytes == 64 << 20:
        # Head, footer, and for each row group its first column and the two that lie side by side.
        assert len(fetched) <= 2 + 4 * 2
        assert needed < bytes_of(fetched) < needed + len(fetched) * (256 << 10)
    assert max(request.n_bytes for request in fetched) < 4 << 20
    assert len(store.proxy.of("HEAD")) <= 1


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "arrows", "arrow"])
def test_files_are_streamed_block_by_block(store, config_of, kind, monkeypatch):
    for patched, name in ((opening._CACHES["stream"], "block_size"), (opening._CACHES["batches"], "block_size")):
        monkeypatch.setitem(patched, name, 64 << 10)
    monkeypatch.setattr(csv_reading, "_BLOCK_BYTES", 64 << 10)
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 64 << 10)
    table = big_table(6_000)
    content = written(table, kind)
    plan = plan_at(store.put(f"orders.{kind}", content), config_of)
    store.proxy.requests.clear()
    n_rows = sum(chunk.table.num_rows for chunk in read_chunks(plan))
    assert n_rows == 6_000
    fetched = store.proxy.of("GET")
    # The header, or the schema with the footer, is looked at once more before the rows.
    assert len(content) <= bytes_of(fetched) <= len(content) + 3 * (256 << 10)
    assert max(request.n_bytes for request in fetched) <= max(256 << 10, 64 << 10) + 2
    assert len(fetched) >= 3


def test_the_next_block_is_on_its_way_while_one_is_read(store, monkeypatch):
    monkeypatch.setitem(opening._CACHES["stream"], "block_size", 1000)
    content = bytes(range(250)) * 40
    url = store.put("rows.csv", content)
    with opened(url) as handle:
        assert handle.read(500) == content[:500]
        store.proxy.wait_for("bytes=1000-1999")
        assert b"".join(iter(lambda: handle.read(500), b"")) == content[500:]
    assert len(store.proxy.of("GET")) == 10


def test_a_listing_takes_few_requests_and_gives_sizes_and_marks(store, config_of):
    for number in range(30):
        store.put(f"orders/day={number:02}/rows.csv", b"profile_id,at,amount\na,2017-01-01,1\n")
    plans = plan_sources(config_of({"name": "o", "kind": "purchases", "uri": store.url("orders/day=0[1-5]/*.csv")}))
    assert [file.rpartition("day=")[2] for file in plans.reads[0].files] == [f"0{d}/rows.csv" for d in range(1, 6)]
    listings = [request for request in store.proxy.of("GET") if "list-type=2" in request.path]
    assert len(listings) <= 2 + 5
    assert plans.n_bytes == 5 * 36
    assert len(set(plans.located[0].marks)) == 1
    assert all(len(mark) > 30 for mark in plans.located[0].marks)


@pytest.mark.usefixtures("new_file_systems")
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL"])
def test_ways_to_name_another_endpoint(store, monkeypatch, config_of, name):
    url = store.put("orders.csv", b"profile_id,at,amount\na,2017-01-01,1\n")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(name, store.proxy.url)
    if name.startswith("FSSPEC"):
        # fsspec reads its own variables when it is imported.
        monkeypatch.setitem(fsspec.config.conf, "s3", {})
        fsspec.config.set_conf_env(fsspec.config.conf)
    assert plan_at(url, config_of).files == (url,)
    assert store.proxy.of("HEAD")


def test_settings_of_ones_own_for_retries_hold(store, monkeypatch):
    ours, _ = file_system(store.url("x"))
    assert ours.config_kwargs["retries"]["total_max_attempts"] == 3
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    theirs, _ = file_system(store.url("x"))
    assert theirs.config_kwargs == {}
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"connect_timeout": 3}})
    configured, _ = file_system(store.url("x"))
    assert configured.config_kwargs == {"connect_timeout": 3}
