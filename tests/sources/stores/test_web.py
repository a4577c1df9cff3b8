"""Sources on a web server without credentials, such as Python's own, which gives files only whole."""

import functools
import http.server
import os
import socket
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.errors import EmptyDataError, IntegrityError, SchemaError, SourceUnavailableError
from gpuseg.sources.locate import check_unchanged
from gpuseg.sources.plan import plan_sources
from tests.sources.stores.worlds import lines

ROWS = "profile_id,at,amount\na,2017-01-01,1.5\nb,2017-01-02,2\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder and its address."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def plans_of(config_of):
    return lambda uri, **source: plan_sources(config_of({"name": "orders", "kind": "purchases", "uri": uri, **source}))


def test_csv_is_read_and_a_change_is_found(served, plans_of):
    folder, address = served
    (folder / "orders.csv").write_text(ROWS, encoding="utf-8")
    plans = plans_of(f"{address}/orders.csv")
    (chunk,) = read_chunks(plans.reads[0])
    assert chunk.table["profile_id"].to_pylist() == ["a", "b"]
    check_unchanged(plans.located)
    (folder / "orders.csv").write_text(ROWS.replace("1.5", "2.5"), encoding="utf-8")
    os.utime(folder / "orders.csv", (1, 1))
    with pytest.raises(IntegrityError, match=rf"^orders: {address}/orders.csv changed while it was read; run again$"):
        check_unchanged(plans.located)


def test_what_is_not_there_and_who_does_not_answer(served, plans_of):
    _, address = served
    with pytest.raises(EmptyDataError, match=r"^orders: no file matches 'http://.*none.csv'$"):
        plans_of(f"{address}/none.csv")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}/orders.csv"
        with pytest.raises(
            SourceUnavailableError, match=rf"^orders: {uri}: the connection was refused; check"
        ) as caught:
            plans_of(uri)
    assert caught.value.exit_code == 4


def test_parquet_needs_a_server_that_gives_parts(served, plans_of):
    folder, address = served
    sink = pa.BufferOutputStream()
    table = lines("2017-03").append_column("more", pa.array([np.random.default_rng(3).bytes(50_000)] * 40))
    pq.write_table(table, sink, use_dictionary=False, compression="none")
    (folder / "orders.parquet").write_bytes(sink.getvalue())
    with pytest.raises(SchemaError, match=r"orders.parquet: .*its server gives files only whole; download it$"):
        plans_of(f"{address}/orders.parquet", columns={"profile_id": "handle"})
