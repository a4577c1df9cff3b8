import importlib.util
import subprocess
import sys

import pytest

# As numba finds it where neither the package's folder nor the user's can be written.
NOWHERE = """
from numba.core import caching
(caching._CacheImpl if hasattr(caching, "_CacheImpl") else caching.CacheImpl)._locator_classes = []
"""
FIT = """
import numpy as np
from gpuseg import Segmenter
print(Segmenter(n_segments=2, engine="cpu").fit(np.array([[0.0], [1.0], [9.0]])).labels_.tolist())
"""


@pytest.mark.slow
def test_where_nothing_can_be_kept_every_process_compiles():
    command = [sys.executable, "-c", NOWHERE + FIT]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert found.stdout.strip() == "[0, 0, 1]", found.stderr
    assert found.stderr.count("set NUMBA_CACHE_DIR to one") == 1
    assert "Traceback" not in found.stderr


SOURCE = """
from gpuseg.engine.kernels import compiled


@compiled
def doubled(number):
    return 2 * number
"""


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_kernel_that_is_damaged_on_disk_is_compiled_again(tmp_path, monkeypatch, caplog, suffix, kept):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "kernels"))
    path = tmp_path / "some_kernels.py"
    path.write_text(SOURCE)

    def fresh():
        spec = importlib.util.spec_from_file_location("some_kernels", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.doubled

    assert fresh()(21) == 42
    stored = list((tmp_path / "kernels").rglob(f"*.{suffix}"))
    assert len(stored) == 1
    whole = stored[0].read_bytes()
    stored[0].write_bytes(whole[: int(len(whole) * kept)])
    assert fresh()(21) == 42
    assert [record.getMessage() for record in caplog.records] == [
        "the compiled kernel doubled is damaged on disk and is compiled again"
    ]
    caplog.clear()
    mended = fresh()
    assert (mended(21), len(caplog.records)) == (42, 0)
    assert sum(mended.stats.cache_hits.values()) == 1
