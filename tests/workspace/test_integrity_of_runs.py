"""A whole run's files: each is promised, checked, free of where and when it was made, and equal for equal work."""

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import gpuseg as package
from gpuseg.errors import InvalidValueError
from gpuseg.pipeline import execute, read_config
from gpuseg.sources import reduce
from gpuseg.workspace.run_directory import RunDirectory
from tests.cli.shop import TEXT_ID, Shop, rows

PROMISED = ("state/", "features/", "model/", "assignments/", "segments.json")
EXEMPT = ("report.html", "manifest.json", "quality.json")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}

# Kills its own process with SIGKILL at the n-th call of one function, as a power cut would.
CRASH = """\
import os, signal, sys
from importlib import import_module
place, nth, *words = sys.argv[1:]
module, _, name = place.partition(":")
owner = import_module(module)
*parents, last = name.split(".")
for parent in parents:
    owner = getattr(owner, parent)
original, left = getattr(owner, last), [int(nth)]
def crash(*arguments, **options):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(owner, last, crash)
# Rows go to files at once, as those of large data do.
import_module("gpuseg.engine.spill").HELD_BYTES = 0
from gpuseg.cli import main
sys.exit(main(words))
"""


def files_of(version):
    return sorted(path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file())


def promised(version):
    return [name for name in files_of(version) if name.startswith(PROMISED)]


def test_the_manifest_names_every_file_with_checksum_size_and_rows(committed):
    manifest = json.loads((committed.current / "manifest.json").read_bytes())
    listed = {file["path"]: file for file in manifest["files"]}
    exempt = ("manifest.json", "run.jsonl")
    expected = {n for n in files_of(committed.current) if n not in exempt and not n.startswith(".stages/")}
    assert set(listed) == expected
    for name, file in listed.items():
        content = (committed.current / name).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["n_bytes"] == len(content)
        parquet = name.endswith(".parquet")
        assert file["n_rows"] == (pq.read_metadata(committed.current / name).num_rows if parquet else None)


def test_the_manifest_says_what_made_the_run(committed):
    manifest = json.loads((committed.current / "manifest.json").read_bytes())
    assert manifest["gpuseg"] == package.__version__
    assert manifest["version"] == "v0001"
    assert manifest["device"] == "cpu"
    assert manifest["seed"] == 0
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["config_sha256"])
    assert manifest["config"]["cluster"]["segments"] == 3
    assert manifest["inputs"] == {"orders": [str(committed.folder / "orders.csv")]}
    assert {"numpy", "pyarrow", "numba"} <= set(manifest["libraries"])
    assert manifest["tzdata"] not in ("", "unknown")
    assert list(manifest["stages"]) == ["validate", "features", "fit", "assign", "explain", "report"]
    dt.datetime.fromisoformat(manifest["created_at"])


KINDS = [
    "quality.json",
    "state/categories.parquet",
    "state/profiles/0000.parquet",
    "state/purchases.cells/0000.parquet",
    "state/purchases.orders/0000.parquet",
    "features/0000.parquet",
    "features/_features.json",
    "model/model.json",
    "model/centers.npy",
    "model/counts.npy",
    "model/means.npy",
    "assignments/0000.parquet",
    "segments.json",
    "explanations.json",
    "report.html",
    "MODEL_CARD.md",
]


def test_the_kinds_of_files_below_are_all_there_are(committed):
    assert {name for name in files_of(committed.current) if not name.startswith(".stages/")} == {
        *KINDS,
        "manifest.json",
        "run.jsonl",
    }


@pytest.mark.parametrize("name", [*KINDS, "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_verify_names_the_file_that_differs(copied, gpuseg, name, damage):
    path = copied.current / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    # Without its manifest a version is not finished, which CURRENT then names.
    named = copied.out / "CURRENT" if (name, damage) == ("manifest.json", "missing") else path
    told = gpuseg("--json", "verify", copied.out)
    assert told.code == 5
    assert told.err.startswith(f"gpuseg: error[integrity] {named}")
    assert len(told.lines) == 1
    assert told.content["error"]["code"] == "integrity"


def test_describe_of_damaged_cards(copied, gpuseg):
    (copied.current / "segments.json").write_bytes(b"{")
    told = gpuseg("describe", copied.out)
    assert (told.code, told.out) == (5, "")
    assert f"error[integrity] {copied.current / 'segments.json'}" in told.err


def test_promised_files_hold_no_clock_path_host_or_name(tmp_path, gpuseg):
    shop = Shop(tmp_path / "Zauberhaft")
    shop.folder.mkdir()
    shop.config["run"]["name"] = "Wunderladen Nord"
    shop.source["name"] = "orders"
    shop.csv(rows())
    assert gpuseg("run", shop.write()).code == 0
    today = dt.datetime.now(dt.UTC)
    secrets = [shop.config["run"]["name"], "Zauberhaft", str(tmp_path), "v0001", f"{today.year}-", f"/{today.year}"]
    # A host may be called by a word that a feature's label holds, such as `shop`.
    secrets += [socket.gethostname()] * (len(socket.gethostname()) > 8)
    names = promised(shop.current)
    assert len(names) == 12
    for name in names:
        content = (shop.current / name).read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, (name, secret)
    # The same search does find them where they are allowed.
    manifest = (shop.current / "manifest.json").read_bytes()
    assert all(secret.encode() in manifest for secret in ("Wunderladen Nord", str(tmp_path), f"{today.year}-"))


def test_equal_work_gives_equal_bytes(committed, tmp_path, gpuseg):
    """Another folder, run name, order of rows, chunk size, and a second version of the same run."""
    shop = Shop(tmp_path, committed.copy_config())
    content = rows()
    shop.csv({name: values[::-1] for name, values in content.items()})
    shop.config["run"] |= {"name": "another", "chunk_rows": 17}
    for _ in range(2):
        assert gpuseg("run", shop.write()).code == 0
    assert shop.current.name == "v0002"
    assert promised(shop.current) == promised(committed.current)
    for name in promised(committed.current):
        assert (shop.current / name).read_bytes() == (committed.current / name).read_bytes(), name


def test_reports_and_cards_hold_no_profile_id(committed):
    for name in ("report.html", "segments.json", "quality.json", "manifest.json", "model/model.json"):
        assert TEXT_ID.encode() not in (committed.current / name).read_bytes(), name


def test_a_resumed_run_does_not_build_on_damaged_files(shop, gpuseg):
    """The stages of an unfinished version are checked before another stage trusts them."""
    shutil.rmtree(shop.out)
    config = shop.write()
    assert gpuseg("fit", config).code == 0
    path = shop.out / "v0001" / "model" / "centers.npy"
    content = bytearray(path.read_bytes())
    content[-2] ^= 0x40
    path.write_bytes(content)
    told = gpuseg("run", config, "--resume")
    assert told.code == 5
    assert str(path) in told.err


@pytest.mark.parametrize("verb", [("run", "--resume"), ("report",), ("fit",)], ids=lambda verb: verb[0])
@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_finished_version_is_not_taken_as_it_is_where_files_are_damaged(shop, gpuseg, damage, verb):
    path = next((shop.current / "features").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(content)
    told = gpuseg(*verb, shop.write())
    what = "the file is missing" if damage == "missing" else "differs from the committed file"
    repair = "restore it, or make a new version with `gpuseg run` without --resume"
    assert (told.code, told.err) == (5, f"gpuseg: error[integrity] {path}: {what}; {repair}\n")
    assert gpuseg("run", shop.write()).code == 0


def test_a_finished_version_whose_manifest_was_altered(shop, gpuseg):
    path = shop.current / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    told = gpuseg("run", "--resume", shop.write())
    assert told.code == 5
    assert f"{path}: does not match its own checksum" in told.err


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_stages_are_not_taken_over_from_damaged_files(shop, gpuseg, damage):
    path = shop.current / "features" / "_features.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"spend", b"spelt"))
    shop.config["cluster"]["segments"] = 4
    told = gpuseg("fit", shop.write())
    assert told.code == 5
    assert str(path) in told.err


@pytest.mark.parametrize(
    ("place", "nth", "trace"),
    [
        # In the middle of reading, with scratch files open.
        ("gpuseg.engine.spill:RunWriter.append", 3, r"v0002/\.work/.+"),
        # A file written but not yet moved into place; the first call syncs the version's new folder.
        ("os:fsync", 2, r"v0002/.+\.tmp"),
        # All files of a stage in place, its record not.
        ("gpuseg.workspace.run_directory:Version.commit_stage", 2, r"v0002/features/_features\.json"),
        # Everything in place but for CURRENT.
        ("gpuseg.workspace.run_directory:write_text", 1, r"v0002/manifest\.json"),
    ],
    ids=["reading", "writing", "committing", "publishing"],
)
def test_kill_9_leaves_the_last_version(copied, gpuseg, place, nth, trace):
    copied.config["run"]["chunk_rows"] = 20
    config = copied.write()
    before = copied.tree()
    command = [sys.executable, "-c", CRASH, place, str(nth), "run", str(config)]
    killed = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert any(re.fullmatch(trace, name) for name in copied.tree()), "it was killed somewhere else"
    assert {name: content for name, content in copied.tree().items() if name in before} == before
    checked = gpuseg("--json", "verify", copied.out)
    assert (checked.code, checked.content["version"]) == (0, "v0001")

    told = gpuseg("--json", "run", config)
    assert told.code == 0
    assert gpuseg("verify", copied.out).code == 0
    version = Path(told.content["path"])
    assert copied.current == version
    assert not [name for name in files_of(version) if name.endswith(".tmp") or ".work" in name]
    for name in promised(version):
        assert (version / name).read_bytes() == (copied.out / "v0001" / name).read_bytes()


def test_kill_9_is_resumed_from_the_last_committed_stage(shop, gpuseg):
    shutil.rmtree(shop.out)
    config = shop.write()
    command = [sys.executable, "-c", CRASH, "gpuseg.workspace.run_directory:Version.commit_stage", "3", "run"]
    killed = subprocess.run([*command, str(config)], env=ENVIRONMENT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    told = gpuseg("--json", "run", config, "--resume")
    assert told.content["executed"] == ["fit", "assign", "explain", "report"]
    assert told.content["version"] == "v0001"
    assert gpuseg("verify", shop.out).code == 0


def test_a_failing_bucket_does_not_outrun_the_others(copied, monkeypatch):
    """A version is removed only after the threads that write into it have ended, else they would make it anew."""
    copied.config["run"]["buckets"] = 2
    config = read_config(copied.write())
    waiting, discarded = threading.Event(), threading.Event()
    original, discard = reduce.write_table, RunDirectory.discard

    def write(path, table, **options):
        if path.name == "0000.parquet":
            waiting.wait(10)
            raise InvalidValueError("bucket 0 is bad")
        waiting.set()
        discarded.wait(0.5)
        original(path, table, **options)

    def then_tell(self, version):
        discard(self, version)
        discarded.set()

    monkeypatch.setattr(reduce, "write_table", write)
    monkeypatch.setattr(RunDirectory, "discard", then_tell)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    with pytest.raises(InvalidValueError, match="bucket 0"):
        execute(config)
    assert waiting.is_set()
    assert [version.name for version in RunDirectory(copied.out).versions()] == ["v0001"]


def test_configurations_are_kept_as_they_were(committed):
    """The manifest's configuration is enough to run again."""
    manifest = json.loads((committed.current / "manifest.json").read_bytes())
    again = read_config(yaml.safe_load(yaml.safe_dump(manifest["config"])))
    assert again == read_config(committed.folder / "gpuseg.yaml")
