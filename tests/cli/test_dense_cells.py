"""Runs whose dense groups are told on a sample weighted by micro-clusters."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.metrics import adjusted_rand_score

import gpuseg as package
from gpuseg.cli import main
from gpuseg.errors import ClusteringError, IntegrityError
from gpuseg.segments.reason_text import reasons_text
from gpuseg.segments.run import Run

# Clear enough for the checks.
CLEAR = {"min_cluster_size": 60, "min_samples": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dense")
    words = ["synth", "--profiles", "3000", "--events", "90000", "--out", str(folder / "data"), "--seed", "4"]
    assert main(words) == 0
    return folder / "data"


def made(data, name, *, buckets="auto", **cluster):
    content = yaml.safe_load((data / "gpuseg.yaml").read_text())
    content["run"] |= {"out": f"../{name}", "buckets": buckets}
    content["cluster"] = {"method": "hdbscan"} | CLEAR | cluster
    path = data / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return package.run(path)


@pytest.fixture(scope="module")
def exact(data):
    return made(data, "exact", resolution="profiles")


@pytest.fixture(scope="module")
def cells(data):
    return made(data, "cells", resolution="micro_clusters")


def labels(run):
    return run.assignments().sort_values("profile_id").segment_id.to_numpy()


def test_it_agrees_with_the_exact_algorithm(exact, cells):
    assert exact.segments["choice"]["resolution"] == "profiles"
    choice = cells.segments["choice"]
    assert choice["resolution"] == "micro_clusters"
    assert 0.95 <= choice["agreement"] <= 1
    assert "on a sample weighted by micro-clusters found" in choice["reason"]
    assert exact.segments["n_segments"] == cells.segments["n_segments"] > 1
    assert adjusted_rand_score(labels(exact), labels(cells)) >= 0.95
    assert abs(exact.segments["n_noise"] - cells.segments["n_noise"]) < 0.02 * 3000


def test_the_model_places_profiles_as_the_run_does(cells):
    features, people = cells.features(), cells.assignments().set_index("profile_id")
    placed = package.load(cells.path).predict(features, engine="cpu").set_index("profile_id")
    theirs = people.loc[placed.index]
    assert placed.segment_id.tolist() == theirs.segment_id.tolist()
    np.testing.assert_array_equal(placed.distance, theirs.distance)
    np.testing.assert_array_equal(placed.confidence, theirs.confidence)
    assert ((placed.confidence > 0) == (placed.segment_id >= 0)).all()
    assert placed.confidence.between(0, 1).all()


def test_figures_of_the_model_are_those_of_its_profiles(cells):
    model, people = cells.model, cells.assignments().set_index("profile_id")
    features = cells.features()
    rows = model.transform.apply(pa.Table.from_pandas(features)).astype(float)
    own = people.loc[features.profile_id].segment_id.to_numpy()
    for segment in range(model.n_segments):
        mine = rows[own == segment]
        assert model.counts[segment] == len(mine)
        np.testing.assert_allclose(model.means[segment], mine.mean(axis=0), rtol=1e-9, atol=1e-12)
        typical = np.sqrt(((mine - mine.mean(axis=0)) ** 2).sum(axis=1).mean())
        assert model.placer.typical_distance(segment) == pytest.approx(typical, rel=1e-6)
    count, mean = model.placer.noise()
    assert count == (own < 0).sum() == cells.segments["n_noise"]
    np.testing.assert_allclose(mean, rows[own < 0].mean(axis=0), rtol=1e-6, atol=1e-9)
    inside = own >= 0
    inertia = ((rows[inside] - model.means[own[inside]]) ** 2).sum()
    assert model.inertia == pytest.approx(inertia, rel=1e-6)


@pytest.mark.parametrize("buckets", [1, 5])
def test_buckets_do_not_change_segments(data, cells, buckets):
    other = made(data, f"buckets{buckets}", buckets=buckets, resolution="micro_clusters")
    assert labels(other).tolist() == labels(cells).tolist()
    for name in ("model.json", "centers.npy", "cells_centers.npy", "cells_reaches.npy", "cells_noise.npy"):
        assert (other.path / "model" / name).read_bytes() == (cells.path / "model" / name).read_bytes()


def test_noise_may_join_the_nearest(data, cells):
    joined = made(data, "joined", resolution="micro_clusters", noise="nearest")
    content = joined.segments
    assert content["n_noise"] == 0
    assert joined.model.placer.noise() is None
    people, before = joined.assignments(), labels(cells)
    people = people.sort_values("profile_id")
    assert (people.segment_id >= 0).all()
    assert ((people.confidence == 0).to_numpy() == (before < 0)).all()


def test_noise_and_members_are_told_why(cells):
    people = cells.assignments()
    for status in ("noise", "assigned"):
        told = cells.explain(people[people.segment_status == status].iloc[0].profile_id)
        assert told["status"] == status
        assert reasons_text(told)
    noise = cells.explain(people[people.segment_status == "noise"].iloc[0].profile_id)
    assert noise["runner_up"]["typical_distance"] > 0


def test_what_takes_too_long_goes_through_micro_clusters(data, monkeypatch, cells):
    monkeypatch.setattr("gpuseg.clustering.cost.EXACT_SECONDS", 0.0)
    chosen = made(data, "chosen")
    assert labels(chosen).tolist() == labels(cells).tolist()


def refuses(*_, **__):
    raise ClusteringError("cells cannot keep them apart")


def test_where_micro_clusters_are_refused_the_exact_algorithm_steps_in(data, exact, monkeypatch):
    monkeypatch.setattr("gpuseg.clustering.cost.EXACT_SECONDS", 0.0)
    monkeypatch.setattr("gpuseg.segments.methods.dense_cells.fit_micro_density", refuses)
    fallen = made(data, "fallen")
    assert fallen.segments["choice"]["resolution"] == "profiles"
    assert labels(fallen).tolist() == labels(exact).tolist()


def test_neither_may_be_possible(data, monkeypatch):
    monkeypatch.setattr("gpuseg.segments.methods.dense_cells.fit_micro_density", refuses)
    with pytest.raises(ClusteringError, match=r"^cells cannot keep them apart$"):
        made(data, "refused", resolution="micro_clusters")
    monkeypatch.setattr("gpuseg.engine.cpu.device.free_bytes", lambda: 1000)
    with pytest.raises(ClusteringError, match="cells cannot keep them apart; nor can all of them be compared: exact"):
        made(data, "neither")


def test_too_small_groups_are_one_line(data, gpuseg):
    content = yaml.safe_load((data / "gpuseg.yaml").read_text())
    content["run"]["out"] = "../small"
    content["cluster"] = {"method": "hdbscan", "resolution": "micro_clusters", "min_cluster_size": 3000}
    (data / "small.yaml").write_text(yaml.safe_dump(content))
    told = gpuseg("run", data / "small.yaml")
    assert told.code == 3
    assert len([line for line in told.lines if "error[" in line]) == 1


def test_a_damaged_cell_is_found(cells, tmp_path):
    shutil.copytree(cells.path.parent, tmp_path / "run")
    path = tmp_path / "run" / cells.version / "model" / "cells_reaches.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IntegrityError, match=r"cells_reaches\.npy"):
        package.load(tmp_path / "run")
    assert json.loads((cells.path / "model" / "model.json").read_text())["method"] == "hdbscan"


def test_the_handle_reads_it_again(cells):
    again = Run(cells.path).model
    assert again.placer.density.agreement == cells.segments["choice"]["agreement"]
