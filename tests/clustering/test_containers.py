import numpy as np
import pytest

from gpuseg.clustering.containers import container_of


@pytest.mark.parametrize(
    "table", [np.ones((2, 2)), [[1.0, 2.0]], memoryview(b"ab")], ids=lambda table: type(table).__name__
)
def test_arrays_and_lists_stay_what_they_are(table):
    container = container_of(table)
    values = np.arange(4.0).reshape(2, 2)
    assert container.to_array(table) is table
    assert container.labels(values, table) is values
    assert container.matrix(values, ["a", "b"], table) is values


def test_the_library_is_told_without_importing_any():
    class Frame:
        pass

    Frame.__module__ = "nosuchlibrary.frames"
    assert container_of(Frame()).to_array(5) == 5
