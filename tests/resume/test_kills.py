"""A run that is killed anywhere goes on where it was: the same bytes, nothing left over, nothing done twice."""

import pytest

from gpuseg.workspace.run_directory import RunDirectory
from tests.resume import worlds
from tests.resume.worlds import Counted, config, crashing, go_on, litter, promised

PLACES = [
    ("gpuseg.engine.spill:RunWriter._flush", 1),
    ("gpuseg.engine.spill:RunWriter._flush", 9),
    ("gpuseg.engine.spill:_one_batch", 6),
    ("gpuseg.workspace.ledger:Ledger.write", 1),
    ("gpuseg.workspace.ledger:Ledger.write", 4),
    ("gpuseg.workspace.ledger:Ledger.write", 7),
    ("gpuseg.workspace.ledger:write_json", 3),
    ("gpuseg.workspace.ledger:write_text", 2),
    ("gpuseg.sources.reduce:write_table", 1),
    ("gpuseg.sources.reduce:write_table", 17),
    ("gpuseg.sources.ingest:write_table", 2),
    ("gpuseg.sources.quarantine:write_table", 1),
    ("gpuseg.stages:quality_record", 1),
    ("gpuseg.feature_build:write_table", 3),
    ("gpuseg.segments.fit:sample_profiles", 1),
    ("gpuseg.segments.blocks:_store", 2),
    ("gpuseg.clustering.kmeans:_pass", 1),
    ("gpuseg.clustering.kmeans:_updated", 2),
    ("gpuseg.segments.model:write_array", 2),
    ("gpuseg.segments.assign:write_table", 2),
    ("gpuseg.segments.assign:_Assigner.__call__", 4),
    ("gpuseg.stages:describe_segments", 1),
    *[("gpuseg.workspace.version:Version.commit_stage", nth) for nth in range(1, 5)],
    *[("gpuseg.workspace.version:write_json", nth) for nth in range(1, 5)],
    *[("gpuseg.workspace.ledger:Ledger.close", nth) for nth in range(1, 5)],
]
AT_THE_END = [
    ("gpuseg.stages:floored_rules", 1),
    ("gpuseg.stages:write_text", 2),
    ("gpuseg.workspace.version:Version.commit_stage", 6),
    ("gpuseg.workspace.run_directory:write_json", 1),
    ("gpuseg.workspace.run_directory:write_text", 1),
]


def named(places):
    return [pytest.param(*place, id=f"{place[0].partition(':')[2]}-{place[1]}") for place in places]


@pytest.mark.parametrize(("place", "nth"), named(PLACES))
def test_a_killed_run_goes_on(sources, expected, out, small, place, nth):
    configured = config(sources, out)
    with crashing(place, nth):
        go_on(configured)
    version = go_on(configured).version
    assert version.name == "v0001"
    found = promised(version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
    assert {name for name in expected["kmeans"] if name not in found} == {"explanations.json"}
    assert litter(version.path) == []


@pytest.mark.parametrize(("place", "nth"), named(AT_THE_END))
def test_a_run_killed_at_its_end_goes_on(sources, expected, out, small, place, nth):
    configured = config(sources, out)
    with crashing(place, nth):
        go_on(configured, "report")
    version = go_on(configured, "report").version
    assert promised(version.path) == expected["kmeans"]
    assert litter(version.path) == []
    assert RunDirectory(version.path.parent).current().name == version.name == "v0001"
    assert version.verify() > 40


@pytest.mark.parametrize(
    ("place", "nth", "kind", "entries"),
    [
        ("gpuseg.sources.scan:Scanner._scanned", 5, "part", "validate/part-*.json"),
        ("gpuseg.sources.reduce:Reducer._state", 3, "state", "validate/bucket-*.json"),
        ("gpuseg.feature_build:BucketFeatures.__call__", 3, "features", "features/bucket-*.json"),
        ("gpuseg.segments.assign:_Assigner.__call__", 4, "assign", "assign/bucket-*.json"),
    ],
    ids=["read", "reduce", "features", "assign"],
)
def test_finished_work_is_not_done_again(sources, out, small, monkeypatch, place, nth, kind, entries):
    configured = config(sources, out)
    with pytest.MonkeyPatch.context() as patch:
        whole = Counted(patch)
        go_on(config(sources, f"{out}-whole"))
    with crashing(place, nth):
        go_on(configured)
    (version,) = RunDirectory(configured_out(configured)).versions()
    n_finished = len(list(version.scratch.glob(entries)))
    assert 0 < n_finished < whole.done[kind]
    again = Counted(monkeypatch)
    go_on(configured)
    assert again.done[kind] == whole.done[kind] - n_finished
    order = list(Counted.PLACES)
    assert not any(again.done[earlier] for earlier in order[: order.index(kind)])
    assert all(again.done[later] == whole.done[later] for later in order[order.index(kind) + 1 :])


def configured_out(configured):
    return worlds.Path(configured.run.out)


def test_a_fit_goes_on_from_its_last_pass(sources, expected, out, small, monkeypatch):
    configured = config(sources, out)
    with crashing("gpuseg.segments.fit:name_segments", 1):
        go_on(configured)
    seeded = []
    monkeypatch.setattr("gpuseg.segments.methods.kmeans.seed_centers", lambda *_, **__: seeded.append(1))
    version = go_on(configured).version
    assert seeded == []
    found = promised(version.path)
    assert found["model/model.json"] == expected["kmeans"]["model/model.json"]
    assert found["segments.json"] == expected["kmeans"]["segments.json"]


@pytest.mark.parametrize("nth", [1, 3])
def test_a_density_fit_goes_on(sources, expected, out, small, nth):
    configured = config(sources, out, cluster=worlds.CLUSTER["hdbscan"])
    with crashing("gpuseg.segments.blocks:_store", nth):
        go_on(configured)
    version = go_on(configured).version
    found = promised(version.path)
    assert found == {name: content for name, content in expected["hdbscan"].items() if name in found}


def test_killed_again_and_again(sources, expected, out, small):
    """Twelve deaths, each a little later, and every one finds what the last left."""
    configured = config(sources, out)
    for _ in range(12):
        with crashing("gpuseg.workspace.ledger:Ledger.write", 3):
            go_on(configured)
        if (worlds.Path(configured.run.out) / "v0001" / ".stages" / "features.json").exists():
            break
    found = promised(go_on(configured).version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
