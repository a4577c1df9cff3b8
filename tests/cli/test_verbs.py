"""Every verb, with and without `--json`, on a run that works."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from gpuseg.config import Config, config_schema
from gpuseg.starter import STARTER
from tests.cli.shop import N_PROFILES, N_ROWS, TEXT_ID, Shop, csv_text, rows


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- every verb ---


def every_verb(shop, folder):
    config = shop.write()
    return {
        "init": ["init", folder / "new"],
        "config schema": ["config", "schema"],
        "doctor": ["doctor"],
        "synth": ["synth", "--profiles", 20, "--events", 200, "--out", folder / "synth"],
        "run": ["run", config],
        "run --resume": ["run", "--resume", config],
        "run --dry-run": ["run", config, "--dry-run"],
        "validate": ["validate", config],
        "features": ["features", config],
        "fit": ["fit", config],
        "assign": ["assign", config],
        "report": ["report", config],
        "describe": ["describe", shop.out],
        "describe --segment": ["describe", shop.out, "--segment", 1],
        "describe a version": ["describe", shop.current],
        "explain": ["explain", shop.out],
        "explain --profile": ["explain", shop.out, "--profile", f"{TEXT_ID}-003"],
        "verify": ["verify", shop.out],
        "verify a version": ["verify", shop.current],
        "history": ["history", shop.out],
        "rollback": ["rollback", shop.out, "--to", shop.current.name],
    }


VERBS = ["init", "config schema", "doctor", "synth", "run", "run --resume", "run --dry-run", "validate", "features"]
VERBS += ["fit", "assign", "report", "describe", "describe --segment", "describe a version"]
VERBS += ["explain", "explain --profile", "verify", "verify a version"]
VERBS += ["history", "rollback"]


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_one_object_and_text_is_not(shop, tmp_path, gpuseg, verb):
    words = every_verb(shop, tmp_path / "json")[verb]
    told = gpuseg("--json", *words)
    assert told.code == 0
    assert told.out.count("\n") == 1
    assert isinstance(told.content, dict)
    assert all(line.startswith("gpuseg: warning: ") for line in told.lines)

    plain = gpuseg(*every_verb(shop, tmp_path / "text")[verb])
    assert plain.code == 0
    assert plain.out.strip()
    if verb != "config schema":
        with pytest.raises(json.JSONDecodeError):
            json.loads(plain.out)


def test_every_verb_is_tested_above(gpuseg):
    told = gpuseg("--help")
    assert told.code == 0
    listed = re.findall(r"^  ([a-z]+) ", told.out.partition("Commands:")[2], re.MULTILINE)
    assert len(listed) >= 12
    assert set(listed) == {verb.split()[0] for verb in VERBS} | {"demo", "cut"}


@pytest.mark.parametrize(
    "verb", ["run", "validate", "describe", "explain", "verify", "init", "synth", "doctor", "config"]
)
def test_every_verb_has_help(gpuseg, verb):
    told = gpuseg(verb, "--help")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: gpuseg {verb} ")
    assert len(told.out.splitlines()) > 4


@pytest.mark.parametrize("words", [[], ["config"]], ids=["nothing", "half a verb"])
def test_without_a_verb_help_is_shown_as_help(gpuseg, words):
    """Several lines for people, not one squeezed line of an error."""
    told = gpuseg(*words)
    assert told.code in (0, 2)
    assert "error[" not in told.err
    assert len((told.out + told.err).splitlines()) > 4


# --- global flags ---


@pytest.mark.parametrize("place", [0, 1, 2])
def test_global_flags_stand_anywhere(copied, gpuseg, place):
    words = ["verify", str(copied.out)]
    words.insert(place, "--json")
    n_files = len(json.loads((copied.current / "manifest.json").read_bytes())["files"])
    assert gpuseg(*words).content == {"ok": True, "version": "v0001", "n_files": n_files}
    words[place] = "-v"
    told = gpuseg(*words)
    assert (told.code, told.out) == (0, f"v0001: {n_files} files are as they were committed\n")


def test_flags_do_not_outlive_their_command(copied, gpuseg):
    assert gpuseg("--json", "verify", copied.out).out.startswith("{")
    assert gpuseg("verify", copied.out).out.startswith("v0001")


def test_after_two_dashes_words_are_names(tmp_path, gpuseg, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = gpuseg("init", "--", "--json")
    assert told.code == 0
    assert (tmp_path / "--json" / "gpuseg.yaml").is_file()
    assert told.out.startswith("Wrote ")


def test_debug_shows_where_an_error_was_raised(tmp_path, gpuseg):
    told = gpuseg("--debug", "verify", tmp_path)
    assert told.code == 5
    assert told.err.startswith("Traceback")
    assert "gpuseg: error[integrity] " in told.err.splitlines()[-1]


@pytest.mark.parametrize("flags", [["-v"], ["--verbose"]])
def test_verbose_is_a_line_a_stage(shop, gpuseg, flags):
    told = gpuseg(*flags, "run", shop.write())
    pattern = "".join(rf"gpuseg: {stage}: [0-9]+\.[0-9] s, peak memory [0-9.]+ [MG]B\n" for stage in STAGES)
    assert re.match(pattern + r"gpuseg: ran on cpu.*\n", told.err)
    again = gpuseg(*flags, "fit", shop.write())
    assert again.out.startswith("fit: already committed, nothing changed in ")


STAGES = ("validate", "features", "fit", "assign", "explain", "report")


def test_nothing_but_warnings_on_stderr_without_a_terminal(copied, gpuseg, monkeypatch):
    assert not sys.stderr.isatty()
    told = gpuseg("run", copied.write())
    assert all(line.startswith(("gpuseg: warning: ", "gpuseg: note: ")) for line in told.err.splitlines())
    assert "\x1b" not in told.err + told.out
    assert "\r" not in told.err + told.out


# --- init ---


def test_the_starter_configuration_says_what_it_is(tmp_path, gpuseg):
    told = gpuseg("init", tmp_path / "deep" / "shop")
    path = tmp_path / "deep" / "shop" / "gpuseg.yaml"
    assert told.out == f"Wrote {path}; edit its sources, then: gpuseg run {path}\n"
    checked = Config.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert checked.sources[0].kind == "purchases"
    assert "{" not in STARTER.format(name="x").partition("columns: {")[0]


def test_init_without_a_folder_writes_here(tmp_path, gpuseg, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gpuseg("--json", "init").content == {"ok": True, "path": "gpuseg.yaml"}
    assert (tmp_path / "gpuseg.yaml").is_file()


def test_the_commented_source_is_valid_too(tmp_path, gpuseg):
    gpuseg("init", tmp_path)
    text = (tmp_path / "gpuseg.yaml").read_text(encoding="utf-8")
    uncommented = re.sub(r"^  # (  |- )", r"  \1", text, flags=re.MULTILINE)
    checked = Config.model_validate(yaml.safe_load(uncommented))
    kinds = ["purchases", "crm", "web", "feedback", "social", "crm"]
    assert [source.kind for source in checked.sources] == kinds
    assert checked.sources[-1].event_kind == "contacts"


# --- schema ---


def test_the_schema_fits_a_good_configuration(copied, gpuseg):
    schema = gpuseg("--json", "config", "schema").content
    assert schema == config_schema()
    assert json.loads(gpuseg("config", "schema").out) == schema
    content = yaml.safe_load(yaml.safe_dump(copied.config))
    content["run"]["as_of"] = "2018-01-01"
    assert fits(content, schema, schema) == []
    for spoil in (
        lambda c: c.update(clusters={}),
        lambda c: c["run"].pop("as_of"),
        lambda c: c["run"].update(seed="x"),
        lambda c: c["sources"][0].update(id_type="uuid"),
        lambda c: c["cluster"].update(segments=1),
        lambda c: c.update(sources=[]),
    ):
        bad = json.loads(json.dumps(content))
        spoil(bad)
        assert fits(bad, schema, schema) != []


def fits(value, schema, root):
    """Problems of a value under the part of JSON Schema that pydantic uses here."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        found = [fits(value, branch, root) for branch in schema["anyOf"]]
        return [] if [] in found else found[0]
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{value!r}"]
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    wanted = types[schema["type"]]
    if not isinstance(value, wanted):
        return [f"{value!r} is no {schema['type']}"]
    problems = []
    if schema["type"] == "object":
        known = schema.get("properties", {})
        problems += [f"{key} is missing" for key in schema.get("required", []) if key not in value]
        rest = schema.get("additionalProperties", True)
        for key, item in value.items():
            if key in known:
                problems += fits(item, known[key], root)
            elif rest is False:
                problems.append(f"{key} is unknown")
            elif isinstance(rest, dict):
                problems += fits(item, rest, root)
    if schema["type"] == "array":
        problems += ["too short"] if len(value) < schema.get("minItems", 0) else []
        for item in value if "items" in schema else ():
            problems += fits(item, schema["items"], root)
    if schema["type"] in ("integer", "number"):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        problems += [] if low <= value <= high else [f"{value} is out of range"]
    return problems


# --- doctor ---


def usable_machine(problem=None):
    from gpuseg.engine.driver import Gpu
    from gpuseg.engine.hardware import Hardware, Library

    gpus = (Gpu("NVIDIA H100", 80 << 30, 79 << 30, "9.0"), Gpu("NVIDIA A100", 40 << 30, None, "8.0"))
    libraries = {name: Library(f"{name}-cu13", "26.10.1", "26.10.*", True) for name in ("cudf", "cuml", "rmm")}
    libraries["cupy"] = Library("cupy-cuda13x", "13.6", ">=14", False)
    return Hardware(gpus, "580.1", "13.0", None if problem else "13.2", libraries, problem)


DASK = {"dask": "2026.7.1", "distributed": "2026.7.1"}


@pytest.mark.parametrize(
    ("usable", "versions", "cuda", "told"),
    [
        (True, DASK, "26.10.0", "executor: dask starts 2 workers on the gpu, one a GPU"),
        (True, DASK, None, "executor: dask cannot start workers: dask-cuda is missing: install gpuseg with its extra "),
        (True, DASK, "26.08.0", "executor: dask cannot start workers: dask-cuda 26.08.0 is not supported: "),
        (True, dict.fromkeys(DASK), "26.10.0", "executor: dask cannot start workers: dask and distributed are missing"),
        (False, DASK, None, "executor: dask starts 3 workers on the cpu, one a processor"),
        (False, DASK | {"dask": None}, None, "executor: dask cannot start workers: dask is missing: pip install "),
    ],
)
def test_doctor_says_what_dask_would_start(gpuseg, monkeypatch, usable, versions, cuda, told):
    from gpuseg.engine import survey
    from gpuseg.engine.hardware import Library

    machine = usable_machine(None if usable else "no NVIDIA driver on this machine")
    if cuda is not None:
        machine.libraries["dask-cuda"] = Library("dask-cuda", cuda, "26.10.*", cuda.startswith("26.10"))
    versions_of = survey.library_versions
    monkeypatch.setattr(survey, "find_gpus", lambda: machine)
    monkeypatch.setattr(survey.os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(
        survey, "library_versions", lambda names: versions if names[0] == "dask" else versions_of(names)
    )
    facts = gpuseg("--json", "doctor").content
    assert facts["dask_libraries"] == versions
    assert (facts["executor_dask"]["n_workers"] is None) is ("cannot" in told)
    lines = gpuseg("doctor").out.splitlines()
    assert any(line.startswith(told) for line in lines)
    if versions == DASK:
        assert "dask          dask 2026.7.1, distributed 2026.7.1" in lines


def test_doctor_never_fails(tmp_path, gpuseg, monkeypatch):
    """On whatever machine this is."""
    monkeypatch.chdir(tmp_path)
    facts = gpuseg("--json", "doctor").content
    assert facts["ok"] is True
    assert facts["engine"] == ("gpu" if facts["cuda_runtime"] else "cpu")
    assert facts["n_cores"] >= 1
    assert facts["memory_bytes"] > 1 << 28
    assert facts["libraries"]["numpy"]
    assert set(facts["gpu_libraries"]) == {"cudf", "cuml", "rmm", "cupy", "dask-cudf", "raft-dask", "dask-cuda"}
    text = gpuseg("doctor").out
    assert f"engine: auto  uses the {facts['engine']}: {facts['reason']}\n" in text
    assert list(tmp_path.iterdir()) == []


def test_doctor_without_a_gpu(gpuseg, monkeypatch):
    from gpuseg.engine import survey
    from gpuseg.engine.hardware import Hardware

    monkeypatch.setattr(survey, "find_gpus", lambda: Hardware(problem="no NVIDIA driver on this machine"))
    lines = gpuseg("doctor").out.splitlines()
    assert "GPUs          none" in lines
    assert "NVIDIA driver none" in lines
    assert any(line.startswith("RAPIDS        none; supported: RAPIDS 26.10 with ") for line in lines)
    assert lines[-1] == "engine: auto  uses the cpu: no NVIDIA driver on this machine"


@pytest.mark.parametrize("problem", [None, "cupy-cuda13x 13.6 is installed, >=14 is supported"])
def test_doctor_with_gpus(gpuseg, monkeypatch, problem):
    from gpuseg.engine import survey

    monkeypatch.setattr(survey, "find_gpus", lambda: usable_machine(problem))
    facts = gpuseg("--json", "doctor").content
    assert facts["gpus"][0] == {
        "name": "NVIDIA H100",
        "total_bytes": 80 << 30,
        "free_bytes": 79 << 30,
        "compute_capability": "9.0",
    }
    assert facts["gpu_libraries"]["cupy"] == {
        "package": "cupy-cuda13x",
        "found": "13.6",
        "supported": ">=14",
        "is_supported": False,
    }
    lines = gpuseg("doctor").out.splitlines()
    assert (
        "GPUs          NVIDIA H100, 80.0 GiB of memory (79.0 GiB free), compute capability 9.0; NVIDIA A100, 40.0 "
        in ("\n".join(lines))
    )
    assert "(unknown free)" in "\n".join(lines)
    runtime = "" if problem else ", CuPy uses CUDA 13.2"
    assert f"NVIDIA driver 580.1, runs CUDA 13.0{runtime}" in lines
    assert "cudf 26.10.1, " in "\n".join(lines)
    assert "cupy 13.6 (not supported, needs >=14), dask-cudf missing" in "\n".join(lines)
    used = f"the cpu: {problem}" if problem else "the gpu: NVIDIA H100 and RAPIDS can be used"
    assert lines[-1] == f"engine: auto  uses {used}"


# --- looking ---


def test_describe_shows_every_card(copied, gpuseg):
    told = gpuseg("describe", copied.out)
    content = gpuseg("--json", "describe", copied.out).content
    cards = content["segments"]
    assert [card["segment_id"] for card in cards] == [0, 1, 2]
    for card in cards:
        assert f"{card['segment_id']}  {card['name']}\n" in told.out
        for part in ("headline", "who", "does", "worth"):
            assert " ".join(card[part].split()) in " ".join(told.out.split())
        assert "not described" not in told.out
    one = gpuseg("--json", "describe", copied.out, "--segment", 2).content
    assert one == content | {"segments": [cards[2]]}
    alone = gpuseg("describe", copied.out, "--segment", 2).out
    assert alone.startswith(f"2  {cards[2]['name']}\n")
    assert alone.strip() in told.out
    assert cards[0]["headline"] not in " ".join(alone.split())


def test_withheld_segments_are_counted_and_not_shown(copied, gpuseg):
    copied.config["privacy"] = {"group_floor": 10}
    told = gpuseg("run", copied.write())
    segments = gpuseg("--json", "describe", copied.out).content
    withheld, shown = segments["withheld"], segments["segments"]
    assert withheld["segment_ids"]
    assert {card["segment_id"] for card in shown} == set(range(3)) - set(withheld["segment_ids"])
    n, n_profiles = withheld["n_segments"], withheld["n_profiles"]
    what = "1 segment is" if n == 1 else f"{n} segments are"
    line = f"{what} not described ({n_profiles} profiles), so that no group of fewer than 10 can be made out."
    assert told.out.count(line) == 1
    assert gpuseg("describe", copied.out).out.count(line) == 1
    page = (copied.current / "report.html").read_text(encoding="utf-8")
    assert (
        page.count(line) == (copied.current / "MODEL_CARD.md").read_text(encoding="utf-8").count("not described") == 1
    )
    hidden = withheld["segment_ids"][0]
    refused = gpuseg("describe", copied.out, "--segment", hidden)
    assert (refused.code, refused.out) == (2, "")
    assert f"--segment {hidden}: withheld, so that no group of fewer than 10 is described" in refused.err
    profiles = copied.assignments()
    place = profiles["segment_id"].to_pylist().index(hidden)
    profile = profiles["profile_id"][place].as_py()
    refused = gpuseg("explain", copied.out, "--profile", profile)
    assert (refused.code, refused.out) == (2, "")
    assert "not described" in refused.err
    assert profile not in refused.err
    if shown:
        alone = gpuseg("describe", copied.out, "--segment", shown[0]["segment_id"]).out
        assert "not described" not in alone


@pytest.mark.parametrize(("done", "missing"), [("validate", "features"), ("features", "fit"), ("assign", "explain")])
@pytest.mark.parametrize("verb", ["describe", "explain", "verify"])
@pytest.mark.parametrize("place", ["", "v0001"])
def test_an_unfinished_version_says_what_is_missing(tmp_path, gpuseg, done, missing, verb, place):
    fresh = Shop(tmp_path)
    fresh.csv(rows())
    assert gpuseg(done, fresh.write()).code == 0
    told = gpuseg(verb, fresh.out / place)
    assert (told.code, told.out) == (5, "")
    assert f"v0001 is not finished: stage {missing} is missing; `gpuseg run --resume CONFIG`" in told.err
    assert gpuseg("run", "--resume", fresh.write()).code == 0
    assert gpuseg(verb, fresh.out / place).code == 0


@pytest.mark.parametrize(
    ("verb", "then"), [("validate", "features"), ("features", "fit"), ("fit", "assign"), ("assign", "report")]
)
def test_every_stage_says_what_comes_next(copied, gpuseg, verb, then):
    config = copied.write()
    last = gpuseg(verb, config).out.splitlines()[-1]
    assert last == f"Next: gpuseg {then} {config}, or all that is left: gpuseg run --resume {config}"
    assert gpuseg(then, config).code == 0


def test_describe_says_what_comes_next(copied, gpuseg):
    last = gpuseg("describe", copied.out).out.splitlines()[-1]
    assert last == f"Next, why one profile is where it is: gpuseg explain {copied.out} --profile ID"


def test_explain_tells_the_reasons_of_a_profile(copied, gpuseg):
    told = gpuseg("--json", "explain", copied.out, "--profile", f"{TEXT_ID}-003").content
    assert told["status"] == "assigned"
    assert told["reasons"]
    text = gpuseg("explain", copied.out, "--profile", f"{TEXT_ID}-003").out
    assert text.startswith(f"{told['segment_id']}  {told['segment_name']}\n")
    assert told["reasons"][0]["text"] in text
    content = gpuseg("--json", "explain", copied.current).content
    assert content == json.loads((copied.current / "explanations.json").read_bytes())
    assert gpuseg("explain", copied.out).out == "No rules: they need at least 50 profiles.\n"


def test_an_unknown_profile_is_one_line_that_does_not_repeat_it(copied, gpuseg):
    told = gpuseg("explain", copied.out, "--profile", "nowak-1")
    assert (told.code, told.out) == (3, "")
    assert re.fullmatch(r"gpuseg: error\[data\] .+: no profile of this run has the id given; .+\n", told.err)
    assert "nowak" not in told.err
    assert gpuseg("explain", copied.folder, "--profile", "nowak-1").code == 5


def test_verify_counts_the_files(copied, gpuseg):
    manifest = json.loads((copied.current / "manifest.json").read_bytes())
    assert gpuseg("verify", copied.out).out == f"v0001: {len(manifest['files'])} files are as they were committed\n"


def test_run_says_what_it_did(copied, gpuseg):
    told = gpuseg("--json", "run", copied.write())
    content = told.content
    assert content["version"] == "v0002"
    assert content["complete"] is True
    assert content["executed"] == list(STAGES) == list(content["stages"])
    assert content["stages"]["validate"]["rows_read"] == N_ROWS
    assert content["stages"]["validate"]["n_profiles"] == N_PROFILES
    assert sum(card["n_profiles"] for card in content["segments"]) == N_PROFILES
    assert sum(card["profile_share"] for card in content["segments"]) == pytest.approx(1)
    assert content["engine"].startswith("cpu")
    assert copied.current == Path(content["path"])
    text = gpuseg("run", copied.write()).out.splitlines()
    assert text[0] == "30 profiles in 3 segments"
    assert text[-3:] == [
        f"Report: {copied.current / 'report.html'}",
        f"Assignments: {copied.current / 'assignments'}",
        f"Next: open the report, or: gpuseg describe {copied.out}",
    ]
    for line, card in zip(text[1:4], content["segments"], strict=True):
        assert card["name"] in line
        assert f"{card['profile_share']:.1%}" in line


# --- synth ---


def test_synth_then_run(tmp_path, gpuseg):
    told = gpuseg("synth", "--profiles", 150, "--events", 3000, "--out", tmp_path / "s", "--kinds", "purchases,crm")
    assert told.code == 0
    config = tmp_path / "s" / "gpuseg.yaml"
    assert f"gpuseg run {config}" in told.out
    content = gpuseg("--json", "run", config).content
    assert content["complete"] is True
    assert content["stages"]["validate"]["n_profiles"] <= 150
    assert gpuseg("verify", tmp_path / "s" / "run").code == 0


def test_synth_again_needs_another_folder(tmp_path, gpuseg):
    words = ["synth", "--profiles", 20, "--events", 200, "--out", tmp_path / "s"]
    assert gpuseg(*words).code == 0
    before = files(tmp_path / "s")
    told = gpuseg(*words)
    assert told.code == 2
    assert len(told.lines) == 1
    assert str(tmp_path / "s") in told.err
    assert files(tmp_path / "s") == before


BAD_SYNTH = [("--profiles", 0), ("--events", -1), ("--segments", 1), ("--segments", 9), ("--kinds", "web,tv")]
BAD_SYNTH += [("--seed", -1), ("--id-type", "uuid")]


@pytest.mark.parametrize(("option", "value"), BAD_SYNTH)
def test_synth_refuses_what_cannot_be(tmp_path, gpuseg, option, value):
    options = {"--profiles": 20, "--events": 200, "--out": tmp_path / "s"} | {option: value}
    told = gpuseg("synth", *(word for pair in options.items() for word in pair))
    assert told.code == 2
    assert re.fullmatch(r"gpuseg: error\[config\] .+\n", told.err)
    assert str(value).partition(",")[2] in told.err
    assert not (tmp_path / "s").exists()


# --- dry run ---


@pytest.mark.parametrize("flags", [[], ["--resume"]])
def test_a_dry_run_writes_nothing(shop, gpuseg, flags):
    config = shop.write()
    before = files(shop.folder)
    told = gpuseg("--json", "run", config, "--dry-run", *flags)
    assert told.code == 0
    assert files(shop.folder) == before
    plan = told.content
    assert plan["version"] == ("v0001" if flags else "v0002")
    assert plan["stages"] == dict.fromkeys(STAGES, not flags)
    assert plan["sources"] == [{"name": "orders", "kind": "purchases", "format": "csv", "n_files": 1}]
    assert plan["n_bytes"] == len(csv_text(rows()).encode())


def test_a_dry_run_of_a_first_run_makes_no_folder(copied, gpuseg):
    copied.config["run"]["out"] = "elsewhere/run"
    told = gpuseg("run", copied.write(), "--dry-run")
    assert told.out.startswith(f"Would write v0001 in {copied.folder / 'elsewhere/run'} on cpu")
    assert not (copied.folder / "elsewhere").exists()


def test_a_dry_run_tells_what_a_run_then_does(shop, gpuseg):
    shop.config["cluster"]["segments"] = 4
    config = shop.write()
    plan = gpuseg("--json", "run", config, "--dry-run", "--resume").content
    done = gpuseg("--json", "run", config, "--resume").content
    assert plan["version"] == done["version"] == "v0002"
    assert [stage for stage, needed in plan["stages"].items() if needed] == done["executed"]


@pytest.mark.parametrize("stage", ["validate", "features", "fit", "assign"])
def test_after_a_stage_of_a_complete_version_there_is_nothing_to_run(shop, gpuseg, stage):
    told = gpuseg(stage, shop.write())
    assert told.out.splitlines() == [
        f"{stage}: already committed, nothing changed in {shop.current}",
        f"The version is complete. Next: open the report, or: gpuseg describe {shop.out}",
    ]


@pytest.mark.parametrize("kinds", ["shop", "web,web", ",", "web,shop"])
def test_kinds_that_are_none_are_answered_with_those_there_are(tmp_path, gpuseg, kinds):
    told = gpuseg("synth", "--profiles", 10, "--events", 20, "--out", tmp_path / "synth", "--kinds", kinds)
    assert told.code == 2
    assert "one of web, social, purchases, feedback, crm" in told.err
