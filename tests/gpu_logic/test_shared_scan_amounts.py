"""The tests of `tests.engine.test_scan_amounts`, on the GPU's code with stand-ins."""

from tests.engine.test_scan_amounts import *  # noqa: F403

DEVICES = ("gpu-logic",)
