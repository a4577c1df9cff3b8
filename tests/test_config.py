import datetime as dt
import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from gpuseg.config import Config, as_json, config_schema, load_config, parse_config
from gpuseg.config_messages import nearest
from gpuseg.errors import ConfigError
from gpuseg.vocabulary import KINDS

SMALLEST = {"run": {"out": "runs/x", "as_of": "2018-01-01"}, "sources": [{"name": "orders", "kind": "purchases"}]}


A_NAME = "a word of 1 to 64 letters, digits and the marks _ . - (the first a letter, a digit or _)"
A_DATE = "must be a date such as 2018-01-01; the window ends at its midnight in run.timezone"
A_LIST_OF_SOURCES = "must be a list of sources, such as [{name: orders, kind: purchases, uri: orders.csv}]"


def changed(path, value):
    """The smallest configuration with one key set."""
    content = json.loads(json.dumps(SMALLEST))
    *parents, last = path.split(".")
    at = content
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
    at[int(last) if isinstance(at, list) else last] = value
    return content


def refusal(content):
    with pytest.raises(ConfigError) as caught:
        parse_config(content)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- defaults ---


def test_defaults_of_every_section():
    assert parse_config(SMALLEST).model_dump() == {
        "version": 1,
        "run": {
            "name": "run",
            "out": "runs/x",
            "as_of": dt.date(2018, 1, 1),
            "timezone": "UTC",
            "seed": 0,
            "engine": "auto",
            "executor": "local",
            "amount_scale": 10_000,
            "buckets": "auto",
            "chunk_rows": 262_144,
        },
        "sources": (
            {
                "name": "orders",
                "kind": "purchases",
                "uri": None,
                "uri_env": None,
                "query": None,
                "table": None,
                "format": "auto",
                "timezone": "UTC",
                "id_type": "auto",
                "columns": {},
                "events": {},
                "identity": None,
                "consent_column": None,
                "consent_yes": None,
                "consent_unknown": None,
                "retention_days": None,
                "max_age_days": None,
                "purpose": "segmentation",
                "lawful_basis": None,
            },
        ),
        "quality": {
            "max_null_share": 0.05,
            "min_coverage": 0.5,
            "max_duplicate_share": None,
            "max_orphan_share": 0.5,
            "dedupe": False,
            "on_bad": "fail",
        },
        "features": {
            "windows_days": (30, 90, 365),
            "families": (
                "rfm",
                "tempo",
                "interests",
                "lifecycle",
                "engagement",
                "browsing",
                "intent",
                "feedback",
                "social",
            ),
            "drop": (),
            "weights": {},
        },
        "matrix": {"scale": "standard", "clip": 6.0},
        "cluster": {
            "method": "kmeans",
            "segments": "auto",
            "segments_range": (2, 12),
            "min_segment_share": 0.01,
            "init": "k-means++",
            "solver": "auto",
            "micro_clusters": "auto",
            "min_cluster_size": "auto",
            "min_samples": "auto",
            "selection": "eom",
            "noise": "keep",
            "resolution": "auto",
            "rules": None,
            "unmatched": "Everyone else",
            "overlap": "first",
        },
        "lenses": (),
        "privacy": {"group_floor": 10, "deny_columns": ()},
        "memory": {"pool": "async", "pool_bytes": None, "spill": True},
        "dask": {
            "workers": "auto",
            "memory_bytes": None,
            "protocol": "auto",
            "address": None,
            "scheduler_file": None,
            "wait_seconds": 300,
        },
    }


def test_every_key_is_described():
    for name, section in config_schema()["$defs"].items():
        assert section["description"], name
        for key, field in section["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_a_configuration_does_not_change():
    config = parse_config(SMALLEST)
    with pytest.raises(ValidationError):
        config.run.seed = 1


def test_default_families_exist():
    from gpuseg.features.registry import FAMILIES

    assert set(parse_config(SMALLEST).features.families) <= set(FAMILIES)


# --- what is refused, and how ---


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sorces", "did you mean sources?"),
        ("run.time_zone", "did you mean timezone?"),
        ("sources.0.url", "did you mean uri? Known here: name, kind, uri, uri_env"),
        (
            "sources.0.identity.keys",
            "did you mean key? Known here: uri, uri_env, query, table, format, key, profile_id",
        ),
        ("timezone", "unknown key; did you mean run.timezone? Known here: version, run, sources"),
        ("quality.group_floor", "did you mean privacy.group_floor? Known here: max_null_share"),
        ("quality.max_nul_share", "did you mean max_null_share?"),
        ("features.window_days", "did you mean windows_days?"),
        ("matrix.scaling", "did you mean scale?"),
        ("cluster.k", "known here: method, segments, segments_range, min_segment_share"),
        ("run.interval", "known here: name, out"),
        ("run.function-wrap", "known here: name, out"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(path, hint):
    content = changed(path, 1) if "identity" not in path else changed("sources.0.identity", {"uri": "m", "keys": 1})
    message = refusal(content)
    assert message.startswith(f"{path.replace('.0.', '.orders.')}: unknown key")
    assert hint in message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("run", None, "run: null: must be a section with keys such as name, out, as_of"),
        ("run.engine", "gpuu", "run.engine: 'gpuu': must be auto, cpu or gpu; did you mean gpu?"),
        ("run.engine", 3, "run.engine: 3: must be auto, cpu or gpu"),
        ("run.executor", "dusk", "run.executor: 'dusk': must be local or dask; did you mean dask?"),
        ("run.seed", -1, "run.seed: -1: must be a whole number from 0 to 4294967295; nearest valid: 0"),
        (
            "run.seed",
            2**32,
            "run.seed: 4294967296: must be a whole number from 0 to 4294967295; nearest valid: 4294967295",
        ),
        ("run.seed", 1.0, "run.seed: 1.0: must be a whole number from 0 to 4294967295"),
        ("run.seed", True, "run.seed: true: must be a whole number from 0 to 4294967295"),
        ("run.seed", "7", "run.seed: '7': must be a whole number from 0 to 4294967295; write it without quotes"),
        ("run.amount_scale", 12, "run.amount_scale: 12: must be a power of ten from 1 to 100000000; nearest valid: 10"),
        (
            "run.amount_scale",
            10**9,
            "run.amount_scale: 1000000000: must be a power of ten from 1 to 100000000; nearest valid: 100000000",
        ),
        ("run.amount_scale", "100", "run.amount_scale: '100': must be a whole number; write it without quotes"),
        (
            "run.as_of",
            "2018-13-01",
            f"run.as_of: '2018-13-01': {A_DATE}",
        ),
        (
            "run.as_of",
            2018,
            f"run.as_of: 2018: {A_DATE}",
        ),
        (
            "run.as_of",
            dt.datetime(2018, 1, 1),
            f"run.as_of: 2018-01-01 00:00:00: {A_DATE}",
        ),
        ("run.as_of", "2201-01-01", "run.as_of: '2201-01-01': must lie between 1970-01-02 and 2200-01-01"),
        (
            "run.timezone",
            "Europe/Berlim",
            "run.timezone: 'Europe/Berlim': unknown time zone; did you mean Europe/Berlin?",
        ),
        ("run.timezone", "../../etc/passwd", "run.timezone: '../../etc/passwd': unknown time zone"),
        ("run.timezone", "", "run.timezone: '': unknown time zone"),
        ("run.timezone", 1, "run.timezone: 1: must be text; put it in quotes"),
        ("run.name", "", "run.name: '': must be text of 1 to 100 characters (name shown in the report)"),
        ("run.name", 2018, "run.name: 2018: must be text of 1 to 100 characters; put it in quotes"),
        (
            "run.name",
            "x" * 101,
            f"run.name: '{'x' * 27}...{'x' * 28}': must be text of 1 to 100 characters (name shown in the report)",
        ),
        (
            "run.out",
            "s3://shop/runs",
            "run.out: 's3://shop/runs': must be a folder of a file system that this machine has mounted, not a URL",
        ),
        (
            "run.out",
            "",
            "run.out: '': must be text, not empty (run directory; relative to the configuration file)",
        ),
        (
            "run.out",
            None,
            "run.out: null: must be text, not empty (run directory; relative to the configuration file)",
        ),
        ("run.buckets", 5000, "run.buckets: 5000: must be auto, or a whole number from 1 to 4096; nearest valid: 4096"),
        ("run.buckets", "some", "run.buckets: 'some': must be auto, or a whole number from 1 to 4096"),
        ("run.chunk_rows", 0, "run.chunk_rows: 0: must be a whole number of at least 1; nearest valid: 1"),
        (
            "sources.0.kind",
            "crn",
            "sources.orders.kind: 'crn': must be one of web, social, purchases, feedback, crm; did you mean crm?",
        ),
        (
            "sources.0.kind",
            None,
            "sources.orders.kind: null: must be text (one of web, social, purchases, feedback, crm)",
        ),
        ("sources.0.name", "a/b", f"sources.#1.name: 'a/b': must be {A_NAME} (name of the source)"),
        ("sources.0.name", "../x", f"sources.#1.name: '../x': must be {A_NAME} (name of the source)"),
        ("sources.0.name", "a\n", f"sources.#1.name: 'a\\n': must be {A_NAME} (name of the source)"),
        ("sources.0.name", 7, f"sources.#1.name: 7: must be {A_NAME}; put it in quotes"),
        (
            "sources.0.uri",
            ["a.csv", "b.csv"],
            "sources.orders.uri: ['a.csv', 'b.csv']: must be text, not empty "
            "(path, glob or fsspec URL, or a database's URL; null for a Python frame)",
        ),
        (
            "sources.0.format",
            "json",
            "sources.orders.format: 'json': must be auto, parquet, csv, jsonl or arrow; did you mean jsonl?",
        ),
        (
            "sources.0.lawful_basis",
            "consents",
            "sources.orders.lawful_basis: 'consents': must be consent, contract, legal_obligation, vital_interests, "
            "public_task or legitimate_interests; did you mean consent?",
        ),
        (
            "sources.0.columns",
            {"mony": "x"},
            "sources.orders.columns: 'mony' is no column of kind purchases; "
            "it has profile_id, at, amount, order_id, category; did you mean amount?",
        ),
        (
            "sources.0.columns",
            ["at"],
            "sources.orders.columns: ['at']: must be a mapping of text to text (canonical name to the file's name)",
        ),
        ("sources.0.columns", {"at": 7}, "sources.orders.columns.at: 7: must be text; put it in quotes"),
        ("sources.0.columns", {True: "x"}, "sources.orders.columns: true: a name here must be text; put it in quotes"),
        (
            "sources.0.events",
            {"buy": "purchase"},
            "sources.orders.events: a source of kind purchases has no words to sort",
        ),
        (
            "sources.0.identity",
            "map.csv",
            "sources.orders.identity: 'map.csv': must be a section with keys such as uri, uri_env, query",
        ),
        (
            "sources.0.identity",
            {},
            "sources.orders.identity.uri: is required: a path, glob or URL, or uri_env in its place",
        ),
        (
            "sources.0.retention_days",
            "365",
            "sources.orders.retention_days: '365': must be a whole number of at least 1; write it without quotes",
        ),
        (
            "sources.0",
            {"name": "people", "kind": "crm", "max_age_days": 1},
            "sources.people.max_age_days: a crm source without a time has no age",
        ),
        ("sources.0", "orders.csv", "sources.#1: 'orders.csv': must be a section with keys such as name, kind, uri"),
        ("sources", "orders.csv", f"sources: 'orders.csv': {A_LIST_OF_SOURCES}"),
        ("sources", [], f"sources: []: {A_LIST_OF_SOURCES}"),
        ("sources", {"orders": {"kind": "web"}}, "sources: {'orders': {'kind': 'web'}}: " + A_LIST_OF_SOURCES),
        (
            "quality",
            [],
            "quality: []: must be a section with keys such as max_null_share, min_coverage, max_duplicate_share",
        ),
        ("quality.max_null_share", 1.5, "quality.max_null_share: 1.5: must be a number from 0 to 1; nearest valid: 1"),
        ("quality.max_null_share", "5%", "quality.max_null_share: '5%': must be a number from 0 to 1"),
        ("quality.max_null_share", float("nan"), "quality.max_null_share: nan: must be a number from 0 to 1"),
        ("quality.dedupe", "yes", "quality.dedupe: 'yes': must be true or false"),
        (
            "quality.max_duplicate_share",
            -1,
            "quality.max_duplicate_share: -1: must be a number from 0 to 1; nearest valid: 0",
        ),
        (
            "privacy.deny_columns",
            "email",
            "privacy.deny_columns: 'email': must be a list of text; did you mean [email]?",
        ),
        ("features.windows_days", [30, 30], "features.windows_days: [30, 30]: each window may be given once"),
        ("features.windows_days", [36501], "features.windows_days: [36501]: a window may be at most 36500 days"),
        (
            "features.windows_days",
            [7.5, 90],
            "features.windows_days: [7.5, 90]: must be a list of whole numbers of at least 1",
        ),
        (
            "features.windows_days",
            30,
            "features.windows_days: 30: must be a list of whole numbers of at least 1; did you mean [30]?",
        ),
        (
            "features.families",
            "rfm",
            "features.families: 'rfm': must be a list of text, not empty; did you mean [rfm]?",
        ),
        ("features.families", [], "features.families: []: must be a list of text, not empty"),
        ("features.weights", {"n_orders": 0}, "features.weights.n_orders: 0: must be a number above 0, at most 64"),
        (
            "features.weights",
            {"n_orders": 65},
            "features.weights.n_orders: 65: must be a number above 0, at most 64; nearest valid: 64",
        ),
        ("features.weights", {"interval": 0}, "features.weights.interval: 0: must be a number above 0, at most 64"),
        (
            "features.weights",
            ["n_orders"],
            "features.weights: ['n_orders']: must be a mapping of text to numbers above 0, at most 64 "
            "(factor on a scaled feature, 1 where not given)",
        ),
        ("matrix.scale", "robust", "matrix.scale: 'robust': must be standard"),
        ("matrix.clip", 0, "matrix.clip: 0: must be a number above 0, at most 64"),
        ("matrix.clip", float("inf"), "matrix.clip: inf: must be a number above 0, at most 64; nearest valid: 64"),
        (
            "cluster.segments",
            1,
            "cluster.segments: 1: must be auto, or a whole number from 2 to 1000; nearest valid: 2",
        ),
        (
            "cluster.segments",
            "Auto",
            "cluster.segments: 'Auto': must be auto, or a whole number from 2 to 1000; did you mean auto?",
        ),
        (
            "cluster.segments",
            "5",
            "cluster.segments: '5': must be auto, or a whole number from 2 to 1000; write it without quotes",
        ),
        ("cluster.segments_range", [5, 3], "cluster.segments_range: [5, 3]: must be smallest first, such as [3, 5]"),
        (
            "cluster.segments_range",
            [2, 3, 4],
            "cluster.segments_range: [2, 3, 4]: must be a list of 2 whole numbers from 2 to 1000",
        ),
        (
            "cluster.segments_range",
            [2],
            "cluster.segments_range: [2]: must be a list of 2 whole numbers from 2 to 1000",
        ),
        (
            "cluster.segments_range",
            "2-5",
            "cluster.segments_range: '2-5': must be a list of 2 whole numbers from 2 to 1000",
        ),
        ("cluster.min_segment_share", 0.5, "cluster.min_segment_share: 0.5: must be a number from 0 to below 0.5"),
        (
            "cluster.method",
            "hdbscn",
            "cluster.method: 'hdbscn': must be kmeans, hierarchical, hdbscan or rules; did you mean hdbscan?",
        ),
        (
            "cluster",
            {"method": "hdbscan", "segments": 5},
            "cluster.segments: belongs to method kmeans and hierarchical, but method is hdbscan; leave one of them out",
        ),
        (
            "cluster",
            {"method": "hdbscan", "segments_range": [3, 5]},
            "cluster.segments_range: belongs to method kmeans and hierarchical, but method is hdbscan; "
            "leave one of them out",
        ),
        (
            "cluster",
            {"method": "hdbscan", "solver": "lloyd"},
            "cluster.solver: belongs to method kmeans, but method is hdbscan; leave one of them out",
        ),
        ("cluster.solver", "cuml_", "cluster.solver: 'cuml_': must be auto, lloyd or cuml; did you mean cuml?"),
        (
            "cluster",
            {"min_cluster_size": 30},
            "cluster.min_cluster_size: belongs to method hdbscan, but method is kmeans; leave one of them out",
        ),
        (
            "cluster",
            {"method": "kmeans", "min_samples": 5},
            "cluster.min_samples: belongs to method hdbscan, but method is kmeans; leave one of them out",
        ),
        (
            "cluster",
            {"selection": "leaf"},
            "cluster.selection: belongs to method hdbscan, but method is kmeans; leave one of them out",
        ),
        (
            "cluster",
            {"noise": "nearest"},
            "cluster.noise: belongs to method hdbscan, but method is kmeans; leave one of them out",
        ),
        (
            "cluster",
            {"method": "hdbscan", "min_cluster_size": 1},
            "cluster.min_cluster_size: 1: must be auto, or a whole number of at least 2; nearest valid: 2",
        ),
        ("version", 2, "version: 2: must be 1"),
        ("version", "1", "version: '1': must be 1; write it without quotes"),
    ],
)
def test_a_refused_value_is_shown_with_what_would_do(path, value, message):
    assert refusal(changed(path, value)) == message


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "run.out",
            "run.out: is required: run directory; relative to the configuration file",
        ),
        ("run.as_of", "run.as_of: is required: exclusive end of the observation window, midnight in `timezone`"),
        ("sources.0.name", "sources.#1.name: is required: name of the source"),
        ("sources.0.kind", "sources.orders.kind: is required: one of web, social, purchases, feedback, crm"),
        ("run", "run: is required: where a run is kept, up to when it looks, and what it runs on"),
        ("sources", "sources: is required: where the data is; at least one source"),
    ],
)
def test_what_is_required_is_named(path, told):
    content = json.loads(json.dumps(SMALLEST))
    *parents, last = path.split(".")
    at = content
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    del at[last]
    assert refusal(content) == told


def test_a_required_key_that_is_misspelt_is_named_as_it_stands():
    content = changed("run.oot", content_of("run.out"))
    del content["run"]["out"]
    assert refusal(content).startswith("run.oot: unknown key; did you mean out?")
    assert refusal(content).endswith("(and 1 more)")


def content_of(path):
    section, key = path.split(".")
    return SMALLEST[section][key]


def test_sources_are_told_apart_by_name_or_else_by_number():
    sources = [{"name": name, "kind": "web"} for name in ("a", "b", "a")]
    for number, place in enumerate(("#1", "b", "#3")):
        content = json.loads(json.dumps(SMALLEST | {"sources": sources}))
        content["sources"][number]["events"] = {"x": "buy"}
        assert refusal(content).startswith(f"sources.{place}.events: 'x': 'buy' is no class of kind web; it has other,")


@pytest.mark.parametrize("content", [None, 5, ["run"], "run"])
def test_a_configuration_is_a_mapping(content):
    assert refusal(content) == (
        f"the configuration must be a mapping with `run` and `sources`, not {type(content).__name__}"
    )


def test_only_names_of_sources_and_lenses_have_a_pattern():
    """The message on a pattern says what a name may be."""
    text = json.dumps(config_schema())
    assert text.count('"pattern"') == 2
    assert config_schema()["$defs"]["LensSection"]["properties"]["name"]["pattern"] == "^[a-z][a-z0-9_]{0,39}$"
    assert "{0,63}" in config_schema()["$defs"]["SourceSection"]["properties"]["name"]["pattern"]


def test_several_problems_are_counted():
    content = changed("run.seed", -1)
    content["cluster"] = {"segments": 0}
    assert (
        refusal(content) == "run.seed: -1: must be a whole number from 0 to 4294967295; nearest valid: 0 (and 1 more)"
    )


def test_source_names_are_distinct():
    content = json.loads(json.dumps(SMALLEST))
    content["sources"] *= 2
    assert refusal(content) == "sources: the name 'orders' is used more than once"


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_a_kind(kind):
    own = dict.fromkeys(KINDS[kind].column_names, "x")
    word = "crm" if kind == "contacts" else kind
    source = {"name": "s", "kind": word, "columns": own | ({"age": "y"} if KINDS[kind].has_attributes else {})}
    assert parse_config(SMALLEST | {"sources": [source]}).sources[0].columns == source["columns"]


# --- what is taken ---


@pytest.mark.parametrize("value", ["2018-01-01", " 2018-01-01 ", dt.date(2018, 1, 1)])
def test_as_of_is_a_date_or_its_text(value):
    content = json.loads(json.dumps(SMALLEST))
    content["run"]["as_of"] = value
    assert parse_config(content).run.as_of == dt.date(2018, 1, 1)


def test_windows_are_sorted():
    assert parse_config(changed("features.windows_days", [90, 7])).features.windows_days == (7, 90)
    assert parse_config(changed("features.windows_days", [])).features.windows_days == ()


@pytest.mark.parametrize(("key", "limits"), [("cluster.segments", (2, 1000)), ("run.buckets", (1, 4096))])
def test_the_limits_that_messages_tell_are_the_limits(key, limits):
    section, name = key.split(".")
    for value in ("auto", *limits):
        assert getattr(getattr(parse_config(changed(key, value)), section), name) == value
    for value in (limits[0] - 1, limits[1] + 1):
        assert f"nearest valid: {min(max(value, limits[0]), limits[1])}" in refusal(changed(key, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [("quality.max_null_share", True), ("matrix.clip", True)],
)
def test_numbers_are_numbers(path, value):
    """`max_null_share: yes` is a mistake, and not a limit of 100 %."""
    assert refusal(changed(path, value)).startswith(f"{path}: true: must be a number")


# --- files and paths ---


def written(folder, content):
    path = folder / "gpuseg.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("named", [str, Path])
def test_relative_paths_start_at_the_file(tmp_path, named):
    content = changed("sources.0.uri", "../data/*.csv")
    (tmp_path / "conf").mkdir()
    config = load_config(named(written(tmp_path / "conf", content)))
    assert Path(config.run.out) == tmp_path / "conf" / "runs" / "x"
    assert config.sources[0].uri == str(tmp_path / "data" / "*.csv")


@pytest.mark.parametrize("uri", ["/data/x.csv", "s3://bucket/x.csv", "memory://x.csv"])
def test_absolute_paths_and_urls_stay(tmp_path, uri):
    assert load_config(written(tmp_path, changed("sources.0.uri", uri))).sources[0].uri == uri


def test_a_frame_has_no_path(tmp_path):
    assert load_config(written(tmp_path, SMALLEST)).sources[0].uri is None


def test_a_mapping_starts_at_the_current_folder():
    config = parse_config(changed("sources.0.uri", "data/x.csv"))
    assert (config.run.out, config.sources[0].uri) == ("runs/x", "data/x.csv")


def test_parsing_leaves_the_mapping_alone():
    content = json.loads(json.dumps(SMALLEST))
    parse_config(content, base=Path("/elsewhere"))
    assert content == SMALLEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {a: 1, a: 2}", "line 1: not valid YAML: the key 'a' is given twice"),
        ("run:\n  deep:\n    - {b: 1}\n    - {c: 1, c: 1}", "line 4: not valid YAML: the key 'c' is given twice"),
        ("1: a\n1: b", "line 2: not valid YAML: the key 1 is given twice"),
        ("run: [", "not valid YAML"),
        ("- a", "the configuration must be a mapping with `run` and `sources`"),
        ("text", "must be a mapping"),
        ("", "must be a mapping"),
        ("run: !!python/name:os.system x", "not valid YAML: could not determine a constructor"),
        ("a: *b", "not valid YAML: found undefined alias"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot read the configuration: No such file"):
        load_config(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="cannot read the configuration: Is a directory"):
        load_config(tmp_path)


def test_yaml_merge_keys_are_not_repeated_keys(tmp_path):
    text = """\
run: {out: x, as_of: 2018-01-01}
sources:
  - &a {name: a, kind: purchases, timezone: Europe/Berlin}
  - {<<: *a, name: b}
"""
    sources = load_config(written(tmp_path, text)).sources
    assert [(source.name, source.timezone) for source in sources] == [("a", "Europe/Berlin"), ("b", "Europe/Berlin")]


# --- round trips ---


def test_json_of_a_configuration_gives_it_back():
    config = parse_config(changed("features.weights", {"n_orders": 2.5, "amount_sum": 1 / 3}))
    text = as_json(config)
    assert parse_config(json.loads(text)) == config
    assert as_json(parse_config(json.loads(text))) == text


def test_equal_settings_give_equal_json():
    left = parse_config(changed("features.weights", {"a": 1, "b": 2}))
    right = parse_config(changed("features.weights", {"b": 2.0, "a": 1.0}))
    assert as_json(left) == as_json(right)
    assert as_json(left) != as_json(parse_config(changed("features.weights", {"a": 1, "b": 3})))


def test_the_schema_says_what_the_configuration_takes():
    schema = config_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["required"] == ["run", "sources"]
    assert schema["additionalProperties"] is False
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values())
    assert schema["$defs"]["RunSection"]["required"] == ["out", "as_of"]
    assert schema["$defs"]["ClusterSection"]["properties"]["segments"]["anyOf"] == [
        {"const": "auto", "type": "string"},
        {"maximum": 1000, "minimum": 2, "type": "integer"},
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [("purchase", "; did you mean purchases?"), ("x", ""), (5, ""), ("PURCHASES", "; did you mean purchases?")],
)
def test_the_nearest_word(value, told):
    assert nearest(value, ["purchases", "crm"]) == told


@pytest.mark.parametrize("day", ["2018-02-30", "2018-01-01 25:00:00"])
def test_a_day_that_never_was_is_shown_as_written(tmp_path, day):
    path = written(tmp_path, f"run: {{out: x, as_of: {day}}}\nsources: [{{name: orders, kind: purchases}}]")
    with pytest.raises(ConfigError, match=f"^run.as_of: '{day}': must be a date such as"):
        load_config(path)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:SECRET@bucket/o.csv",
        "https://host/o.csv?X-Amz-Signature=SECRET",
        "https://host/o.csv?v=1&sig=SECRET",
        "ftp://me:SECRET@host/o.csv",
    ],
)
def test_a_secret_in_a_uri_is_refused_and_not_repeated(uri):
    content = {"run": {"out": "o", "as_of": "2018-01-01"}, "sources": [{"name": "o", "kind": "purchases", "uri": uri}]}
    with pytest.raises(ConfigError, match=r"sources\.o\.uri: holds a password, key or signature") as told:
        parse_config(content)
    assert "SECRET" not in str(told.value)
    with pytest.raises(ConfigError) as told:
        parse_config({**content, "sources": uri})
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("uri", ["abfs://box@account.dfs.core.windows.net/o.csv", "https://host/o.csv?version=2"])
def test_names_in_a_uri_are_no_secret(uri):
    section = {"name": "o", "kind": "purchases", "uri": uri}
    assert parse_config({"run": {"out": "o", "as_of": "2018-01-01"}, "sources": [section]}).sources[0].uri == uri


@pytest.mark.parametrize(
    "address",
    [
        "tcp://user:hunter2@10.0.0.5:8786",
        "nonsense",
        "tcp://",
        "tcp://host",
        "tcp://host:abc",
        "inproc://1/2/3",
        "h:1?token=hunter2",
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(address):
    content = {**changed("run.executor", "dask"), "dask": {"address": address}}
    with pytest.raises(
        ConfigError, match=r"^dask\.address: must be a scheduler's, such as tcp://10\.0\.0\.5:8786"
    ) as told:
        parse_config(content)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "scheduler:8786", "tls://[::1]:8786", "ucx://node-1.cluster:1"]
)
def test_addresses_of_schedulers(address):
    content = {**changed("run.executor", "dask"), "dask": {"address": address}}
    assert parse_config(content).dask.address == address


def test_a_folder_of_no_possible_name_is_refused():
    with pytest.raises(ConfigError, match=r"^run\.out: .*must be a folder; no name holds a NUL character"):
        parse_config(changed("run.out", "a\0b"))
