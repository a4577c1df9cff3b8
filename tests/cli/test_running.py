"""Runs as a person makes them: a starter configuration edited, other names, odd ids, stages one by one."""

import csv
import json
import re
import resource
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.cli.shop import N_ROWS, Shop, rows

ODD_IDS = [
    "00001",
    "1",
    "01",
    "🛒🧺",
    "é",
    "e\u0301",
    "Straße, 5",
    'the "best" one',
    "two\nlines",
    "two\r\nlines",
    "a\ttab",
    " leading",
    "trailing ",
    "NULL",
    "NaN",
    "N/A",
    "true",
    "1e5",
    "0x1F",
    "-",
    "İstanbul",
    "\u200bzero width",
    "'quoted'",
    "#comment",
    "=1+1",
    "x" * 300,
    "ﷺ",
    "\U0010ffff",
]
ROOM = ("validate", "features", "fit", "assign", "explain", "report")
# `gpuseg explain` looks at a finished run; the stage of that name runs with `report`.
STEPS = tuple(stage for stage in ROOM if stage != "explain")


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def bytes_of(folder):
    return {name: path.read_bytes() for name, path in files(folder).items()}


@pytest.fixture
def edited(tmp_path, gpuseg):
    """The starter configuration, edited for a file with other names and text ids."""
    gpuseg("init", tmp_path)
    path = tmp_path / "gpuseg.yaml"
    text = path.read_text(encoding="utf-8")
    names = {"uri": "Verkäufe.csv", "profile_id": "Kunde", "at": "wann, genau", "amount": "Preis", "order_id": "Bon"}
    for key, value in (names | {"category": "Abteilung"}).items():
        text, n = re.subn(rf"^( +{key}: )(\".*?\"|[a-z_]+)", rf'\1"{value}"', text, count=1, flags=re.MULTILINE)
        assert n == 1, key
    path.write_text(text, encoding="utf-8")
    with (tmp_path / "Verkäufe.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Bon", "wann, genau", "unused", "Kunde", "Preis", "Abteilung"])
        for number in range(len(ODD_IDS) * 6):
            who = ODD_IDS[number % len(ODD_IDS)]
            price = f"{(number * 7919) % 5000 / 100:.2f}"
            writer.writerow([number // 2, f"2025-{number % 12 + 1:02d}-15 10:00", "x", who, price, f"D{number % 4}"])
    return path


def test_init_then_edit_then_run(edited, gpuseg):
    told = gpuseg("--json", "run", edited)
    assert told.code == 0, told.err
    version = edited.parent / "runs" / "shop" / "v0001"
    assert told.content["path"] == str(version)
    table = pa.concat_tables([pq.read_table(path) for path in sorted((version / "assignments").iterdir())])
    assert Counter(table["profile_id"].to_pylist()) == dict.fromkeys(ODD_IDS, 1)
    assert [name.encode() for name in table["profile_id"].to_pylist()] == sorted(name.encode() for name in ODD_IDS)
    assert set(table["segment_status"].to_pylist()) == {"assigned"}
    listed = json.loads((version / "features" / "_features.json").read_bytes())
    assert {f"share_D{n}" for n in range(4)} <= {feature["name"] for feature in listed}


def test_odd_ids_survive_any_number_of_buckets(edited, gpuseg):
    found = []
    for buckets in (1, 5):
        content = yaml.safe_load(edited.read_text(encoding="utf-8"))
        content["run"] |= {"buckets": buckets, "out": f"runs/{buckets}"}
        edited.write_text(yaml.safe_dump(content), encoding="utf-8")
        assert gpuseg("run", edited).code == 0
        folder = edited.parent / "runs" / str(buckets) / "v0001" / "assignments"
        assert len(list(folder.iterdir())) == buckets
        table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())])
        found.append(sorted(table.to_pylist(), key=lambda row: row["profile_id"].encode()))
    assert found[0] == found[1]


# --- stages one by one ---


def test_stages_one_by_one_are_a_run(shop, gpuseg):
    """Each verb adds its stage to one version; the last one publishes it, equal to what `run` makes."""
    whole = bytes_of(shop.current)
    shop.config["run"]["out"] = "steps"
    config = shop.write()
    steps = Shop(shop.folder, shop.config).folder / "steps"
    for stage in STEPS:
        content = gpuseg("--json", stage, config).content
        assert content["executed"] == (["explain", "report"] if stage == "report" else [stage])
        assert content["version"] == "v0001"
        assert list(content["stages"]) == list(ROOM[: ROOM.index(stage) + 1])
        assert (steps / "CURRENT").exists() is (stage == "report")
        assert content["complete"] is (stage == "report")
    assert gpuseg("verify", steps).code == 0
    for name, content in bytes_of(steps / "v0001").items():
        if name not in ("manifest.json", "report.html", "run.jsonl") and not name.startswith(".stages"):
            assert content == whole[name], name


def test_a_change_of_segments_takes_over_state_and_features(shop, gpuseg):
    before = files(shop.current)
    shop.config["cluster"]["segments"] = 4
    config = shop.write()
    content = gpuseg("--json", "fit", config).content
    assert content["executed"] == ["fit"]
    assert (content["version"], content["complete"]) == ("v0002", False)
    taken = files(shop.out / "v0002")
    for name, path in before.items():
        if name.startswith(("state/", "features/")) or name == "quality.json":
            assert taken[name].samefile(path) or taken[name].read_bytes() == path.read_bytes()
    assert gpuseg("--json", "report", config).content["executed"] == ["assign", "explain", "report"]
    assert shop.current.name == "v0002"
    assert gpuseg("verify", shop.out).code == 0
    assert gpuseg("verify", shop.out / "v0001").code == 0
    assert len(json.loads((shop.current / "segments.json").read_bytes())["segments"]) == 4


@pytest.mark.parametrize(
    ("section", "key", "value", "rerun"),
    [
        ("features", "windows_days", [14], ("features", "fit", "assign", "explain", "report")),
        ("features", "families", ["rfm"], ("features", "fit", "assign", "explain", "report")),
        ("run", "as_of", "2017-12-01", ROOM),
        ("run", "timezone", "America/New_York", ROOM),
        ("run", "amount_scale", 100, ROOM),
        ("run", "buckets", 3, ROOM),
        ("quality", "max_null_share", 0.5, ROOM),
        ("run", "seed", 1, ("fit", "assign", "explain", "report")),
        ("matrix", "clip", 3.0, ("fit", "assign", "explain", "report")),
        ("run", "name", "another", ("report",)),
        ("run", "chunk_rows", 50, ()),
    ],
)
def test_what_a_change_makes_run_again(shop, gpuseg, section, key, value, rerun):
    shop.config.setdefault(section, {})[key] = value
    told = gpuseg("--json", "report", shop.write())
    assert told.code == 0, told.err
    assert told.content["executed"] == list(rerun)
    assert shop.current.name == ("v0002" if rerun else "v0001")
    assert gpuseg("verify", shop.out).code == 0
    # What was taken over and what was made anew fit together: a fresh run gives the same.
    assert gpuseg("run", shop.write()).code == 0
    fresh, reused = bytes_of(shop.current), bytes_of(shop.out / told.content["version"])
    for name in fresh:
        if name.startswith(("state", "features", "model", "assignments", "segments")):
            assert fresh[name] == reused[name], name


def test_a_change_of_the_data_is_noticed(shop, gpuseg):
    config = shop.write()
    content = rows()
    content["money"][3] += 1
    shop.csv(content)
    told = gpuseg("--json", "validate", config)
    assert told.content["executed"] == ["validate"]
    assert told.content["version"] == "v0002"


def test_a_stage_verb_on_a_finished_run_changes_nothing(shop, gpuseg):
    before = shop.tree()
    for stage in STEPS:
        told = gpuseg("--json", stage, shop.write())
        assert (told.code, told.content["executed"], told.content["version"]) == (0, [], "v0001")
    assert shop.tree() == before


# --- resume ---


def test_resume_goes_on_with_an_unfinished_version(shop, gpuseg):
    config = shop.write()
    shop.config["cluster"]["segments"] = 5
    config = shop.write()
    assert gpuseg("fit", config).code == 0
    model = (shop.out / "v0002" / "model" / "centers.npy").stat()
    content = gpuseg("--json", "run", config, "--resume").content
    assert content["executed"] == ["assign", "explain", "report"]
    assert content["version"] == shop.current.name == "v0002"
    assert (shop.current / "model" / "centers.npy").stat().st_mtime_ns == model.st_mtime_ns
    assert gpuseg("verify", shop.out).code == 0


def test_resume_starts_a_version_where_there_is_none(shop, gpuseg):
    shop.config["run"]["out"] = "first"
    content = gpuseg("--json", "run", "--resume", shop.write()).content
    assert (content["executed"], content["version"], content["complete"]) == (list(ROOM), "v0001", True)


def test_resume_of_a_complete_version_does_nothing(shop, gpuseg):
    config = shop.write()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(shop.out.rglob("v*"))}
    before |= {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files(shop.out / "v0001").values()}
    for _ in range(2):
        told = gpuseg("--json", "run", config, "--resume")
        assert told.code == 0
        assert told.content["executed"] == []
        assert told.content["version"] == "v0001"
    assert [path.name for path in shop.out.glob("v*")] == ["v0001"]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before


def test_resume_does_not_depend_on_the_current_folder(shop, gpuseg, monkeypatch):
    """The data is the same wherever the command is typed."""
    shop.write()
    monkeypatch.chdir(shop.folder)
    assert gpuseg("--json", "run", "gpuseg.yaml").content["version"] == "v0002"
    monkeypatch.chdir(shop.folder.parent)
    told = gpuseg("--json", "run", f"{shop.folder.name}/gpuseg.yaml", "--resume")
    assert told.content["executed"] == []
    assert told.content["version"] == "v0002"


def test_resume_with_other_settings_redoes_what_they_touch(shop, gpuseg):
    shop.config["cluster"]["segments"] = 5
    assert gpuseg("assign", shop.write()).code == 0
    shop.config["features"] = {"windows_days": [60]}
    content = gpuseg("--json", "run", "--resume", shop.write()).content
    assert content["executed"] == ["features", "fit", "assign", "explain", "report"]
    assert content["version"] == "v0002"
    listed = json.loads((shop.current / "features" / "_features.json").read_bytes())
    assert "n_orders_60d" in {feature["name"] for feature in listed}
    assert "n_orders_30d" not in {feature["name"] for feature in listed}
    assert gpuseg("verify", shop.out).code == 0


def test_a_fresh_run_replaces_an_unfinished_version(shop, gpuseg):
    shop.config["cluster"]["segments"] = 5
    assert gpuseg("fit", shop.write()).code == 0
    content = gpuseg("--json", "run", shop.write()).content
    assert (content["version"], content["executed"]) == ("v0002", list(ROOM))
    assert [path.name for path in sorted(shop.out.glob("v*"))] == ["v0001", "v0002"]


# --- limits of the machine ---


def test_many_buckets_within_the_open_files_that_a_process_may_have(shop, gpuseg):
    """256 files at once are common; where more are needed than allowed, one line says so."""
    content = rows(N_ROWS * 5)
    content["customer"] = [f"id-{number}" for number in range(N_ROWS * 5)]
    content["dept"] = ["Food"] * (N_ROWS * 5)
    shop.csv(content)
    shop.config["run"]["buckets"] = 1024
    config = shop.write()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        told = gpuseg("validate", config)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert told.code in (0, 4)
    if told.code:
        assert len(told.lines) == 1
        assert told.err.startswith("gpuseg: error[")
        assert [path.name for path in shop.out.glob("v*")] == ["v0001"]


def test_the_folder_of_features_reads_as_one_table(copied):
    import pandas as pd

    frame = pd.read_parquet(copied.current / "features")
    assert len(frame) == frame["profile_id"].nunique() > 1
    assert "n_orders" in frame.columns
