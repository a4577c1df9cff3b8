"""The tests of `tests.engine.test_coarse`, on the GPU's code with stand-ins."""

from tests.engine.test_coarse import *  # noqa: F403

DEVICES = ("gpu-logic",)
