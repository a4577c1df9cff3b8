import json
from pathlib import Path

import numpy as np
import pytest

TINY = ["--rows", "3000", "--features", "4", "--clusters", "2,3", "--iterations", "2", "--hdbscan-rows", "600,700"]
TINY += ["--cpu-hdbscan-most", "600", "--profiles", "300", "--events", "3000", "--repeats", "2"]


@pytest.fixture
def bench(load, monkeypatch):
    """The benchmark with every command run inside this process."""
    runs, worker, measure = load("gpu_runs"), load("worker"), load("measure")
    module = load("cpu_vs_gpu")

    def process(self, command):
        assert Path(command[0]).name == "worker.py"
        worker.main(command[1:])
        return measure.Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29)

    monkeypatch.setattr(runs.RunCase, "_run", process)
    monkeypatch.setattr(runs, "TINY_PROFILES", 50)
    monkeypatch.setattr(runs, "TINY_EVENTS", 500)
    return module


@pytest.fixture
def measured(bench, tmp_path, capsys, monkeypatch):
    """Run it, and give its exit code, its results and its table."""

    def run(*words):
        out = tmp_path / "results" / "cpu_vs_gpu.json"
        code = bench.main([*TINY, *words, "--out", str(out), "--scratch", str(tmp_path)])
        shown = capsys.readouterr().out
        assert shown == out.with_suffix(".md").read_text()
        assert [path.name for path in tmp_path.iterdir()] == ["results"]
        return code, json.loads(out.read_text()), shown

    return run


@pytest.fixture
def both(bench, played_gpu, monkeypatch):
    monkeypatch.setattr(bench, "find_gpus", lambda: played_gpu)


def test_both_devices_agree_and_are_timed(both, measured):
    code, results, table = measured()
    assert code == 0, table
    cases = results["cases"]
    names = ["run", *["kmeans"] * 2, *["library kmeans"] * 2, "scoring", *["hdbscan"] * 2]
    assert [case["case"] for case in cases] == names
    for case in cases[:-1]:
        assert list(case["seconds"]) == ["cpu", "gpu"]
        assert set(case["seconds"]["cpu"]) == set(case["seconds"]["gpu"])
        assert case["agreed"]
    assert cases[0]["agreed"] == {"equal_features": True, "equal_segments_share": 1.0}
    assert {"whole process", "files to features", "stage fit"} <= set(cases[0]["seconds"]["gpu"])
    assert cases[1]["agreed"]["equal_bits"] is True
    assert cases[-2]["agreed"] == {"ari": 1.0}
    # More rows than the CPU is asked for.
    assert list(cases[-1]["seconds"]) == ["gpu"]
    assert results["hardware"]["gpus"] == [{"name": "Stand-in", "total_bytes": 80 << 30}]
    assert results["no_gpu_because"] is None
    assert {"command", "date", "versions", "parameters"} <= set(results)
    assert "| case | cpu, s | gpu, s | cpu/gpu | agreement |" in table
    assert "Stand-in (80 GiB), driver 580.1, CUDA 13.0" in table
    assert "| not run | " in table


def test_without_a_gpu_its_columns_are_absent(bench, measured, monkeypatch):
    from gpuseg.engine.hardware import Hardware

    monkeypatch.setattr(bench, "find_gpus", lambda: Hardware(problem="no NVIDIA driver on this machine"))
    code, results, table = measured("--cases", "kmeans,hdbscan")
    assert code == 0
    assert results["devices"] == ["cpu"]
    assert [list(case["seconds"]) for case in results["cases"]] == [["cpu"], ["cpu"], ["cpu"], []]
    assert "No GPU was measured: no NVIDIA driver on this machine." in table
    assert "| case | cpu, s |\n" in table


def test_a_gpu_that_is_asked_for_must_be_there(bench, tmp_path, capsys, monkeypatch):
    from gpuseg.engine.hardware import Hardware

    monkeypatch.setattr(bench, "find_gpus", lambda: Hardware(problem="no NVIDIA driver on this machine"))
    assert bench.main(["--devices", "cpu,gpu", "--out", str(tmp_path / "out.json")]) == 1
    assert capsys.readouterr() == ("", "cpu_vs_gpu: error: no NVIDIA driver on this machine\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--cases", "kmeans,sorting"], ["--devices", "tpu"]], ids=["a case", "a device"])
def test_what_does_not_exist_is_refused(bench, capsys, words):
    with pytest.raises(SystemExit) as caught:
        bench.main(words)
    assert caught.value.code == 2
    assert "there is no '" in capsys.readouterr().err


def test_a_difference_is_told_in_place_of_times(both, measured, load, monkeypatch):
    cases = load("gpu_cases")
    right = cases.lloyd
    calls = []

    def wrong(*args, **options):
        fit = right(*args, **options)
        calls.append(options["device"].name)
        return fit if calls[-1] == "cpu" else cases_replace(fit, inertia=fit.inertia * 1.001)

    from dataclasses import replace as cases_replace

    monkeypatch.setattr(cases, "lloyd", wrong)
    code, results, table = measured("--cases", "kmeans,scoring")
    assert code == 1
    first, _, scoring = results["cases"]
    assert first["mismatch"].startswith("inertia differs by 1.0e-03")
    assert "seconds" not in first
    assert "| failed | failed |  | inertia differs by" in table
    assert scoring["agreed"] == {"equal_labels": True}


def test_a_case_that_fails_does_not_end_the_others(both, measured, load, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no | kernel\nimage")

    monkeypatch.setattr(load("gpu_cases"), "fit_density", broken)
    code, results, table = measured("--cases", "hdbscan,scoring")
    assert code == 1
    assert results["cases"][0]["error"] == "RuntimeError: no | kernel\nimage"
    assert "RuntimeError: no / kernel image |" in table
    assert "seconds" in results["cases"][-1]


def test_runs_that_differ_are_found(load, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    runs, cases = load("gpu_runs"), load("gpu_cases")

    def version(name, recency, segments):
        for folder, columns in (
            ("features", {"recency_days": recency}),
            ("assignments", {"segment_id": pa.array(segments, pa.int32())}),
        ):
            (tmp_path / name / folder).mkdir(parents=True)
            pq.write_table(pa.table({"profile_id": [1, 2], **columns}), tmp_path / name / folder / "0.parquet")
        return tmp_path / name

    good = version("good", [3, 4], [0, 1])
    assert runs.compare_versions(good, good) == {"equal_features": True, "equal_segments_share": 1.0}
    with pytest.raises(cases.MismatchError, match=r"features/0\.parquet: column recency_days differs"):
        runs.compare_versions(good, version("other features", [3, 5], [0, 1]))
    with pytest.raises(cases.MismatchError, match="1 of 2 profiles are in another segment"):
        runs.compare_versions(good, version("other segments", [3, 4], [0, 0]))


def test_rows_lie_on_the_grid_and_do_not_depend_on_their_number(load):
    cases = load("gpu_cases")
    rows = cases.blobs(500, 3, 0)
    assert rows.dtype == np.float32
    assert np.array_equal(np.rint(rows * 2.0**20), rows * 2.0**20)
    assert cases.blobs(500, 3, 1).tolist() != rows.tolist()


def test_a_small_benchmark_is_small(bench):
    options = bench.parsed(["--small", "--rows", "99"])
    assert (options.rows, options.repeats) == (100_000, 1)
    assert bench.parsed([]).rows == 10_000_000
