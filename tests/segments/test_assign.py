import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.segments.conftest import loyal_and_lapsed, run_planted

COLUMNS = ["profile_id", "segment_id", "segment_name", "segment_status", "distance", "confidence"]


@pytest.fixture(scope="module", params=[1, 7, 256], ids=lambda n: f"{n} buckets")
def run(request, tmp_path_factory):
    return run_planted(tmp_path_factory.mktemp("run"), buckets=request.param)


def test_every_profile_is_there_once(run):
    table = run.assignments()
    assert list(table) == COLUMNS
    everyone = {*loyal_and_lapsed()["profile_id"], "nobody-1", "nobody-2", "nobody-3"}
    assert len(table) == len(everyone) == 103
    assert set(table["profile_id"]) == everyone


def test_types_and_order_of_the_files(run):
    for path in sorted((run.path / "assignments").iterdir()):
        table = pq.read_table(path)
        assert table.schema.field("segment_id").type == pa.int32()
        assert table.schema.field("distance").type == pa.float64()
        ids = [name.encode() for name in table["profile_id"].to_pylist()]
        assert ids == sorted(ids)
        assert ids


def test_status_says_who_has_a_segment(run):
    table = run.assignments().set_index("profile_id")
    assert table["segment_status"].value_counts().to_dict() == {"assigned": 100, "no_data": 3}
    nobody = table[table["segment_status"] == "no_data"]
    assert sorted(nobody.index) == ["nobody-1", "nobody-2", "nobody-3"]
    assert (nobody["segment_id"] == -1).all()
    assert nobody[["segment_name", "distance", "confidence"]].isna().all(axis=None)
    somebody = table[table["segment_status"] == "assigned"]
    assert somebody.notna().all(axis=None)
    assert set(somebody["segment_id"]) == {0, 1}


def test_segments_are_numbered_by_size(run):
    counts = run.assignments()["segment_id"].value_counts()
    assert counts[0] >= counts[1]
    assert run.model.counts.tolist() == [counts[0], counts[1]]


def test_names_belong_to_ids(run):
    table = run.assignments().dropna()
    names = {card["segment_id"]: card["name"] for card in run.segments["segments"]}
    assert table["segment_name"].tolist() == [names[i] for i in table["segment_id"]]


def test_distance_and_confidence_are_those_of_the_centers(run):
    features = run.features()
    table = features[["profile_id"]].merge(run.assignments(), on="profile_id", validate="one_to_one")
    rows = run.model.transform.apply(pa.table(features)).astype(np.float64)
    gaps = np.sqrt(((rows[:, None, :] - run.model.centers.astype(np.float64)[None]) ** 2).sum(axis=2))
    nearest, second = np.sort(gaps, axis=1)[:, :2].T
    assert table["segment_id"].tolist() == gaps.argmin(axis=1).tolist()
    np.testing.assert_allclose(table["distance"], nearest, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["confidence"], 1 - nearest / second, rtol=1e-3, atol=1e-4)
    assert table["confidence"].between(0, 1).all()


def test_buckets_do_not_change_anything(run, planted):
    left, right = (each.assignments().sort_values("profile_id", ignore_index=True) for each in (run, planted))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert (run.path / "segments.json").read_bytes() == (planted.path / "segments.json").read_bytes()
    for name in ("model.json", "centers.npy", "counts.npy", "means.npy"):
        assert (run.path / "model" / name).read_bytes() == (planted.path / "model" / name).read_bytes()
