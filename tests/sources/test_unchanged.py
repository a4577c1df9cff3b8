"""Files that change between the plan and the end of reading are found."""

import os

import fsspec
import pytest

from gpuseg.errors import IntegrityError
from gpuseg.pipeline import execute
from gpuseg.progress import Progress
from gpuseg.sources.locate import check_unchanged
from gpuseg.sources.plan import plan_sources

ROWS = "profile_id,at,amount\na,2017-01-01,1.5\n"


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    if request.param == "local":
        yield str(tmp_path)
        return
    yield "memory://gpuseg-unchanged"
    fsspec.filesystem("memory").rm("/gpuseg-unchanged", recursive=True)


def put(path, text):
    with fsspec.open(path, "w", newline="") as handle:
        handle.write(text)


def shown(path):
    return path.replace("memory://", "memory:///")


@pytest.fixture
def located(root, config_of):
    for name in ("a", "b"):
        put(f"{root}/{name}.csv", ROWS)
    put(f"{root}/map.csv.gz", "key,profile_id\na,b\n")
    identity = {"uri": f"{root}/map.csv.gz"}
    source = {"name": "orders", "kind": "purchases", "uri": f"{root}/*.csv", "identity": identity}
    return plan_sources(config_of(source)).located


def test_what_stayed_as_it_was_passes(located):
    check_unchanged(located)
    check_unchanged(())


@pytest.mark.parametrize("text", [ROWS + "b,2017-01-01,1\n", ROWS.replace("1.5", "2.5")], ids=["longer", "as long"])
@pytest.mark.parametrize("name", ["b.csv", "map.csv.gz"])
def test_a_file_that_was_written_again(root, located, name, text):
    put(f"{root}/{name}", text)
    with pytest.raises(IntegrityError, match=r"run again$") as caught:
        check_unchanged(located)
    assert str(caught.value) == f"orders: {shown(root)}/{name} changed while it was read; run again"
    assert caught.value.exit_code == 5


def test_a_file_that_appeared(root, located):
    put(f"{root}/aa.csv", ROWS)
    with pytest.raises(IntegrityError) as caught:
        check_unchanged(located)
    assert str(caught.value) == f"orders: {shown(root)}/aa.csv appeared while the others were read; run again"


@pytest.mark.parametrize("names", [["b.csv"], ["a.csv", "b.csv"], ["map.csv.gz"]])
def test_files_that_vanished(root, located, names):
    for name in names:
        fsspec.core.url_to_fs(root)[0].rm(f"{root}/{name}")
    with pytest.raises(IntegrityError) as caught:
        check_unchanged(located)
    assert str(caught.value) == f"orders: {shown(root)}/{names[0]} vanished while it was read; run again"


def test_a_local_file_changed_behind_an_old_time(tmp_path, config_of):
    path = tmp_path / "a.csv"
    path.write_text(ROWS, encoding="utf-8")
    located = plan_sources(config_of({"name": "orders", "kind": "purchases", "uri": str(path)})).located
    times = path.stat()
    with path.open("r+") as handle:
        handle.write(ROWS.replace("1.5", "2.5"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(IntegrityError, match=r"a\.csv changed while it was read"):
        check_unchanged(located)


def test_an_empty_file_and_a_frame_have_nothing_to_compare(tmp_path, config_of):
    import pyarrow as pa

    frame = pa.table({"profile_id": ["a"], "at": ["2017-01-01"], "amount": ["1"]})
    assert plan_sources(config_of({"name": "orders", "kind": "purchases"}), {"orders": frame}).located == ()
    (tmp_path / "a.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "b.jsonl").touch()
    files = {"name": "orders", "kind": "purchases", "uri": f"{tmp_path}/a.csv"}
    empty = files | {"name": "more", "uri": f"{tmp_path}/*.csv"}
    check_unchanged(plan_sources(config_of(files, empty)).located)


@pytest.mark.parametrize("what", ["changed", "vanished", "appeared"])
def test_a_run_whose_files_change_while_they_are_read_ends(tmp_path, config_of, what):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(ROWS, encoding="utf-8")

    class Meddling(Progress):
        def move(self, step):
            assert step.name == "read"
            if not step.rows:
                return
            if what == "vanished":
                (tmp_path / "a.csv").unlink(missing_ok=True)
            else:
                put(f"{tmp_path}/{'a' if what == 'changed' else 'c'}.csv", ROWS.replace("1.5", "25"))

    source = {"name": "orders", "kind": "purchases", "uri": f"{tmp_path}/?.csv"}
    config = config_of(source, out=str(tmp_path / "run"))
    with pytest.raises(IntegrityError, match=rf"^orders: .*[ac]\.csv {what} while .*; run again$") as caught:
        execute(config, until="features", progress=Meddling())
    assert caught.value.exit_code == 5
    for path in (tmp_path / "run").glob("v*"):
        assert not (path / "features").exists()
