"""What a later attempt may take over: only work of the same settings and data, and only what is whole."""

import shutil

import pyarrow.parquet as pq
import pytest

from gpuseg.errors import GpusegError, IntegrityError
from tests.resume import worlds
from tests.resume.worlds import Counted, config, crashing, go_on, promised

REDUCING = ("gpuseg.sources.reduce:Reducer._state", 3)
ASSIGNING = ("gpuseg.segments.assign:_Assigner.__call__", 3)


def fresh(folder, **sections):
    """Promised files of an uninterrupted run into another directory."""
    return promised(worlds.execute(config(folder, "afresh", **sections), until="assign").version.path)


@pytest.fixture
def own(tmp_path):
    """Sources that a test may change."""
    worlds.write_sources(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "sections", "untouched"),
    [
        (ASSIGNING, {"cluster": {"segments": 4}}, ("part", "state", "features")),
        (ASSIGNING, {"privacy": {"group_floor": 2}}, ("part", "state")),
        (ASSIGNING, {"features": {"windows_days": [7]}}, ("part", "state")),
        (REDUCING, {"run": {"as_of": "2017-06-01"}}, ()),
        (REDUCING, {"run": {"buckets": 3}}, ()),
        (REDUCING, {"quality": {"dedupe": True}}, ()),
        (("gpuseg.segments.blocks:_store", 2), {"matrix": {"clip": 3.0}}, ("part", "state", "features")),
        (("gpuseg.segments.blocks:_store", 2), {"run": {"seed": 9}}, ("part", "state", "features")),
    ],
    ids=["a later stage", "the floor", "features", "as_of", "buckets", "the same stage", "the matrix", "the seed"],
)
def test_after_a_change_of_settings(own, small, monkeypatch, place, sections, untouched):
    with crashing(*place):
        go_on(config(own))
    again = Counted(monkeypatch)
    found = promised(go_on(config(own, **sections)).version.path)
    assert not any(again.done[kind] for kind in untouched)
    assert found == fresh(own, **sections)


def test_changed_and_changed_back(own, small):
    with crashing(*ASSIGNING):
        go_on(config(own))
    with crashing(*REDUCING):
        go_on(config(own, run={"as_of": "2017-06-01"}))
    assert promised(go_on(config(own)).version.path) == fresh(own)


def test_after_a_change_of_data(own, small):
    with crashing(*REDUCING):
        go_on(config(own))
    path = own / "orders1.parquet"
    pq.write_table(pq.read_table(path).slice(20), path)
    assert promised(go_on(config(own)).version.path) == fresh(own)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 2
    path.write_bytes(content)


def flip_a_count(path):
    """Damage that still is JSON."""
    text = path.read_text("utf-8")
    path.write_text(text.replace('"rows_read": ', '"rows_read": 1', 1).replace('"n_profiles": ', '"n_profiles": 1', 1))


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def grow(path):
    path.write_bytes(path.read_bytes() + b"more")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [flip, flip_a_count, cut, grow, remove])
@pytest.mark.parametrize(
    ("place", "damaged"),
    [
        (REDUCING, ".work/validate/part-00000.json"),
        (REDUCING, ".work/validate/part-00000.000.arrow"),
        (REDUCING, ".work/validate/part-*.rejected0.arrow"),
        (REDUCING, ".work/validate/bucket-0.json"),
        (REDUCING, "state/purchases.cells/0000.parquet"),
        (ASSIGNING, ".work/assign/bucket-0000.parquet.sample.arrow"),
        (ASSIGNING, "assignments/0000.parquet"),
        (("gpuseg.segments.blocks:_store", 4), ".work/fit/matrix/*/0000.npy"),
        (("gpuseg.segments.fit:name_segments", 1), ".work/fit/kmeans.json"),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) else "",
)
def test_what_is_damaged_is_done_again(sources, expected, out, small, place, damaged, damage):
    if damage is flip_a_count and not damaged.endswith(("part-00000.json", "bucket-0.json")):
        pytest.skip("has no counts")
    with crashing(*place):
        go_on(config(sources, out))
    path, *_ = sorted((worlds.Path(out) / "v0001").glob(damaged))
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before
    found = promised(go_on(config(sources, out)).version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
    assert len(found) > 30


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_scratch_file_that_goes_while_it_is_needed(sources, out, small, monkeypatch, damage):
    """One line that names it; then everything is read anew."""
    from gpuseg.sources.reduce import Reducer

    original = Reducer._state

    def lose(self, events):
        for path in self.spill._runs[0].pieces[0].path.parent.glob("part-00000.*.arrow"):
            path.unlink(missing_ok=True) if damage == "gone" else path.write_bytes(b"ARROW1")
        return original(self, events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reducer, "_state", lose)
        with pytest.raises(IntegrityError, match=r"part-00000\.00.\.arrow: a scratch file is missing or damaged"):
            go_on(config(sources, out))
    assert go_on(config(sources, out)).version.name == "v0001"


def test_a_version_that_was_removed(sources, out, small):
    """Nothing is left to go on with, and nothing is assumed."""
    with crashing(*ASSIGNING):
        go_on(config(sources, out))
    shutil.rmtree(worlds.Path(out) / "v0001")
    assert go_on(config(sources, out)).executed == ("validate", "features", "fit", "assign")


def test_committed_files_that_changed_are_told(sources, out, small):
    with crashing(*ASSIGNING):
        go_on(config(sources, out))
    flip(worlds.Path(out) / "v0001" / "features" / "0001.parquet")
    with pytest.raises(GpusegError, match=r"features/0001\.parquet: differs from the committed file"):
        go_on(config(sources, out))
