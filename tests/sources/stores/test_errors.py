"""What goes wrong between here and a store: one line, the right exit code, no value and no secret."""

import pickle
import socket
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine import opening
from gpuseg.engine.cpu import csv_reading
from gpuseg.engine.cpu.reading import read_chunks
from gpuseg.errors import EmptyDataError, IntegrityError, SchemaError, SourceUnavailableError
from gpuseg.sources.locate import check_unchanged
from gpuseg.sources.plan import plan_sources
from tests.sources.stores.conftest import SECRET

PERSON = "Kowalski4711"
HEADER = b"profile_id,at,amount\n"
ROWS = HEADER + f"{PERSON},2017-01-01,1.5\n".encode() * 20_000
N_ROWS = 20_000


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setitem(opening._CACHES["stream"], "block_size", 64 << 10)
    monkeypatch.setattr(csv_reading, "_BLOCK_BYTES", 64 << 10)


@pytest.fixture
def plans_of(config_of):
    return lambda uri, **source: plan_sources(config_of({"name": "orders", "kind": "purchases", "uri": uri, **source}))


def read(plans):
    return sum(chunk.table.num_rows for plan in plans.reads for chunk in read_chunks(plan))


def failing(expected, exit_code, act):
    """The message of the error, checked for what every error must keep to."""
    with pytest.raises(expected) as caught:
        act()
    error, message = caught.value, str(caught.value)
    assert type(error) is expected
    assert error.exit_code == exit_code
    assert len(message.splitlines()) == 1
    assert message.startswith("orders: ")
    assert not any(secret in message for secret in (PERSON, SECRET, "reader", "127.0.0.1"))
    assert repr(error) == repr(pickle.loads(pickle.dumps(error)))
    assert error.__cause__ is None
    return message


@pytest.mark.parametrize("uri", ["s3://nobody-has-this-bucket/{}", "{bucket}/{}"])
@pytest.mark.parametrize("name", ["orders.csv", "orders*.csv", "month=*/orders.csv"])
def test_a_bucket_or_a_key_that_is_missing(store, plans_of, uri, name):
    store.put("month=2017-03/other.csv", ROWS)
    uri = uri.format(name, bucket=store.url("").rstrip("/")) if "{bucket}" in uri else uri.format(name)
    assert failing(EmptyDataError, 3, lambda: plans_of(uri)) == f"orders: no file matches {uri!r}"


def test_a_prefix_is_no_file(store, plans_of):
    store.put("orders/a.csv", ROWS)
    message = failing(SchemaError, 3, lambda: plans_of(store.url("orders")))
    assert message.endswith("is a folder; name its files, such as " + store.url("orders/*.parquet"))


@pytest.mark.parametrize("uri", ["orders.csv", "or*.csv", "o*/a.csv"])
def test_access_denied_when_looking(store, plans_of, uri):
    store.put("orders.csv", ROWS)
    store.put("old/a.csv", ROWS)
    store.proxy.spoil = lambda request: ("status", 403)
    assert failing(SourceUnavailableError, 4, lambda: plans_of(store.url(uri))).endswith(": permission denied")


def test_a_folder_that_may_not_be_listed_is_not_passed_over(store, plans_of):
    for folder in ("open", "closed"):
        store.put(f"{folder}/a.csv", ROWS)
    store.proxy.spoil = lambda request: ("status", 403) if "closed" in request.path else None
    assert failing(SourceUnavailableError, 4, lambda: plans_of(store.url("*/a.csv"))).endswith("permission denied")
    assert len(plans_of(store.url("open/*.csv")).located[0].files) == 1


def test_access_denied_when_reading(store, plans_of):
    url = store.put("orders.csv", ROWS)
    store.proxy.spoil = lambda request: ("status", 403) if request.range else None
    assert failing(SourceUnavailableError, 4, lambda: plans_of(url)) == f"orders: {url}: permission denied"


@pytest.mark.usefixtures("new_file_systems")
@pytest.mark.parametrize("profile", [None, "nobody"])
def test_no_credentials(store, plans_of, monkeypatch, profile):
    url = store.put("orders.csv", ROWS)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    if profile is not None:
        monkeypatch.setenv("AWS_PROFILE", profile)
    message = failing(SourceUnavailableError, 4, lambda: plans_of(url))
    assert message == f"orders: {url}: no valid credentials are found; give them by the environment"


@pytest.mark.usefixtures("new_file_systems")
def test_an_endpoint_where_nobody_listens(store, plans_of, monkeypatch):
    with socket.socket() as taken:
        # Bound and not listening, so that connections are refused.
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr("s3fs.S3FileSystem.retries", 2)
        start = time.monotonic()
        url = store.url("orders.csv")
        message = failing(SourceUnavailableError, 4, lambda: plans_of(url))
    assert message == f"orders: {url}: the store cannot be reached; check its address, or try again later"
    assert time.monotonic() - start < 30


def broken_after(n_good, fault):
    """Lets some answers with content pass and spoils all that follow."""
    seen = []

    def spoil(request):
        if not request.range:
            return None
        seen.append(request)
        return fault if len(seen) > n_good else None

    return spoil


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
def test_a_connection_that_breaks_off_is_tried_again(store, plans_of, name):
    url = store.put(name, content_of(name))
    plans = plans_of(url)
    cut = []

    def once(request):
        if request.range and len(cut) < 2:
            cut.append(request)
            return ("cut", 1)
        return None

    store.proxy.spoil = once
    assert read(plans) == N_ROWS
    assert len(cut) == 2


def content_of(name):
    if name.endswith("csv"):
        return ROWS
    sink = pa.BufferOutputStream()
    times = pa.array([1_483_228_800_000_000 + row for row in range(N_ROWS)], pa.timestamp("us"))
    table = pa.table(
        {"profile_id": [f"{PERSON}-{row}" for row in range(N_ROWS)], "at": times, "amount": [1.5] * N_ROWS}
    )
    pq.write_table(table, sink, row_group_size=4000, compression="none")
    return sink.getvalue().to_pybytes()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
@pytest.mark.parametrize(
    ("fault", "what"),
    [(("cut", 1), "the connection broke off"), (("status", 503), "the store is asked too often")],
    ids=["cut", "throttled"],
)
def test_what_does_not_get_better_ends_with_exit_4(store, plans_of, monkeypatch, name, fault, what):
    url = store.put(name, content_of(name))
    plans = plans_of(url)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    store.proxy.spoil = broken_after(2, fault)
    message = failing(SourceUnavailableError, 4, lambda: read(plans))
    assert message == f"orders: {url}: {what}; check its address, or try again later"


@pytest.mark.usefixtures("small_blocks")
def test_a_store_that_asks_to_slow_down_is_asked_again(store, plans_of, monkeypatch):
    url = store.put("orders.csv", ROWS)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    slow = iter([("status", 503)] * 2)
    store.proxy.spoil = lambda request: next(slow, None)
    assert read(plans_of(url)) == N_ROWS
    assert [request.status for request in store.proxy.requests].count(503) == 2


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
@pytest.mark.parametrize("what", ["changed", "vanished"])
def test_an_object_that_changes_while_it_is_read(store, plans_of, name, what):
    url = store.put(name, content_of(name))
    plans = plans_of(url)
    seen = []

    def meddle(request):
        seen.extend([request] if request.range else [])
        if len(seen) == 3:
            if what == "changed":
                store.put(name, content_of(name).replace(b"4711", b"4712"))
            else:
                store.remove(name)

    store.proxy.spoil = meddle
    assert failing(IntegrityError, 5, lambda: read(plans)) == f"orders: {url} {what} while it was read; run again"


@pytest.mark.parametrize("before", [None, "s3fs's list"])
def test_an_object_replaced_before_it_is_opened(store, plans_of, before):
    uri = store.put("orders.csv", ROWS) if before is None else store.url("*.csv")
    store.put("orders.csv", ROWS)
    plans = plans_of(uri)
    store.put("orders.csv", ROWS.replace(b"1.5", b"2.5"))
    message = failing(IntegrityError, 5, lambda: (read(plans), check_unchanged(plans.located)))
    assert message == f"orders: {store.url('orders.csv')} changed while it was read; run again"
