import sys

import pytest

MIB = 1 << 20
# Holds memory in a process and in its child, long enough for a few samples.
FAMILY = """
import subprocess, sys, time
held = bytearray(b"x") * (64 << 20)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, sys.argv[0], "child"], check=True)
else:
    time.sleep(1.5)
"""


@pytest.fixture
def measure(load):
    return load("measure")


def test_memory_of_children_is_added(measure, tmp_path):
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    found = measure.run_measured([sys.executable, str(script)], log=tmp_path / "log.txt")
    assert found.peak_rss_bytes > 64 * MIB
    assert found.peak_pss_bytes > 128 * MIB
    assert found.peak_bytes == max(found.peak_rss_bytes, found.peak_pss_bytes)
    assert found.cpu_seconds == found.user_seconds + found.system_seconds > 0


def test_a_failed_command_is_told_with_what_it_printed(measure, tmp_path):
    command = [sys.executable, "-c", "import os, sys; print(os.environ['WORD']); sys.exit(3)"]
    with pytest.raises(measure.CommandFailedError, match="exit 3\ntold"):
        measure.run_measured(command, log=tmp_path / "log.txt", environment={"WORD": "told"})
