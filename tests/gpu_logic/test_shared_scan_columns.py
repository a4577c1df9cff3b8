"""The tests of `tests.engine.test_scan_columns`, on the GPU's code with stand-ins."""

from tests.engine.test_scan_columns import *  # noqa: F403

DEVICES = ("gpu-logic",)
