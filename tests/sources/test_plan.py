import datetime as dt
import gzip

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.errors import ConfigError, GpusegError, SchemaError
from gpuseg.sources.plan import buckets_for, plan_sources

PLAIN = {"name": "orders", "kind": "purchases"}


def frame(**changes):
    columns = {"profile_id": pa.array([1]), "at": pa.array([0], pa.timestamp("us")), "amount": pa.array([1.5])}
    return pa.table(columns | changes)


def write(path, table):
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        rows = [",".join(table.column_names), *(",".join(map(str, row.values())) for row in table.to_pylist())]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def test_the_plan_of_a_frame(config_of):
    config = config_of(
        PLAIN | {"timezone": "Asia/Tokyo", "columns": {"profile_id": "who", "order_id": "basket"}},
        timezone="America/New_York",
        as_of="2018-01-01",
        amount_scale=100,
        chunk_rows=5,
    )
    table = frame(who=pa.array(["a"]), basket=pa.array([1]), category=pa.array(["x"]), ignored=pa.array([0]))
    plans = plan_sources(config, {"orders": table})
    (plan,) = plans.reads
    assert (plan.source, plan.kind, plan.format, plan.files) == ("orders", "purchases", "frame", ("frame",))
    assert dict(plan.columns) == {
        "profile_id": "who",
        "at": "at",
        "amount": "amount",
        "order_id": "basket",
        "category": "category",
    }
    assert (plan.id_type, plan.order_type) == ("text", "int64")
    assert (plan.zone.name, plan.run_zone.name) == ("Asia/Tokyo", "America/New_York")
    assert plan.as_of_us == int(dt.datetime(2018, 1, 1, 5, tzinfo=dt.UTC).timestamp()) * 10**6
    assert (plan.amount_scale, plan.chunk_rows, plans.n_buckets) == (100, 5, 1)


@pytest.mark.parametrize(
    "given",
    [frame(), pl.DataFrame(frame()), frame().to_pandas(), frame().to_batches()[0]],
    ids=lambda f: type(f).__module__,
)
def test_frames_of_every_kind(config_of, given):
    (plan,) = plan_sources(config_of(PLAIN), {"orders": given}).reads
    assert plan.frame.column("profile_id").to_pylist() == [1]


def test_optional_columns_may_be_absent_unless_they_are_named(config_of):
    (plan,) = plan_sources(config_of(PLAIN), {"orders": frame()}).reads
    assert (plan.order_type, "category" in plan.columns) == (None, False)
    with pytest.raises(
        SchemaError, match=r"^orders: frame: no column 'dept' \(for category\); it has profile_id, at, amount"
    ):
        plan_sources(config_of(PLAIN | {"columns": {"category": "dept"}}), {"orders": frame()})


def test_a_missing_column_names_the_nearest(config_of):
    table = frame().rename_columns(["profile_id", "at", "ammount"])
    with pytest.raises(SchemaError) as caught:
        plan_sources(config_of(PLAIN), {"orders": table})
    expected = "orders: frame: no column 'amount'; it has profile_id, at, ammount; did you mean ammount?"
    assert str(caught.value) == expected


def test_every_file_needs_every_column(config_of, tmp_path):
    write(tmp_path / "a.csv", frame(category=pa.array(["x"])))
    second = write(tmp_path / "b.csv", frame())
    with pytest.raises(SchemaError, match=f"^orders: {second}: no column 'category'"):
        plan_sources(config_of(PLAIN | {"uri": f"{tmp_path}/*.csv"}))


def test_frame_and_uri(config_of, tmp_path):
    uri = write(tmp_path / "a.parquet", frame())
    with pytest.raises(ConfigError, match=r"sources.orders: has neither a uri nor a frame; give one"):
        plan_sources(config_of(PLAIN))
    with pytest.raises(ConfigError, match=r"sources.orders: has both a uri and a frame; give one"):
        plan_sources(config_of(PLAIN | {"uri": uri}), {"orders": frame()})
    with pytest.raises(ConfigError, match=r"frames: 'order' is no source; did you mean orders\?"):
        plan_sources(config_of(PLAIN), {"order": frame()})


@pytest.mark.parametrize("frames", [[frame()], frame().to_pandas(), "orders"], ids=lambda f: type(f).__name__)
def test_frames_that_are_no_mapping(config_of, frames):
    with pytest.raises(ConfigError, match=r"^frames: .* is no mapping of source name to frame$"):
        plan_sources(config_of(PLAIN), frames)


TEXT, INTEGER = frame(profile_id=pa.array(["1"])), frame()


@pytest.mark.parametrize(
    ("first", "second"), [(TEXT, INTEGER), (INTEGER, TEXT)], ids=["text and integer", "integer and text"]
)
def test_ids_of_two_sources_need_one_type(config_of, first, second):
    config = config_of(PLAIN, PLAIN | {"name": "web"})
    text = "orders" if first is TEXT else "web"
    with pytest.raises(SchemaError, match=f"^{text}: frame, column 'profile_id' is text, but .* set id_type: text or"):
        plan_sources(config, {"orders": first, "web": second})
    for chosen in ("int64", "text"):
        both = config_of(PLAIN | {"id_type": chosen}, PLAIN | {"name": "web", "id_type": chosen})
        plans = plan_sources(both, {"orders": first, "web": second})
        assert {plan.id_type for plan in plans.reads} == {chosen}


def test_ids_of_two_files_need_one_type(config_of, tmp_path):
    one, two = write(tmp_path / "1.parquet", INTEGER), write(tmp_path / "2.parquet", TEXT)
    with pytest.raises(SchemaError) as caught:
        plan_sources(config_of(PLAIN | {"uri": f"{tmp_path}/*.parquet"}))
    assert str(caught.value).startswith(f"orders: {two}, column 'profile_id' is text, but orders: {one}")


def test_ids_of_csv_are_text_unless_asked(config_of, tmp_path):
    uri = write(tmp_path / "a.csv", frame())
    assert plan_sources(config_of(PLAIN | {"uri": uri})).reads[0].id_type == "text"
    assert plan_sources(config_of(PLAIN | {"uri": uri, "id_type": "int64"})).reads[0].id_type == "int64"
    crm = {"name": "people", "kind": "crm"}
    with pytest.raises(SchemaError, match="profile ids need one type"):
        plan_sources(config_of(PLAIN | {"uri": uri}, crm), {"people": INTEGER})


def test_orders_of_two_types_become_text(config_of):
    web = PLAIN | {"name": "web"}
    tables = {"orders": frame(order_id=pa.array([1])), "web": frame(order_id=pa.array(["x"]))}
    assert [plan.order_type for plan in plan_sources(config_of(PLAIN, web), tables).reads] == ["text", "text"]
    tables["web"] = frame()
    assert [plan.order_type for plan in plan_sources(config_of(PLAIN, web), tables).reads] == ["int64", None]


@pytest.mark.parametrize(
    "ids",
    [pa.array([1.0]), pa.array([True]), pa.array([1], pa.int32()).cast(pa.date32()), pa.array([[1]])],
    ids=lambda ids: str(ids.type),
)
def test_types_that_are_no_ids(config_of, ids):
    with pytest.raises(SchemaError, match=r"column 'profile_id': ids are .*; convert the column"):
        plan_sources(config_of(PLAIN), {"orders": frame(profile_id=ids)})


def test_crm_reads_only_the_columns_that_are_named(config_of):
    crm = {"name": "people", "kind": "crm", "columns": {"profile_id": "who", "years": "age"}}
    table = pa.table({"who": [1], "age": [30], "secret": ["x"]})
    (plan,) = plan_sources(config_of(crm), {"people": table}).reads
    assert dict(plan.columns) == {"profile_id": "who", "years": "age"}
    assert plan.attributes == ("years",)
    assert plan.frame.column_names == ["who", "age"]
    with pytest.raises(SchemaError, match=r"no column 'agee' \(for years\).*did you mean age"):
        plan_sources(config_of(crm | {"columns": {"profile_id": "who", "years": "agee"}}), {"people": table})


def test_a_column_that_is_there_twice(config_of, tmp_path):
    columns = [pa.array([1]), pa.array([2]), pa.array([0], pa.timestamp("us")), pa.array([1])]
    double = pa.table(columns, names=["profile_id", "profile_id", "at", "amount"])
    with pytest.raises(GpusegError, match="profile_id"):
        plan_sources(config_of(PLAIN), {"orders": double})
    uri = write(tmp_path / "double.parquet", double)
    with pytest.raises(GpusegError, match="profile_id"):
        plan_sources(config_of(PLAIN | {"uri": uri}))


def test_the_number_of_buckets_follows_from_the_data_or_the_configuration(config_of):
    big = frame().take(pa.array(np.zeros(2_000_000, np.int64)))
    assert big.nbytes > 2 * (16 << 20)
    plans = plan_sources(config_of(PLAIN), {"orders": big})
    assert plans.n_buckets == -(-big.nbytes // (16 << 20))
    assert plan_sources(config_of(PLAIN, buckets=7), {"orders": big}).n_buckets == 7


def test_fingerprints_follow_the_data(config_of, tmp_path):
    uri = write(tmp_path / "a.csv", frame())
    config = config_of(PLAIN | {"uri": uri, "id_type": "text"}, PLAIN | {"name": "web", "id_type": "text"})
    first = plan_sources(config, {"web": frame()}).fingerprints
    assert plan_sources(config, {"web": frame()}).fingerprints == first
    assert plan_sources(config, {"web": frame(amount=pa.array([2]))}).fingerprints["web"] != first["web"]
    write(tmp_path / "a.csv", frame(amount=pa.array([100.25])))
    assert plan_sources(config, {"web": frame()}).fingerprints["orders"] != first["orders"]


def test_gzip_is_told_by_content_not_by_name(config_of, tmp_path, scan):
    write(tmp_path / "plain.csv", frame())
    (tmp_path / "packed.csv").write_bytes(gzip.compress((tmp_path / "plain.csv").read_bytes()))
    plan_sources(config_of(PLAIN | {"uri": f"{tmp_path}/*.csv"}))
    columns, _ = scan(uri=f"{tmp_path}/*.csv")
    assert columns["amount_minor"] == [15_000, 15_000]


def test_large_data_has_larger_buckets_rather_than_ever_more():
    sizes = [0, 1, 2**24, 2**24 + 1, 2**32, 2**33, 2**34, 2**34 + 1, 2**36, 2**43]
    assert [buckets_for(size) for size in sizes] == [0, 1, 1, 2, 256, 256, 256, 257, 1024, 1024]
