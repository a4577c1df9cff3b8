import dataclasses
import json
import pickle
import re
import shutil

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gpuseg
from gpuseg.errors import IntegrityError, SchemaError
from gpuseg.segments.model import Model

FILES = ["model.json", "centers.npy", "counts.npy", "means.npy"]
ARRAYS = FILES[1:]


@pytest.fixture
def stored(planted, tmp_path):
    """A copy of the run, to be spoilt."""
    shutil.copytree(planted.path.parent, tmp_path / "run")
    return tmp_path / "run"


def same(left, right):
    for field in dataclasses.fields(Model):
        mine, theirs = getattr(left, field.name), getattr(right, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes()
        elif field.name == "placer":
            assert mine.centers.tobytes() == theirs.centers.tobytes()
        else:
            assert mine == theirs, field.name


def test_a_model_comes_back_bit_for_bit(planted, tmp_path):
    model = planted.model
    model.save(tmp_path / "a")
    again = Model.read(tmp_path / "a")
    same(model, again)
    again.save(tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() == (planted.path / "model" / name).read_bytes()


def test_it_is_loaded_from_the_run_or_from_a_version(planted):
    same(gpuseg.load(planted.path.parent), planted.model)
    same(gpuseg.load(planted.path), planted.model)
    same(gpuseg.load(str(planted.path)), planted.model)


def test_there_must_be_a_run(tmp_path):
    with pytest.raises(IntegrityError, match="no run is kept here"):
        gpuseg.load(tmp_path)


def test_what_a_model_says(planted):
    model = planted.model
    assert model.n_segments == 2
    assert model.counts.tolist() == [60, 40]
    assert (model.method, model.seed) == ("kmeans", 0)
    assert model.centers.shape == model.means.shape == (2, len(model.transform.columns))
    assert (model.centers.dtype, model.counts.dtype, model.means.dtype) == (np.float32, np.int64, np.float64)
    assert model.names == tuple(card["name"] for card in planted.segments["segments"])
    assert model.inertia > 0


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: None,
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: b"\x00" * len(content),
        lambda content: pickle.dumps(Evil()),
        lambda content: content + b"}",
    ],
    ids=["missing", "empty", "only its start", "one byte short", "zeros", "a pickle", "one byte long"],
)
def test_a_damaged_file_is_named(stored, name, spoil):
    path = stored / "v0001" / "model" / name
    content = spoil(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        gpuseg.load(stored)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_flipped_bit_is_noticed(stored, name):
    """The checksums of the manifest are there for what no parser can see."""
    path = stored / "v0001" / "model" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        gpuseg.load(stored)


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c.update(format=2),
        lambda c: c.pop("format"),
        lambda c: c.pop("matrix"),
        lambda c: c["matrix"]["columns"][0].pop("fill"),
        lambda c: c.update(names=c["names"][:1]),
    ],
    ids=["another format", "no format", "no matrix", "half a column", "a name too few"],
)
def test_a_model_of_another_form_is_refused(stored, edit):
    path = stored / "v0001" / "model" / "model.json"
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        gpuseg.load(stored)


def test_a_json_file_that_is_no_object_is_refused(stored):
    path = stored / "v0001" / "model" / "model.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        gpuseg.load(stored)


def assigned(run):
    table = run.assignments()
    return table[table["segment_status"] == "assigned"].reset_index(drop=True)


PREDICTED = ["profile_id", "segment_id", "segment_name", "distance", "confidence"]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "batch", "dict"])
def test_predict_repeats_the_assignments_exactly(planted, kind):
    features = planted.features()
    frame = {
        "pandas": lambda: features,
        "polars": lambda: pl.from_pandas(features),
        "arrow": lambda: pa.table(features),
        "batch": lambda: pa.RecordBatch.from_pandas(features),
        "dict": lambda: {name: features[name].to_numpy() for name in features},
    }[kind]()
    found = planted.model.predict(frame)
    assert isinstance(found, pd.DataFrame)
    assert list(found) == PREDICTED
    expected = assigned(planted)
    for name in PREDICTED:
        assert found[name].tolist() == expected[name].tolist(), name
    assert found["segment_id"].dtype == np.int32


def test_predict_does_not_depend_on_the_other_rows(planted):
    features, expected = planted.features(), assigned(planted)
    order = np.random.default_rng(5).permutation(len(features))
    found = planted.model.predict(features.iloc[order])
    pd.testing.assert_frame_equal(
        found.sort_values("profile_id", ignore_index=True),
        expected[PREDICTED].sort_values("profile_id", ignore_index=True),
        check_exact=True,
    )
    one = planted.model.predict(features.iloc[[7]])
    assert one.iloc[0].tolist() == expected[PREDICTED].iloc[7].tolist()


def test_predict_ignores_other_columns_and_their_order(planted):
    features = planted.features()
    shuffled = features[list(features)[::-1]].assign(unknown="x").drop(columns="profile_id")
    found = planted.model.predict(shuffled)
    assert list(found) == PREDICTED[1:]
    assert found["segment_id"].tolist() == assigned(planted)["segment_id"].tolist()


def test_predict_of_nobody(planted):
    assert planted.model.predict(planted.features().iloc[:0]).shape == (0, 5)


def test_predict_names_a_missing_feature(planted):
    features = planted.features().drop(columns=["n_orders", "recency_days"])
    with pytest.raises(SchemaError, match="2 columns are missing, first 'recency_days'"):
        planted.model.predict(features)


@pytest.mark.parametrize("frame", [[1, 2], "text", None, 3])
def test_predict_refuses_what_is_no_frame(planted, frame):
    with pytest.raises(SchemaError, match="no frame"):
        planted.model.predict(frame)


def test_predict_refuses_words_for_figures(planted):
    features = planted.features().assign(n_orders="many")
    with pytest.raises(SchemaError, match="n_orders"):
        planted.model.predict(features)


def test_predict_fills_what_is_unknown(planted):
    features = planted.features()
    features["gap_days_mean"] = np.nan
    found = planted.model.predict(features)
    assert found["confidence"].between(0, 1).all()
    fill = next(c.fill for c in planted.model.transform.columns if c.feature == "gap_days_mean")
    pd.testing.assert_frame_equal(found, planted.model.predict(features.assign(gap_days_mean=fill)), check_exact=True)


def test_a_model_is_told_in_one_line(planted):
    told = repr(planted.model)
    assert told.startswith("Model(method='kmeans', n_segments=")
    assert "\n" not in told


def test_infinite_features_are_refused(planted):
    features = planted.features()
    features["amount_sum"] = np.inf
    with pytest.raises(SchemaError, match="column 'amount_sum' holds infinite values"):
        planted.model.predict(features, engine="cpu")
