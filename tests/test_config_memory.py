"""The section `memory`: how a GPU's memory is had."""

import pytest

from gpuseg.config import parse_config
from gpuseg.errors import ConfigError


def memory_of(**given):
    run = {"out": "never-written", "as_of": "2018-01-01"}
    sources = [{"name": "shop", "kind": "purchases", "uri": "shop.csv"}]
    return parse_config({"run": run, "sources": sources, "memory": given}).memory


def test_defaults():
    assert memory_of().model_dump() == {"pool": "async", "pool_bytes": None, "spill": True}


def test_what_it_takes():
    given = {"pool": "pool", "pool_bytes": 2**34, "spill": False}
    assert memory_of(**given).model_dump() == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pool": "asink"}, r"memory\.pool: 'asink': must be none, pool or async; did you mean async\?"),
        ({"pool_bytes": 4096}, r"memory\.pool_bytes: 4096: must be .*1048576"),
        ({"pool_bytes": 2.0**30}, r"memory\.pool_bytes: 1073741824"),
        ({"spill": "yes"}, r"memory\.spill: 'yes': must be true or false"),
        ({"pool": "none", "pool_bytes": 2**30}, r"memory: .*pool_bytes needs a pool: set pool to async or pool"),
        ({"spil": True}, r"memory\.spil: .*did you mean spill\?"),
    ],
    ids=str,
)
def test_what_it_refuses(given, message):
    with pytest.raises(ConfigError, match=message):
        memory_of(**given)
