import numpy as np
import pytest

from gpuseg.clustering.kmeans import Reached, lloyd
from gpuseg.clustering.row_blocks import nearest_centers, row_blocks, variance_of


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    return (draw.normal(size=(140_000, 3)) * [1, 5, 0.1] + [0, 100, -3]).astype(np.float32)


def test_blocks_are_the_rows_in_order(engine, rows):
    blocks = [engine.device.to_host(block) for block in row_blocks(rows, engine)]
    assert len(blocks) == 3
    assert np.concatenate(blocks).tobytes() == rows.tobytes()


def test_blocks_of_the_processor_share_the_memory_of_the_rows(engine, rows):
    if engine.device.name != "cpu":
        pytest.skip("memory of its own")
    assert all(np.shares_memory(block, rows) for block in row_blocks(rows, engine))


def test_nearest_centers(engine, rows):
    centers = rows[[5, 70_000, 139_999, 5]]
    distances = ((rows[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
    labels = nearest_centers(rows, centers, engine)
    assert labels.dtype == np.int32
    assert labels.tolist() == distances.argmin(axis=1).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_variance(engine, rows, dtype):
    rows = rows.astype(dtype)
    expected = rows.var(axis=0, dtype=np.float64).mean()
    assert variance_of(row_blocks(rows, engine), engine) == pytest.approx(expected, rel=1e-5)


def test_a_row_between_two_centers_has_the_label_that_it_is_placed_with_later(engine):
    """Among equals the first counts: of the centers as they are returned, not as the iterations had them."""
    rows = np.array([[-1]] * 2 + [[0]] + [[1]] * 4, np.float32)
    labels, reached = np.empty(len(rows), np.int32), Reached(np.array([[-1], [1]], np.float32), settled=True)
    where = {"device": engine.device, "executor": engine.executor}
    fit = lloyd(row_blocks(rows, engine), reached, labels=labels, **where)
    assert fit.centers.tolist() == [[1], [-1]]
    assert labels.tolist() == nearest_centers(rows, fit.centers, engine).tolist() == [1, 1, 0, 0, 0, 0, 0]
