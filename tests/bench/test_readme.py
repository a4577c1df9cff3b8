import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "# Page\n\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nrest\n"
ABOUT = {
    "command": "python bench/some.py --repeats 2",
    "date": "2026-11-22T15:56:24+00:00",
    "hardware": {"cpu": "Some CPU", "cores": 2, "memory_bytes": 24 << 30},
    "versions": {"python": "3.11.7", "gpuseg": "0.1.0"},
}
HEAD = ["|  | gpuseg | best other | other / gpuseg | aim |", "| --- | --- | --- | --- | --- |"]


def costs(cpu, wall, peak_mib):
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak_bytes": peak_mib << 20}


def end_to_end():
    return ABOUT | {
        "parameters": {"events": 20_000_000, "segments": 8},
        "compared": {"n_profiles": 2_000_000},
        "medians": {"naive": costs(38.25, 34, 4106), "gpuseg": costs(11.9, 8.4, 905)},
        "ratios": {"cpu": 3.214, "wall": 4.0, "memory": 1.9},
        "bars": {"cpu": {"at_least": 3.0, "met": True}, "memory": {"at_least": 2.0, "met": False}},
        "compile": {"compile_seconds": 8.66},
        "runs": [{}],
    }


def features():
    run = {"gpuseg": costs(6.0, 1, 800), "polars": costs(9.0, 1, 2000), "duckdb": costs(12.0, 1, 1600)}
    return ABOUT | {
        "compared": {"polars": {"n_profiles": 2_000_000}, "duckdb": {"n_profiles": 2_000_000}},
        "medians": run,
        "bars": {
            "cpu_seconds": {"at_most": 0.8, "measured": 0.667, "met": True},
            "peak_bytes": {"at_most": 0.5, "measured": 0.4, "met": True},
        },
        "runs": [run, run, run],
    }


def case(d, own, faiss, other, *, bar, extra, latency=1e-5):
    def side(cpu, extra_bytes):
        names = ("latency_1_seconds", "latency_1000_seconds")
        return {"cpu_seconds": cpu, "extra_bytes": extra_bytes} | dict.fromkeys(names, latency * cpu)

    ratio = {"median": min(faiss, other) / own}
    names = ("cpu_seconds", "latency_1_seconds", "latency_1000_seconds")
    return {
        "rows": 2_000_000,
        "features": d,
        "centers": 8,
        "bytes": 1000,
        "medians": {"gpuseg": side(own, extra), "faiss": side(faiss, 400), "scikit-learn": side(other, 700)},
        "ratios": dict.fromkeys(names, ratio),
        "bar": {"at_least": bar, "met": ratio["median"] >= bar},
        "memory": {"extra_share": extra / 1000, "labels_share": 0.1, "at_most": 0.1, "met": extra <= 200},
    }


def grid():
    cases = [case(8, 1.0, 3.0, 4.0, bar=2.0, extra=150), case(32, 2.0, 3.5, 2.2, bar=1.3, extra=250)]
    return ABOUT | {"parameters": {"repeats": 3, "updates": 10}, "cases": cases}


def scaling():
    def judged(value, *, met):
        return {"at_most": 1.2, "measured": value, "met": met}

    return ABOUT | {
        "lines": [{"n_events": 20_000_000}, {"n_events": 5_000_000}],
        "judgements": {
            "local": {"memory": judged(1.0, met=True), "time": judged(0.9, met=True)},
            "dask-2": {"memory": judged(1.3, met=False), "time": judged(0.7, met=True)},
        },
    }


def accuracy():
    def one(own, peer, difference):
        figures = {"gpuseg kmeans": own, "KMeans": peer}
        held = {"peer": "KMeans", "difference": difference, "at_most_below": 0.02, "met": difference >= -0.02}
        return {
            "figures": {name: {"ari": {"median": value}} for name, value in figures.items()},
            "compared": {"gpuseg kmeans": held},
        }

    sets = [one(0.7, 0.7, 0.0), one(0.5, 0.541, -0.041), one(0.9, 0.8, 0.1)]
    return ABOUT | {"parameters": {"seeds": 15}, "sets": sets}


def cut():
    def line(what, segments, seconds):
        return {"what": what, "segments": segments, "wall_seconds": seconds, "cpu_seconds": 1.5 * seconds}

    judgements = [
        {"what": "stages fit and assign", "share": 0.06, "bar": 0.05, "met": False},
        {"what": "rows in memory", "share": 0.002, "bar": 0.05, "met": True},
        {"what": "whole command, wall time", "share": 0.1},
        {"what": "whole command, CPU time", "share": 0.12},
    ]
    lines = [line("run", 7, 40.0), line("cut", 2, 4.0), line("cut", 50, 3.0), line("run", 50, 41.0)]
    rows = {"rows": 5_000_000, "features": 16, "fit_seconds": 8.0, "cuts": [{"segments": 2, "seconds": 0.016}]}
    return ABOUT | {"lines": lines, "rows": rows, "judgements": judgements}


def density():
    agreement = [{"refused": None, "ari": 0.99}, {"refused": "too thin", "ari": None}, {"refused": None, "ari": 0.94}]
    times = [
        {"side": "exact", "rows": 80_000, "wall_seconds": 51.0},
        {"side": "micro", "rows": 5_000_000, "wall_seconds": 75.2},
        {"side": "micro", "rows": 1_000_000, "wall_seconds": 70.0},
    ]
    last = {"exact_seconds_extrapolated": 200_000.0, "from": 80_000, "share": 0.0005, "at_most": 0.1, "met": True}
    return ABOUT | {"agreement": agreement, "times": times, "judgements": [last]}


TABLE = {
    "end_to_end": [
        "| 20 M purchases of 2 M customers, Parquet to 8 segments: CPU seconds | 11.9 | 38.25 (pandas + scikit-learn) "
        "| 3.21x | 3x: met |",
        "| — wall seconds | 8.4 | 34 (pandas + scikit-learn) | 4.00x | none set |",
        "| — peak MiB | 905 | 4,106 (pandas + scikit-learn) | 1.90x | 2x: missed |",
    ],
    "features": [
        "| features of 2 M customers, Parquet to Parquet: CPU seconds | 6 | 9 (polars) | 1.50x "
        "| at most 0.8 of polars': 0.67, met |",
        "| — peak MiB | 800 | 1,600 (duckdb) | 2.00x | at most 0.5 of polars': 0.40, met |",
    ],
    "kmeans": [
        "| K-means, 10 updates of 2 M x 8 to 32 float32, k = 8: CPU seconds | 1 to 2 | 2.2 to 3 (faiss, scikit-learn) "
        "| 1.10x to 3.00x | 1.3x to 2x: missed at 1 of 2 |",
        "| — memory besides the rows, share of theirs | 15% to 25% | 40% |  "
        "| at most 10% without labels: missed at 1 of 2 |",
    ],
    "scoring": [
        "| nearest of given centers for 2 M x 8 to 32 float32, k = 8: CPU seconds | 1 to 2 "
        "| 2.2 to 3 (faiss, scikit-learn) | 1.10x to 3.00x | 1.3x to 2x: missed at 1 of 2 |",
        "| — memory besides the rows, share of theirs | 15% to 25% | 40% |  "
        "| at most 10% without labels: missed at 1 of 2 |",
        "| — wall microseconds of a call with 1 row, median | 10 to 20 | 22 to 30 (faiss, scikit-learn) "
        "| 1.10x to 3.00x | none set |",
        "| — wall microseconds of a call with 1,000 rows, median | 10 to 20 | 22 to 30 (faiss, scikit-learn) "
        "| 1.10x to 3.00x | none set |",
    ],
    "scaling": [
        "| runs of 5 M to 20 M purchases: time a customer, last / first | 0.90 (local), 0.70 (dask-2) |  |  "
        "| at most 1.2: met |",
        "| — peak memory, largest / smallest | 1.00 (local), 1.30 (dask-2) |  |  | at most 1.2: missed at 1 of 2 |",
    ],
    "cut": [
        "| `gpuseg cut` into 2 to 50 segments, share of the run's time: stages fit and assign | 6.0% |  |  "
        "| at most 5%: missed |",
        "| — `Segmenter.cut` of 5 M rows, share of the fit's time | 0.2% of 8 s |  |  | at most 5%: met |",
        "| — whole command, wall time | 10.0% of 40 s |  |  | none set |",
        "| — whole command, CPU time | 12.0% of 60 s |  |  | none set |",
    ],
    "density": [
        "| density on micro-clusters, agreement with exact HDBSCAN (ARI) in 2 of 3 cases, the rest refused "
        "| 0.940 at least |  |  | at least 0.95: missed at 1 of 2 |",
        "| — 5 M rows: seconds | 75 | 200,000 (scikit-learn, extrapolated from 80,000 rows) | 2,000x "
        "| at least 10x: met |",
    ],
    "accuracy": [
        "| agreement with known classes (ARI), median of 3 sets: kmeans | 0.700 | 0.700 (scikit-learn) |  "
        "| at most 0.02 below on each: missed at 1 of 3, by up to 0.041 |",
    ],
}
MADE = {"end_to_end": end_to_end, "features": features, "kmeans": grid, "scoring": grid, "scaling": scaling}
MADE |= {"cut": cut, "density": density, "accuracy": accuracy}
RUNS = {
    "end_to_end": "1 run of each",
    "features": "3 runs of each",
    "kmeans": "3 runs of each",
    "scoring": "3 runs of each",
    "scaling": "1 run of each",
    "cut": "1 run of each",
    "density": "1 run of each",
    "accuracy": "15 seeds",
}


def write(folder, *names):
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps(MADE[name]()))


def note(name):
    more = "; compiling took another 9 s, once on a machine" if name == "end_to_end" else ""
    return (
        f"- `{name}.json`: Some CPU, 2 cores, 24 GiB; python 3.11.7, gpuseg 0.1.0; 2026-11-22; {RUNS[name]}; "
        f"`python bench/some.py --repeats 2`{more}"
    )


@pytest.mark.parametrize("names", [[name] for name in MADE] + [list(MADE), ["scaling", "kmeans"]], ids="-".join)
def test_the_table_tells_the_files_that_are_there_in_their_order(load, tmp_path, names):
    write(tmp_path, *names)
    (tmp_path / "cpu_vs_gpu.json").write_text("{}")
    there = [name for name in MADE if name in names]
    expected = [*HEAD, *(line for name in there for line in TABLE[name]), "", *map(note, there)]
    assert load("readme").text(tmp_path).splitlines() == expected
    assert len(expected) <= 35


def test_nothing_measured_is_said(load, tmp_path):
    assert load("readme").text(tmp_path) == "Nothing has been measured yet."


def test_features_without_other_sides_have_no_line(load, tmp_path):
    alone = features() | {"medians": {"gpuseg": costs(6.0, 1, 800)}, "compared": {}, "bars": {}}
    (tmp_path / "features.json").write_text(json.dumps(alone))
    assert load("readme").text(tmp_path).splitlines() == [*HEAD, "", note("features")]


def test_purchases_that_were_given_have_no_number(load):
    given = end_to_end() | {"parameters": {"events": None, "segments": 8}}
    first = next(load("readme").end_to_end_lines(given))
    assert first.what == "purchases of 2 M customers, Parquet to 8 segments: CPU seconds"


def test_the_script_writes_between_the_marks_and_nothing_else(load, tmp_path):
    write(tmp_path, "scaling")
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert load("readme").main(["--results", str(tmp_path), "--page", str(page)]) == 0
    assert page.read_text() == PAGE.replace("old", "\n".join([*HEAD, *TABLE["scaling"], "", note("scaling")]))


@pytest.mark.parametrize("page", ["no marks", "<!-- bench: begin -->", "<!-- bench: end --><!-- bench: begin -->"])
def test_a_page_needs_both_marks_in_their_order(load, page):
    with pytest.raises(ValueError, match="the page lacks"):
        load("marks").replaced(page, "bench", "table")


def test_the_table_of_the_readme_is_that_of_the_results(load):
    readme = load("readme")
    page = readme.README.read_text("utf-8")
    assert load("marks").replaced(page, readme.MARK, readme.text(readme.RESULTS)) == page, "run bench/readme.py"


# --- make bench ---


def planned(*words):
    command = ["make", "-n", "-s", "-C", str(ROOT), "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "end_to_end features kmeans scoring scaling cut density accuracy"),
        (["BENCHES=kmeans features"], "features kmeans"),
        (["BENCHES="], ""),
    ],
    ids=["all", "some", "none"],
)
def test_make_measures_in_order_and_writes_the_table_last(words, expected):
    *_, measuring, writing = planned(*words).stdout.splitlines()
    assert f"for name in {expected}; do .venv-bench/bin/python bench/$name.py; done" in measuring
    assert measuring.startswith("set -e;")
    assert writing == ".venv-bench/bin/python bench/readme.py"
    assert all((ROOT / "bench" / f"{name}.py").exists() for name in expected.split())


def test_make_measures_the_files_of_the_table(load):
    measuring = planned().stdout.splitlines()[-2]
    assert f"for name in {' '.join(load('readme').LINES)};" in measuring


def test_make_refuses_a_benchmark_that_there_is_none_of():
    found = planned("BENCHES=kmeans none")
    assert found.returncode == 2
    assert "BENCHES can be some of: end_to_end features kmeans scoring scaling cut density accuracy" in found.stderr


def test_a_folder_that_is_none_leaves_the_page_as_it_was(load, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("measured")
    with pytest.raises(SystemExit):
        load("readme").main(["--results", str(tmp_path / "missing"), "--page", str(page)])
    assert "is no folder" in capsys.readouterr().err
    assert page.read_text() == "measured"
