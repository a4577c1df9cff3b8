"""The matrix of a table on any device: without a logarithm the CPU's bits, with one at most a step beside them."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.matrix import GRID, scale_into, shaped
from gpuseg.engine.program import MatrixColumn, MatrixPlan

CPU = CpuDevice()


def column(name, *, log1p=False, fill=0.0, center=0.0, spread=1.0, clip=6.0, weight=1.0):
    return MatrixColumn(name, log1p, fill, center, weight * GRID / spread, clip * weight * GRID)


def steps_apart(one, other):
    """Largest distance in steps of the grid, or of float32 where those are wider."""
    wide = np.maximum(np.abs(one), np.abs(other)).astype(np.float32)
    step = np.maximum(1 / GRID, np.spacing(wide).astype(np.float64))
    return (np.abs(one.astype(np.float64) - other) / step).max(initial=0.0)


def tables(seed, n):
    rng = np.random.default_rng(seed)
    money = np.round(rng.lognormal(3, 2, n) * rng.choice([1, 1, 1, -1], n), 2)
    return pa.table(
        {
            "n": pa.array(rng.poisson(3, n)),
            "share": pa.array(rng.random(n)),
            "money": pa.array(money, mask=rng.random(n) < 0.2),
            "days": pa.array(rng.integers(0, 400, n), mask=rng.random(n) < 0.1),
            "large": pa.array(rng.integers(-(2**62), 2**62, n)),
        }
    )


PLAIN = (
    column("share", center=0.5, spread=0.29),
    column("days", fill=200.0, center=190.0, spread=110.0, weight=0.37),
    column("large", spread=2.0**61, clip=64.0, weight=64.0),
    column("n", center=3.0, spread=1.7, clip=1.5),
)
LOGGED = (
    column("money", log1p=True, fill=20.0, center=3.0, spread=1.9, weight=0.7071),
    column("days", log1p=True, fill=20.0, center=4.0, spread=1.0),
    column("n", log1p=True, clip=64.0, weight=40.0, spread=0.1),
)


def test_values_by_hand(device):
    table = pa.table({"a": pa.array([1.0, 2.5, None, 1e15, -1e15]), "b": pa.array([-9, 0, 9, None, 1])})
    plan = MatrixPlan((column("b", log1p=True, fill=9.0, clip=64.0), column("a", center=2.0, spread=0.5, weight=0.25)))
    found = device.to_host(device.matrix(table, plan))
    assert (found.dtype, found.shape) == (np.float32, (5, 2))
    assert found[:, 1].tolist() == [-0.5, 0.25, -1.0, 1.5, -1.5]
    ten, two = (np.rint(np.log(float(value)) * GRID) / GRID for value in (10, 2))
    assert steps_apart(found[:, 0], np.array([-ten, 0.0, ten, ten, two])) <= 1


@given(seed=st.integers(0, 10**6), n=st.sampled_from([0, 1, 7, 500]), cut=st.integers(0, 500))
def test_the_matrix_of_the_cpu(device, seed, n, cut):
    table = tables(seed, n)
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    plain, logged = (device.matrix(table, MatrixPlan(columns)) for columns in (PLAIN, LOGGED))
    expected = CPU.matrix(table, MatrixPlan(PLAIN))
    assert device.to_host(plain).tobytes() == expected.tobytes()
    rows = device.to_host(logged)
    assert steps_apart(rows, CPU.matrix(table, MatrixPlan(LOGGED))) <= 1
    assert (rows.astype(np.float64) * GRID % 1 == 0).all()
    assert rows.shape == (n, len(LOGGED))
    assert rows.flags.c_contiguous
    assert rows.dtype == np.float32


def test_sums_of_its_rows_are_exact(device):
    """On the grid, in whatever order a device adds."""
    table = tables(3, 4_000)
    rows = device.matrix(table, MatrixPlan(LOGGED))
    found = device.assign_accumulate(rows, rows[:1])
    on_host = device.to_host(rows)
    exact = [sum(map(int, (on_host[:, place].astype(np.float64) * GRID))) / GRID for place in range(len(LOGGED))]
    assert found.sums[0].tolist() == exact


def test_the_table_is_left_as_it_is(device):
    values = np.array([1.0, np.nan, 300.0])
    table = pa.table({"a": pa.array(values)})
    device.matrix(table, MatrixPlan((column("a", fill=7.0), column("a", log1p=True))))
    np.testing.assert_array_equal(table["a"].to_numpy(), values)


@pytest.mark.parametrize("ulps", [-1, 1])
@given(
    seed=st.integers(0, 10**6), spread=st.sampled_from([1e-7, 1e-3, 1.0, 4.0]), weight=st.sampled_from([0.01, 1.0, 4])
)
def test_the_tolerance_that_is_stated(ulps, seed, spread, weight):
    """A logarithm that is one unit in the last place off moves a value by at most one step."""

    def log1p(values, out):
        found = np.log1p(values)
        np.copyto(out, np.where(found > 0, np.nextafter(found, ulps * np.inf), found))

    other = SimpleNamespace(**{name: getattr(np, name) for name in dir(np) if name[0] != "_"} | {"log1p": log1p})
    rng = np.random.default_rng(seed)
    values = rng.lognormal(rng.uniform(0, 24), 1.5 * spread, 200)
    center = float(np.log1p(values).mean())
    logged = column("a", log1p=True, center=center, spread=spread, weight=weight)
    one, two = np.empty(200, np.float32), np.empty(200, np.float32)
    for library, out in ((np, one), (other, two)):
        scale_into(library, out, shaped(library, values.copy(), fill=0.0, log1p=True), logged)
    assert steps_apart(one, two) <= 1
