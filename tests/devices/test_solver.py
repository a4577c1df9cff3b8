"""Runs with cuML's K-means against gpuseg's own iterations on the CPU, on whatever spreads the work."""

import pytest
from sklearn.metrics import adjusted_rand_score

from tests.devices.test_agreement import assigned, processor, run_on, synthetic  # noqa: F401

DEVICES = ("gpu-logic", "gpu")


def test_the_segments_are_those_of_lloyd(engine, processor, tmp_path, monkeypatch, synthetic):  # noqa: F811
    table, columns, as_of = synthetic
    labels = [
        assigned(run_on(each, tmp_path / where, table, columns, as_of, monkeypatch, solver=solver))
        for each, where, solver in ((engine, "device", "cuml"), (processor, "cpu", "lloyd"))
    ]
    assert labels[0].index.equals(labels[1].index)
    assert labels[1].nunique() == 4
    assert adjusted_rand_score(*labels) >= 0.999


def test_the_same_again_within_its_tolerance(engine, tmp_path, monkeypatch, synthetic):  # noqa: F811
    table, columns, as_of = synthetic
    labels = [
        assigned(run_on(engine, tmp_path / again, table, columns, as_of, monkeypatch, solver="cuml"))
        for again in ("once", "twice")
    ]
    assert adjusted_rand_score(*labels) == pytest.approx(1.0, abs=1e-3)
