import re
import shutil
from pathlib import Path

import pytest

from gpuseg import Run
from gpuseg.errors import IntegrityError
from gpuseg.segments.run import open_run


def test_a_run_is_opened_by_its_folder(planted):
    assert open_run(planted.path.parent) == planted == open_run(str(planted.path))
    assert planted.version == "v0001"


def test_its_parts_fit_together(planted):
    assert planted.quality["n_profiles"] == len(planted.assignments()) == planted.segments["n_profiles"]
    assert len(planted.features()) == planted.segments["n_assigned"]
    listed = [feature["name"] for feature in planted.segments["features"]]
    assert list(planted.features()) == ["profile_id", *listed]


def test_a_missing_part_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=re.escape(str(tmp_path / "segments.json"))):
        _ = Run(tmp_path).segments
    with pytest.raises(IntegrityError, match=re.escape(str(tmp_path / "model"))):
        _ = Run(tmp_path).model


@pytest.mark.parametrize("part", ["assignments", "features"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-1])])
def test_tables_are_whole_or_refused(planted, tmp_path, part, damage):
    version = tmp_path / "v0001"
    shutil.copytree(planted.path, version)
    file = sorted((version / part).glob("*.parquet"))[0]
    damage(file)
    with pytest.raises(IntegrityError, match=f"^{re.escape(str(file))}: "):
        getattr(Run(version), part)()


def test_what_is_no_version_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=re.escape(str(tmp_path))):
        Run(tmp_path).features()
