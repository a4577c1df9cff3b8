"""Identity maps: rows follow their key to its profile, and a map that is not sound is refused."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg
from gpuseg.errors import GateFailed, InvalidValueError, SchemaError
from tests.trust.worlds import World, clean_rows, mixed, outputs, reconciled, traces


def orders(n=12, prefix="K"):
    return pd.DataFrame(
        {
            "profile_id": [f"{prefix}{i % 6}" for i in range(n)],
            "at": [f"2017-03-{i + 1:02d}" for i in range(n)],
            "amount": [float(i + 1) for i in range(n)],
        }
    )


def run(tmp_path, mapping, *, frame=None, quality=None, source=None, identity=None, name="map.csv"):
    path = tmp_path / name
    if isinstance(mapping, pa.Table):
        pq.write_table(mapping, path)
    else:
        path.write_text(mapping, encoding="utf-8")
    section = {"uri": str(path), **(identity or {})}
    content = {
        "run": {"out": str(tmp_path / "out"), "as_of": "2018-01-01"},
        "sources": [{"name": "orders", "kind": "purchases", "identity": section, **(source or {})}],
        "quality": {"min_coverage": 0.0, "max_orphan_share": 1.0, **(quality or {})},
        "cluster": {"segments": 2},
    }
    return gpuseg.run(content, frames={"orders": orders() if frame is None else frame})


def ids(done):
    return done.assignments()["profile_id"].tolist()


TEXT = "key,profile_id\nK0,a\nK1,b\nK2,c\nK3,d\nK4,e\nK5,f\n"


def test_rows_follow_their_key(tmp_path):
    done = run(tmp_path, TEXT)
    assert ids(done) == list("abcdef")
    assert done.quality["sources"][0]["rows_unmatched"] == 0


def test_several_keys_of_one_profile_are_one_person(tmp_path):
    done = run(tmp_path, TEXT.replace("K5,f", "K5,a").replace("K4,e", "K4,a"))
    assert ids(done) == list("abcd")
    rows = done.features().set_index("profile_id")["n_lines"].to_dict()
    assert rows == {"a": 6, "b": 2, "c": 2, "d": 2}


@pytest.mark.parametrize("buckets", [1, 2, 7])
@pytest.mark.parametrize("form", ["parquet", "csv", "frame"])
def test_a_map_that_renames_everybody_back_changes_nothing(tmp_path, form, buckets):
    clean = clean_rows()
    renamed = {
        source: [row | {"profile_id": row["profile_id"].replace("P-", "KEY-")} for row in rows]
        for source, rows in clean.items()
    }
    renamed["people"] = clean["people"]
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "map.csv").write_text("k,who\n" + "".join(f"KEY-{i:03d},P-{i:03d}\n" for i in reversed(range(40))))
    identity = {"identity": {"uri": "map.csv", "key": "k", "profile_id": "who"}}
    sources = dict.fromkeys(("orders", "clicks", "voices"), identity)
    settings = {"form": form, "run": {"buckets": buckets, "chunk_rows": 5}}
    orphan = {"profile_id": "ORPHAN", "at": clean["orders"][0]["at"], "amount": 987654321.12, "category": "ORPHANCAT"}
    world = World(folder, mixed(renamed, {"orders": [orphan, orphan]}), sources=sources, **settings)
    done = world.run()
    twin = World(tmp_path / "twin", clean, **settings)
    twin.run()
    assert outputs(world.version) == outputs(twin.version)
    assert traces(world.version, ["KEY-0", "ORPHAN", "987654321"]) == []
    assert [source["rows_unmatched"] for source in done.quality["sources"]] == [2, 0, 0, 0]
    assert all(reconciled(source) for source in done.quality["sources"])


def test_numbers_lead_to_numbers_and_to_text(tmp_path):
    numbers = orders().assign(profile_id=[i % 6 for i in range(12)])
    keys = pa.array(range(6), pa.int64())
    done = run(
        tmp_path, pa.table({"key": keys, "profile_id": pa.array(range(100, 106))}), frame=numbers, name="m.parquet"
    )
    assert ids(done) == list(range(100, 106))
    done = run(tmp_path, pa.table({"key": keys, "profile_id": list("abcdef")}), frame=numbers, name="m.parquet")
    assert ids(done) == list("abcdef")


@pytest.mark.parametrize("on_bad", ["fail", "quarantine"])
@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        (TEXT + "K0,a\nK0,z\n", "map.csv, row 7 and "),
        (TEXT + "K0,a\nK0,z\n", "map.csv, row 8 give one key two profiles"),
        (TEXT + "K6,\n", "1 keys have no profile id"),
        (TEXT + ",z\n", "row 7, column 'key': the value is missing"),
    ],
    ids=["two profiles", "the second", "no profile", "no key"],
)
def test_a_map_that_is_not_sound_is_refused(tmp_path, mapping, told, on_bad):
    with pytest.raises(InvalidValueError) as caught:
        run(tmp_path, mapping, quality={"on_bad": on_bad})
    assert told in str(caught.value)
    assert str(caught.value).startswith("orders: ")
    assert not list((tmp_path / "out").glob("v*"))


def test_rows_that_say_the_same_again_do_no_harm(tmp_path):
    (tmp_path / "map-2.csv").write_text(TEXT)
    done = run(tmp_path, TEXT + "K0,a\nK1,b\nK0,a\n", name="map-1.csv", identity={"uri": str(tmp_path / "map-*.csv")})
    assert ids(done) == list("abcdef")
    assert done.quality["sources"][0]["rows_unmatched"] == 0


def test_a_contradiction_between_files_names_both(tmp_path):
    (tmp_path / "map-2.csv").write_text("key,profile_id\nK9,z\nK3,SECRET\n")
    with pytest.raises(InvalidValueError, match=r"map-1\.csv, row 4 and .*map-2\.csv, row 2 give one") as caught:
        run(tmp_path, TEXT, name="map-1.csv", identity={"uri": str(tmp_path / "map-*.csv")})
    assert "SECRET" not in str(caught.value)
    assert "K3" not in str(caught.value)


@pytest.mark.parametrize("bad", ["x", "1.5", "0x1F", "9223372036854775808"])
def test_profiles_that_are_no_int64(tmp_path, bad):
    mapping = "key,profile_id\nK0,1\nK1,2\nK2,3\nK3,4\nK4,5\nK5," + bad + "\n"
    with pytest.raises(SchemaError, match=r"identity map .*: profile ids must be int64") as caught:
        run(tmp_path, mapping, source={"id_type": "int64"})
    assert bad not in str(caught.value)


def test_profiles_of_a_type_that_ids_cannot_have(tmp_path):
    table = pa.table({"key": [f"K{i}" for i in range(6)], "profile_id": [i + 0.5 for i in range(6)]})
    with pytest.raises(SchemaError, match="ids are double, but must be integers or text"):
        run(tmp_path, table, name="m.parquet")


def test_a_map_without_the_named_column(tmp_path):
    with pytest.raises(SchemaError, match="no column 'customer'"):
        run(tmp_path, TEXT, identity={"key": "customer"})


def test_a_map_that_knows_nobody(tmp_path):
    with pytest.raises(gpuseg.errors.EmptyDataError, match="12 with a key that the identity map lacks"):
        run(tmp_path, TEXT.replace("K", "L"))
    with pytest.raises(GateFailed, match="max_orphan_share"):
        run(tmp_path, "key,profile_id\nK0,a\nK1,b\n", quality={"max_orphan_share": 0.6})


def test_a_change_of_the_map_runs_everything_again(tmp_path):
    from gpuseg.config import load_config
    from gpuseg.pipeline import STAGE_NAMES, execute

    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "map.csv").write_text("key,profile_id\n" + "".join(f"P-{i:03d},A-{i}\n" for i in range(40)))
    sources = {name: {"identity": {"uri": "map.csv"}} for name in ("orders", "clicks", "voices", "people")}
    world = World(folder, clean_rows(), sources=sources)
    execute(load_config(world.path))
    assert execute(load_config(world.path), fresh=False).executed == ()
    (folder / "map.csv").write_text("key,profile_id\n" + "".join(f"P-{i:03d},B-{i}\n" for i in range(40)))
    outcome = execute(load_config(world.path), fresh=False)
    assert outcome.executed == STAGE_NAMES
    assert traces(outcome.version.path, ["A-1"]) == []
