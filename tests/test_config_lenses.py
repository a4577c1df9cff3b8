"""The section `lenses`: words and sections, and one line for every mistake that names the lens."""

import json
import re
from pathlib import Path

import pytest
import yaml

from gpuseg.config import config_schema, parse_config
from gpuseg.config_lenses import PRESETS
from gpuseg.errors import ConfigError
from gpuseg.stage_table import stages_of

CONTENT = {"run": {"out": "x", "as_of": "2020-01-01"}, "sources": [{"name": "orders", "kind": "purchases"}]}


def parsed(*lenses, **sections):
    return parse_config(CONTENT | {"lenses": list(lenses)} | sections)


def test_words_stand_for_sections():
    found = parsed(*PRESETS)
    assert [(lens.name, lens.families, lens.cluster.method, lens.cluster.rules) for lens in found.lenses] == [
        ("value", ("rfm",), "kmeans", None),
        ("lifecycle", ("rfm", "tempo"), "rules", "lifecycle"),
        ("interests", ("interests",), "kmeans", None),
        ("intent", ("browsing", "intent"), "kmeans", None),
    ]


def test_a_section_has_features_weights_and_a_method_of_its_own():
    rules = [{"name": "Many", "where": "n_orders > 3"}]
    own = {
        "name": "own",
        "drop": ["n_lines"],
        "weights": {"n_orders": 2.0},
        "cluster": {"method": "rules", "rules": rules},
    }
    lens = parsed("value", own).lenses[1]
    assert (lens.families, lens.drop, lens.weights) == ((), ("n_lines",), {"n_orders": 2.0})
    assert lens.cluster.rules[0].name == "Many"


def test_what_a_manifest_keeps_is_the_same_configuration():
    config = parsed("value", {"name": "own", "cluster": {"method": "hdbscan", "min_cluster_size": 30}})
    assert parse_config(json.loads(config.model_dump_json())) == config


def test_without_lenses_there_is_no_stage_of_theirs():
    assert parse_config(CONTENT).lenses == ()
    assert [stage.name for stage in stages_of(parse_config(CONTENT))][-2:] == ["explain", "report"]
    assert [stage.name for stage in stages_of(parsed("value"))][-3:] == ["explain", "lenses", "report"]


def test_the_schema_allows_words_and_sections():
    word, section = config_schema()["properties"]["lenses"]["items"]["anyOf"]
    assert word == {"type": "string", "enum": list(PRESETS)}
    assert section == {"$ref": "#/$defs/LensSection"}


@pytest.mark.parametrize(
    ("lenses", "message"),
    [
        (["valeu"], "lenses.#1: 'valeu' is no ready-made lens; there are value, lifecycle, interests, intent; "
         "did you mean value?"),
        (["value", "value"], "lenses: the name 'value' is used more than once"),
        (["value", {"name": "value"}], "lenses: the name 'value' is used more than once"),
        ("value", "lenses: 'value': must be a list of lenses, such as "
         "[value, {name: shopping, families: [rfm, tempo]}]"),
        (["value", 3], "lenses.#2: 3: must be a section with keys such as name, families, drop"),
        ([{"families": ["rfm"]}], "lenses.#1.name: is required: name of the lens, and of its folder in `lenses`"),
        ([{"name": "../x"}], "lenses.#1.name: '../x': must be a word of 1 to 40 small letters, digits and _ "
         "(the first a letter) (name of the lens, and of its folder in `lenses`)"),
        ([{"name": "x\n"}], "lenses.#1.name: 'x\\n': must be a word of 1 to 40 small letters, digits and _ "
         "(the first a letter) (name of the lens, and of its folder in `lenses`)"),
        ([{"name": "segments"}], "lenses.#1.name: 'segments': means something else here; choose another name"),
        ([{"name": "x", "famlies": []}], "lenses.x.famlies: unknown key; did you mean families? "
         "Known here: name, families, drop, weights, cluster"),
        ([{"name": "x", "families": ["rmf"]}], "lenses.x.families: 'rmf' is not in features.families, which has "
         "rfm, tempo; did you mean rfm?"),
        ([{"name": "x", "families": ["rfm", "rfm"]}], "lenses.x.families: ['rfm', 'rfm']: each family may be "
         "given once"),
        (["intent"], "lenses.intent.families: 'browsing' is not in features.families, which has rfm, tempo"),
        ([{"name": "x", "weights": {"n_orders": 65}}], "lenses.x.weights.n_orders: 65: must be a number above 0, "
         "at most 64; nearest valid: 64"),
        ([{"name": "x", "cluster": {"segments": 1}}], "lenses.x.cluster.segments: 1: must be auto, or a whole number "
         "from 2 to 1000; nearest valid: 2"),
        ([{"name": "x", "cluster": {"method": "rules", "rules": [{"name": "a", "where": "b >"}]}}],
         "lenses.x.cluster.rules.1.where: 'b >': expected a number or a feature, not the end, at character 4"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_lens(lenses, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(CONTENT | {"lenses": lenses, "features": {"families": ["rfm", "tempo"]}})
    assert str(caught.value) == message


def test_there_may_be_a_dozen():
    assert len(parsed(*({"name": f"a{n}"} for n in range(12))).lenses) == 12
    with pytest.raises(ConfigError, match=r"^lenses: has 13 items, but may have 12$"):
        parsed(*({"name": f"a{n}"} for n in range(13)))


def test_the_page_on_lenses_says_what_is():
    page = (Path(__file__).parent.parent / "docs" / "lenses.md").read_text(encoding="utf-8")
    words, sections = (yaml.safe_load(block)["lenses"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    assert words == list(PRESETS)
    assert [lens.name for lens in parsed(*sections).lenses] == ["lifecycle", "shopping", "tiers"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    assert list(rows) == words
    for word, told in rows.items():
        assert tuple(re.findall(r"`(\w+)`", told)) == PRESETS[word]["families"]
