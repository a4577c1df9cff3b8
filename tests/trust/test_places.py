"""The names of the columns that only the engine and quarantine share stand in one place."""

from pathlib import Path

import gpuseg
from gpuseg.engine import program


def test_internal_names_are_written_once():
    for name in (program.CONSENT, program.PLACE_FILE, program.PLACE_ROW):
        spelt = f'"{name}"'.replace("\0", "\\0")
        files = [path for path in Path(gpuseg.__file__).parent.rglob("*.py") if spelt in path.read_text("utf-8")]
        assert [path.name for path in files] == ["program.py"]
