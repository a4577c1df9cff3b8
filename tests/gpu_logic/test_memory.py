"""Where device memory ends, work goes on in halves with the same results, and says so once it cannot."""

import logging
from dataclasses import replace
from itertools import pairwise
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.config_parts import MemorySection
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.gpu import aggregate, evaluate, lloyd, memory, reading
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.errors import DeviceMemoryError
from tests.gpu_logic.test_equal_bits import CELLS, FEATURES, MAPPED, ORDERS, attributes_of_some, state_of, world
from tests.rapids.cudf_twin import OPTIONS
from tests.rapids.cuml_twin import CURRENT
from tests.rapids.stand_ins import stand_ins

CPU = CpuDevice()
LIBRARIES = stand_ins()


@pytest.fixture
def device():
    return GpuDevice(LIBRARIES)


@pytest.fixture(autouse=True)
def _no_pool_is_left(monkeypatch):
    monkeypatch.setattr(memory, "_POOL", [])


class Small:
    """A function that has memory for a few items at a time."""

    def __init__(self, most):
        self.most = most
        self.spans = []

    def __call__(self, low, high):
        if high - low > self.most:
            raise MemoryError("std::bad_alloc: out_of_memory")
        self.spans.append((low, high))
        return list(range(low, high))


@given(n=st.integers(0, 300), most=st.integers(1, 300))
def test_halves_cover_everything_once(n, most):
    function = Small(most)
    parts = list(memory.halving(function, n, libraries=LIBRARIES, what="rows", unit_bytes=8))
    assert [item for part in parts for item in part] == list(range(n))
    assert all(before == after for (_, before), (after, _) in pairwise(function.spans))


def test_one_logged_line_a_halving(caplog):
    with caplog.at_level(logging.WARNING):
        list(memory.halving(Small(30), 100, libraries=LIBRARIES, what="profiles", unit_bytes=8))
    assert [record.getMessage() for record in caplog.records] == [
        "device memory is full: going on with 50 profiles at a time",
        "device memory is full: going on with 25 profiles at a time",
    ]


def test_what_cannot_be_cut_further():
    with pytest.raises(DeviceMemoryError) as caught:
        list(memory.halving(Small(0), 100, libraries=LIBRARIES, what="profiles", unit_bytes=12_345))
    assert caught.value.exit_code == 4
    wanted = "the device has no memory for one of the profiles: about 12,345 bytes needed, "
    assert str(caught.value).startswith(f"{wanted}{60 << 30:,} of {80 << 30:,} free")
    assert "bad_alloc" not in str(caught.value)


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (lambda device, batch: device.asarray(np.zeros((3, 2), np.float32)), "an array: about 24 bytes"),
        (lambda device, batch: device.hash_ids(np.arange(10), 0), "hashes of ids: about 320 bytes"),
        (lambda device, batch: device.partition_to_host(batch, 7), "the order of a chunk's rows: about 12,800 bytes"),
    ],
    ids=["array", "hashes", "order"],
)
def test_what_cannot_be_cut_at_all(device, plan_of, step, what):
    (batch,) = device.scan(plan_of(world(1), columns=MAPPED, run={"as_of": "2019-01-01"}))

    class Full:
        def __getattr__(self, name):
            return Mock(side_effect=MemoryError) if name in ("asarray", "argsort") else getattr(LIBRARIES.cupy, name)

    device = GpuDevice(replace(LIBRARIES, cupy=Full()))
    with pytest.raises(DeviceMemoryError, match=f"no memory for {what} needed"):
        step(device, batch)


@pytest.fixture
def cramped(monkeypatch):
    """Makes a module's `halving` run out of memory for more than `most` items."""

    def limit(module, most):
        def halving(function, n, **options):
            def cut(low, high):
                if high - low > most:
                    raise MemoryError
                return function(low, high)

            return memory.halving(cut, n, **options)

        monkeypatch.setattr(module, "halving", halving)

    return limit


@pytest.mark.parametrize("text", [False, True], ids=["integers", "text"])
@pytest.mark.parametrize("most", [1, 7, 20])
def test_state_and_features_by_few_profiles(device, plan_of, cramped, text, most):
    plan = plan_of(world(3, text=text), columns=MAPPED)
    expected = state_of(CPU, plan)
    cramped(aggregate, most)
    cramped(evaluate, most)
    state = state_of(device, plan)
    assert {name: state[name].equals(table) for name, table in expected.items()} == dict.fromkeys(expected, True)
    crm = {"crm.attributes": attributes_of_some(expected, 1)}
    # Some profiles have cells and no orders, so that places differ from table to table.
    tables = {CELLS: state[CELLS], ORDERS: state[ORDERS].slice(state[ORDERS].num_rows // 2)} | crm
    found, twin = device.evaluate(tables, FEATURES), CPU.evaluate(tables, FEATURES)
    assert found.schema == twin.schema
    assert found.equals(twin)


def test_passes_over_small_blocks(device, cramped, monkeypatch):
    rng = np.random.default_rng(1)
    rows = (np.rint(rng.normal(size=(1_000, 5)) * 2**20) / 2**20).astype(np.float32)
    monkeypatch.setattr(lloyd, "BLOCK_ROWS", 300)
    cramped(lloyd, 70)
    found = device.assign_accumulate(device.asarray(rows), rows[:4], want_labels=True)
    expected = CPU.assign_accumulate(rows, rows[:4], want_labels=True)
    assert found.sums.tolist() == expected.sums.tolist()
    assert device.to_host(found.labels).tolist() == expected.labels.tolist()


def test_row_groups_one_by_one(device, plan_of, cramped, tmp_path):
    pq.write_table(world(8), tmp_path / "rows.parquet", row_group_size=50)
    plan = plan_of(None, uri=str(tmp_path / "rows.parquet"), columns=MAPPED)
    assert [batch.tally.rows_read for batch in device.scan(plan)] == [400]
    cramped(reading, 2)
    assert [batch.tally.rows_read for batch in device.scan(plan)] == [100] * 4


def test_sums_near_the_end_of_int64_are_the_processors_to_judge(device):
    def rows(*amounts):
        n = len(amounts)
        columns = {"profile_id": [1] * n, "at_us": list(range(n)), "amount_minor": list(amounts)}
        return pa.table(columns | {"day": pa.array([0] * n, pa.int32())})

    for amounts in ((2**62, 2**62 - 2**59), (-(2**63),), (2**62, 2**62), (2**62, -(2**62), 2**62)):
        results = []
        for which in (device, CPU):
            try:
                results.append(which.aggregate("purchases", {"orders": rows(*amounts)}, [])[CELLS].to_pylist())
            except ValueError as error:
                results.append(str(error))
        assert results[0] == results[1]


COUNTER = "StatisticsResourceAdaptor"


def chain():
    """The resource that was set last, and those above it."""
    found = list(CURRENT)
    while found[-1].above:
        found.append(found[-1].above[0])
    return found


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, [COUNTER, "CudaAsyncMemoryResource"]),
        ({"pool": "async", "pool_bytes": 2**30}, [COUNTER, "CudaAsyncMemoryResource"]),
        ({"pool": "pool", "pool_bytes": 2**30, "spill": False}, [COUNTER, "PoolMemoryResource", "CudaMemoryResource"]),
        ({"pool": "none"}, ["CudaMemoryResource"]),
    ],
    ids=str,
)
def test_allocators(settings, kinds):
    memory.apply(LIBRARIES, MemorySection(**settings))
    found = chain()
    assert [type(each).__name__ for each in found] == kinds
    assert {each.settings.get("initial_pool_size") for each in found} - {None} == set(
        [settings["pool_bytes"]] if "pool_bytes" in settings else []
    )
    assert OPTIONS["spill"] is settings.get("spill", True)


def test_the_size_of_a_pool_is_a_multiple_that_rmm_takes():
    memory.apply(LIBRARIES, MemorySection(pool="pool", pool_bytes=1_000_000_001))
    assert chain()[1].settings["initial_pool_size"] == 1_000_000_000


GIB = 1 << 30


@pytest.mark.parametrize(
    ("settings", "first", "later"),
    [
        ({"pool": "none"}, 0, [0, 0, 0]),
        # Half of what is free is taken at first.
        ({"pool": "pool"}, 30 * GIB, [26 * GIB, 0, 37 * GIB]),
        ({"pool": "pool", "pool_bytes": 2 * GIB}, 2 * GIB, [0, 0, 37 * GIB]),
        # The driver's pool tells no size, and holds no less than was ever in use.
        ({"pool": "async"}, 0, [0, 0, 37 * GIB]),
        ({"pool": "async", "pool_bytes": 6 * GIB}, 6 * GIB, [2 * GIB, 0, 37 * GIB]),
    ],
    ids=str,
)
def test_what_lies_unused_in_the_pool_is_free(settings, first, later):
    memory.apply(LIBRARIES, MemorySection(**settings))
    device = GpuDevice(LIBRARIES)
    assert device.free_bytes() == 60 * GIB + first
    for change, unused in zip((4, 36, -37), later, strict=True):
        for resource in chain():
            resource.taken(change * GIB)
        assert device.free_bytes() == 60 * GIB + unused
        assert device.held_bytes == 30 * GIB + unused // 2
    with pytest.raises(DeviceMemoryError, match=f"{60 * GIB + later[-1]:,} of {80 * GIB:,} free"):
        list(memory.halving(Small(0), 3, libraries=LIBRARIES, what="rows", unit_bytes=8))
    memory.apply(LIBRARIES, MemorySection(pool="none"))
    assert device.free_bytes() == 60 * GIB


def test_the_first_settings_of_a_process_hold(monkeypatch, caplog):
    applied = []
    monkeypatch.setattr(memory, "_SET_UP", [])
    monkeypatch.setattr(memory, "apply", lambda libraries, settings: applied.append(settings))
    first, other = MemorySection(), MemorySection(pool="pool")
    GpuDevice(LIBRARIES, memory=first)
    GpuDevice(LIBRARIES, memory=first)
    assert not caplog.records
    GpuDevice(LIBRARIES, memory=other)
    assert applied == [first]
    assert [record.getMessage() for record in caplog.records] == [
        "device memory was set up before in this process; `memory` of this run is not applied"
    ]


def test_a_pool_that_cannot_be_had_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(memory, "_SET_UP", [])
    libraries = stand_ins()

    def refuse(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(memory, "apply", refuse)
    with pytest.raises(
        DeviceMemoryError, match=r"no memory for the pool of memory.pool pool: about 1,000,000,001 bytes"
    ):
        memory.set_up(libraries, MemorySection(pool="pool", pool_bytes=1_000_000_001))
    assert memory._SET_UP == []
