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
