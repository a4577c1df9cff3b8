"""The stand-ins refuse what RAPIDS refuses, keep apart what lies on the device, and see every call."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.rapids.stand_ins import known_attributes, stand_ins


@pytest.fixture
def libraries():
    return stand_ins()


def test_arrays_stay_on_the_device(libraries):
    cupy = libraries.cupy
    array = cupy.asarray([3, 1, 2])
    for found in (array + 1, array[array > 1], cupy.cumsum(array), array.sum(), 1 - array, np.int64(2) * array):
        assert type(found) is type(array)
    with pytest.raises(TypeError, match="implicit conversion"):
        np.asarray(array)
    host = cupy.asnumpy(array * 2)
    assert type(host) is np.ndarray
    assert host.tolist() == [6, 2, 4] == (array * 2).tolist() == array.__mul__(2).get().tolist()
    assert (int(array.sum()), array.size, array.dtype, len(array)) == (6, 3, np.int64, 3)


def test_host_memory_is_not_shared(libraries):
    host = np.arange(3)
    host.flags.writeable = False
    array = libraries.cupy.asarray(host)
    array[0] = 7
    array += 1
    assert host.tolist() == [0, 1, 2]
    assert array.tolist() == [8, 2, 3]


def test_names_of_one_array_see_its_changes(libraries):
    array = libraries.cupy.zeros(2, np.int64)
    other = array
    other += 1
    assert array.tolist() == [1, 1]


@pytest.mark.parametrize(
    "mix",
    [
        lambda cupy, array, host: array + host,
        lambda cupy, array, host: host + array,
        lambda cupy, array, host: cupy.concatenate([array, host]),
        lambda cupy, array, host: cupy.searchsorted(host, array),
        lambda cupy, array, host: array.__setitem__(slice(None), host),
        lambda cupy, array, host: cupy.where(array > 0, array, host),
    ],
)
def test_arrays_of_the_host_are_refused(libraries, mix):
    with pytest.raises(TypeError):
        mix(libraries.cupy, libraries.cupy.asarray([1, 2]), np.array([1, 2]))


@pytest.mark.parametrize(
    "ask",
    [
        lambda libraries: libraries.cupy.busday_count,
        lambda libraries: libraries.cudf.read_spss,
        lambda libraries: libraries.cudf.DataFrame({"a": [1]}).style,
        lambda libraries: libraries.cudf.Series([1]).to_xarray(),
        lambda libraries: libraries.cupy.asarray([1]).getfield,
        lambda libraries: libraries.cudf.DataFrame({"a": [1]}).groupby("a").sem,
    ],
)
def test_what_rapids_lacks_is_refused(libraries, ask):
    with pytest.raises(AttributeError, match=r"of RAPIDS has no attribute"):
        ask(libraries)


def test_frames(libraries, tmp_path):
    cudf = libraries.cudf
    table = pa.table({"id": [1, 2, None], "word": ["b", None, "a"], "at": pa.array([1, 2, 3], pa.timestamp("ms"))})
    frame = cudf.DataFrame.from_arrow(table)
    assert frame.to_arrow().equals(table)
    assert frame["id"].null_count == 1
    # A trap of cuDF itself: integers that are null somewhere come out as floats.
    assert frame["id"].values.dtype == np.float64
    with pytest.raises(TypeError, match="cupy does not support"):
        _ = frame["word"].fillna("").values
    flags = cudf.DataFrame.from_arrow(pa.table({"flag": [True, None]}))
    with pytest.raises(ValueError, match="must have no nulls"):
        _ = flags["flag"].values
    times = cudf.DataFrame.from_arrow(pa.table({"at": pa.array([1, None], pa.timestamp("us"))}))
    with pytest.raises(ValueError, match="NaT"):
        _ = times["at"].values
    assert str(frame["at"].dtype) == "datetime64[ms]"
    assert frame["at"].astype("int64").values.tolist() == [1, 2, 3]
    assert frame["word"].astype("category").cat.codes.fillna(-1).values.tolist() == [1, -1, 0]
    with pytest.raises(TypeError, match="not iterable"):
        list(frame["id"])

    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    path = str(tmp_path / "t.parquet")
    assert cudf.read_parquet(path, columns=["id"]).to_arrow().equals(table.select(["id"]))
    assert cudf.read_parquet(path, row_groups=[1, 2]).to_arrow().equals(table.slice(1).combine_chunks())


def test_groups_are_those_of_pandas(libraries):
    cudf, cupy = libraries.cudf, libraries.cupy
    frame = cudf.DataFrame({"key": cupy.asarray([2, 1, 2]), "n": cupy.asarray([1, 5, 10])})
    found = frame.groupby(["key"], sort=True).agg({"n": "sum"}).reset_index()
    assert found["n"].values.tolist() == [5, 11]
    assert found["n"].max() == 11


def test_the_table_knows_every_class_that_stands_in():
    from tests.rapids.cudf_twin import CUDF_TYPES
    from tests.rapids.cuml_twin import CUML_TYPES
    from tests.rapids.cupy_twin import CUPY_TYPES

    classes = {*CUDF_TYPES.values(), *CUML_TYPES.values(), *CUPY_TYPES.values()}
    assert classes | {"cupy", "cudf", "cuml", "rmm"} <= set(known_attributes())
