"""What `run --dry-run` says of a version that was begun, and of who would do the work."""

import pytest

from gpuseg.cli.running import _plan_text
from gpuseg.config_dask import DaskSection
from gpuseg.engine import spread_text
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.pipeline import preview
from tests.resume import worlds
from tests.resume.worlds import N_BUCKETS, config, crashing, go_on


@pytest.mark.parametrize(
    ("place", "stage", "kept", "text"),
    [
        (
            ("gpuseg.sources.reduce:Reducer._state", 3),
            "validate",
            {"buckets": [2, N_BUCKETS]},
            "of {parts} parts, 2 of 4 buckets kept)",
        ),
        (
            ("gpuseg.segments.assign:_Assigner.__call__", 3),
            "assign",
            {"buckets": [2, N_BUCKETS]},
            "assign: go on (2 of 4 buckets kept)",
        ),
    ],
    ids=["validate", "assign"],
)
def test_what_is_kept_within_a_stage(sources, out, small, monkeypatch, place, stage, kept, text):
    monkeypatch.setattr("gpuseg.engine.local.os.sched_getaffinity", lambda _: {0})
    with crashing(*place):
        go_on(config(sources, out), "report")
    plan = preview(config(sources, out), fresh=False)
    assert list(plan["kept"]) == [stage]
    found = plan["kept"][stage]
    assert {name: found[name] for name in kept} == kept
    done = found.get("parts", [0, 0])
    assert done[0] == done[1]
    assert (done[1] > 4) == (stage == "validate")
    lines = [line.strip() for line in _plan_text(plan).splitlines()]
    assert [line for line in lines if "go on" in line and line.endswith(text.format(parts=done[1]))]
    assert preview(config(sources, out))["kept"] == {}
    assert preview(config(sources, out, run={"seed": 9}), fresh=False)["kept"] == (plan["kept"] if "v" in stage else {})


def test_a_fit_goes_on_from_its_last_pass(sources, out, small):
    with crashing("gpuseg.segments.model:Model.save", 1):
        go_on(config(sources, out))
    plan = preview(config(sources, out), fresh=False)
    assert plan["kept"] == {"fit": {}}
    assert "  fit: go on (from the last pass)" in _plan_text(plan).splitlines()


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({}, "dask workers of this machine, one a processor"),
        ({"workers": 3}, "3 dask workers of this machine"),
        ({"address": "tcp://10.0.0.5:8786"}, "the workers (any number) of the dask cluster at tcp://10.0.0.5:8786"),
        ({"scheduler_file": "/x/s.json", "workers": 4}, "the workers (at least 4) of the dask cluster at /x/s.json"),
    ],
)
def test_who_would_do_the_work(sources, out, section, text):
    pytest.importorskip("distributed")
    assert spread_text("dask", DaskSection(**section), CpuDevice()) == text
    plan = preview(config(sources, out, run={"executor": "dask"}, dask=section))
    assert (plan["executor"], plan["workers"]) == ("dask", text)
    assert _plan_text(plan).splitlines()[1] == f"  work is done by {text}"
    assert "work is done by" not in _plan_text(preview(config(sources, out)))
    assert not worlds.Path(out).exists()
