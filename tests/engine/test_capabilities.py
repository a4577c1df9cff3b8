import pytest

from gpuseg.engine.capabilities import CAPABILITIES, construct, library_parameters
from gpuseg.errors import UnsupportedOnDeviceError

# Our parameters, and what they must become.
PARAMETERS = {
    "kmeans": ({"n_segments": 3, "seed": 7}, {"n_clusters": 3, "random_state": 7}),
    "hdbscan": (
        {"min_cluster_size": 9, "min_samples": 4},
        {"min_cluster_size": 9, "min_samples": 4, "copy": True, "allow_single_cluster": False},
    ),
    "neighbors": ({"n_neighbors": 3}, {"n_neighbors": 3}),
}


@pytest.mark.parametrize("name", sorted(name for name, where in CAPABILITIES if where == "cpu"))
def test_every_row_of_the_cpu_constructs(name):
    assert name in PARAMETERS, f"the capability {name} has no test; add its parameters"
    ours, theirs = PARAMETERS[name]
    estimator = construct(name, "cpu", ours)
    assert estimator.get_params().items() >= theirs.items()
    module, _, attribute = CAPABILITIES[name, "cpu"].path.partition(":")
    assert type(estimator).__name__ == attribute
    assert type(estimator).__module__.startswith(module)


def test_an_unknown_algorithm_names_what_there_is(device):
    with pytest.raises(UnsupportedOnDeviceError) as caught:
        device.estimator("hdbscn")
    here = ", ".join(sorted(name for name, where in CAPABILITIES if where == device.name))
    assert str(caught.value) == f"hdbscn is not available on {device.name}, which has: {here}"
    assert caught.value.exit_code == 4


def test_an_algorithm_of_another_device_says_where_it_runs(monkeypatch):
    monkeypatch.setitem(CAPABILITIES, ("tsne", "elsewhere"), CAPABILITIES["kmeans", "cpu"])
    with pytest.raises(UnsupportedOnDeviceError, match=r"tsne is not available on cpu, .*; tsne runs on: elsewhere$"):
        construct("tsne", "cpu", {})
    with pytest.raises(UnsupportedOnDeviceError, match=r"^kmeans is not available on nowhere, which has: nothing; "):
        construct("kmeans", "nowhere", {})


def test_the_device_constructs_estimators(device):
    points = [[0.0], [0.1], [9.0], [9.1]]
    assert len(set(device.estimator("kmeans", n_segments=2, seed=0).fit(points).labels_)) == 2


def test_every_row_of_the_gpu_has_one_of_the_cpu_beside_it_but_solvers():
    on_gpu = {name for name, where in CAPABILITIES if where == "gpu"}
    assert on_gpu - {"solver cuml", "solver cuml over dask"} == {name for name, where in CAPABILITIES if where == "cpu"}


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("kmeans", {"n_segments": 3, "seed": 7}, {"n_clusters": 3, "random_state": 7, "n_init": 1}),
        ("kmeans", {"n_segments": 3, "n_init": 4}, {"n_clusters": 3, "n_init": 4}),
        ("hdbscan", {"min_cluster_size": 9, "min_samples": 4}, {"min_cluster_size": 9, "min_samples": 3}),
        ("hdbscan", {"min_samples": 2}, {"min_samples": 1}),
        ("hdbscan", {"min_samples": 1024}, {"min_samples": 1023}),
        ("neighbors", {"n_neighbors": 3}, {"n_neighbors": 3}),
    ],
)
def test_parameters_as_the_gpu_library_counts_them(name, ours, theirs):
    assert library_parameters(CAPABILITIES[name, "gpu"], ours, what=name) == theirs


@pytest.mark.parametrize(("given", "nearest"), [(1, 2), (1025, 1024)])
def test_a_value_that_a_library_does_not_take_is_refused(given, nearest):
    with pytest.raises(UnsupportedOnDeviceError) as caught:
        construct("hdbscan", "gpu", {"min_cluster_size": 5, "min_samples": given})
    assert str(caught.value) == (
        f"hdbscan on gpu: min_samples={given} must lie between 2 and 1024; nearest valid: {nearest}"
    )
