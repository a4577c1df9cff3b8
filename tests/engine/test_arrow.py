import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen

TYPES = [
    pa.int8(),
    pa.uint8(),
    pa.int32(),
    pa.uint32(),
    pa.int64(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(
    values=st.lists(st.integers(0, 100), max_size=40),
    start=st.integers(0, 9),
    stop=st.integers(0, 40),
    cut=st.integers(0, 40),
)
def test_columns_cross_with_their_slices_and_chunks(kind, values, start, stop, cut):
    values = [bool(value % 2) for value in values] if kind == pa.bool_() else values
    whole = pa.array(values, kind)
    for column, expected in (
        (whole, values),
        (whole.slice(start, stop), values[start : start + stop]),
        (pa.chunked_array([whole.slice(0, cut), whole.slice(cut)]), values),
        (pa.chunked_array([whole.slice(start)]), values[start:]),
        (pa.chunked_array([], kind), []),
    ):
        found = as_numpy(column)
        assert found.tolist() == expected
        assert found.dtype == np.dtype(kind.to_pandas_dtype())
        assert not found.flags.writeable


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
@given(values=st.lists(st.none() | st.integers(-9, 9).map(float), max_size=30), start=st.integers(0, 30))
def test_null_floats_become_nan(kind, values, start):
    found = as_numpy(pa.array(values, kind).slice(start))
    expected = values[start:]
    assert np.isnan(found).tolist() == [value is None for value in expected]
    assert [value for value in found.tolist() if value == value] == [value for value in expected if value is not None]


def test_no_copy_is_made_of_plain_columns():
    array = np.arange(100)
    assert np.shares_memory(as_numpy(as_arrow(array)), array)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint64, np.float32, np.float64, np.bool_])
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=40))
def test_arrays_cross_with_their_nulls(dtype, rows):
    values = np.array([value for value, _ in rows], dtype)
    null = np.array([hidden for _, hidden in rows], np.bool_)
    expected = [None if hidden else value for value, hidden in zip(values.tolist(), null.tolist(), strict=True)]
    assert as_arrow(values).to_pylist() == values.tolist()
    found = as_arrow(values, null)
    found.validate(full=True)
    assert found.to_pylist() == expected
    assert found.null_count == int(null.sum())
    assert as_arrow(values[::2], null[::2]).to_pylist() == expected[::2]


def test_a_frozen_array_is_a_view():
    array = np.arange(3)
    view = frozen(array)
    array[0] = 9
    assert view.tolist() == [9, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
