"""Names in `privacy.deny_columns` that cannot be meant."""

import pyarrow as pa
import pytest

from gpuseg.config import parse_config
from gpuseg.errors import ConfigError
from gpuseg.sources.plan import plan_sources


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "lines.csv").write_text("who,at,amount,email,ok\n1,2025-01-01,2,a,yes\n", encoding="utf-8")

    (tmp_path / "map.csv").write_text("email,person\na,1\n", encoding="utf-8")

    def plan(*deny, frames=None, **source):
        given = {"name": "shop", "kind": "purchases", "uri": str(tmp_path / "lines.csv"), **source}
        if frames is not None:
            del given["uri"]
        content = {
            "run": {"out": str(tmp_path / "run"), "as_of": "2025-02-01"},
            "sources": [given | {"columns": {"profile_id": "who"}}],
            "privacy": {"deny_columns": list(deny)},
        }
        return plan_sources(parse_config(content), frames)

    return plan


def test_a_name_that_no_source_has_is_refused_with_the_nearest(plan):
    with pytest.raises(ConfigError, match=r"'Email' is no column of any source; did you mean email\?"):
        plan("Email")
    assert plan("email").reads[0].columns == {"profile_id": "who", "at": "at", "amount": "amount"}


def test_frames_are_no_exception(plan):
    frame = pa.table({"who": [1], "at": ["2025-01-01"], "amount": [2], "email": ["a"]})
    with pytest.raises(ConfigError, match="'Email' is no column of any source"):
        plan("Email", frames={"shop": frame})
    assert "email" not in plan("email", frames={"shop": frame}).reads[0].frame.column_names


@pytest.mark.parametrize("name", ["email", "person"])
def test_columns_of_an_identity_map_cannot_be_denied(plan, tmp_path, name):
    identity = {"uri": str(tmp_path / "map.csv"), "key": "email", "profile_id": "person"}
    with pytest.raises(ConfigError, match=f"'{name}': the identity map of shop needs it"):
        plan(name, identity=identity)
    assert list(plan(identity=identity).identities) == ["shop"]


def test_optional_columns_that_are_not_there_may_be_denied(plan):
    assert "category" not in plan("category").reads[0].columns


def test_consent_cannot_be_denied(plan):
    with pytest.raises(ConfigError, match="'ok': shop needs it as its consent_column"):
        plan("ok", consent_column="ok")
    assert len(plan(consent_column="ok").reads[0].columns) == 4
