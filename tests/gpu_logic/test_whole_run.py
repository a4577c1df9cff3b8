"""A whole run on the GPU's code with stand-ins writes the bytes that a run on the CPU writes."""

import hashlib
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg.pipeline
from gpuseg.config import parse_config
from gpuseg.engine import Engine
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.engine.local import LocalExecutor
from tests.gpu_logic.test_equal_bits import MAPPED, world
from tests.rapids.stand_ins import stand_ins

EXACT = ("state", "features", "model", "assignments", "segments.json")


def digests(folder):
    """SHA-256 of every file whose bytes no clock or device may change."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = {str(path.relative_to(folder)): path for path in files if path.relative_to(folder).parts[0] in EXACT}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in kept.items()}


def two_groups(n=60):
    """Profiles that come once, and profiles that come every week."""
    rng = np.random.default_rng(9)
    visits = [(id_, week) for id_ in range(n) for week in (range(1) if id_ % 2 else range(25))]
    at = [1_500_000_000 + week * 7 * 86_400 + int(rng.integers(86_400)) for _, week in visits]
    columns = {"id": [id_ for id_, _ in visits], "amount": [20 + id_ % 2 * 50 + rng.random() for id_, _ in visits]}
    times = pa.array([second * 10**6 for second in at], pa.timestamp("us"))
    return pa.table(columns | {"at": times, "order": list(range(len(at))), "category": ["a"] * len(at)})


@pytest.mark.parametrize(
    "cluster",
    [{"segments": 3}, {"segments": "auto"}, {"method": "hdbscan", "min_cluster_size": 5}],
    ids=["three", "auto", "hdbscan"],
)
@pytest.mark.parametrize("text", [False, True], ids=["integers", "text"])
def test_the_same_bytes(tmp_path, monkeypatch, text, cluster):
    table = two_groups() if "method" in cluster else world(5, text=text, n=3_000)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=700)
    source = {"name": "shop", "kind": "purchases", "uri": str(tmp_path / "rows.parquet"), "columns": MAPPED}
    found = []
    for device in (CpuDevice(), GpuDevice(stand_ins())):

        @contextmanager
        def opened(device=device, **_):
            workers = LocalExecutor(2)
            try:
                yield Engine(device, workers, device.name, workers)
            finally:
                workers.close()

        monkeypatch.setattr(gpuseg.pipeline, "open_engine", opened)
        out = tmp_path / device.name
        run = {
            "out": str(out),
            "as_of": "2018-01-01",
            "timezone": "America/New_York",
            "buckets": 3,
            "chunk_rows": 1_000,
        }
        config = parse_config({"run": run, "sources": [source], "cluster": cluster})
        outcome = gpuseg.pipeline.execute(config)
        found.append(digests(outcome.version.path))
    assert found[0]
    assert {name.split("/")[0] for name in found[0]} == set(EXACT)
    assert found[0] == found[1]
