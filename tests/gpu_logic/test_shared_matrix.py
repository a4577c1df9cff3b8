"""The tests of `tests.engine.test_matrix`, on the GPU's code with stand-ins."""

from tests.engine.test_matrix import *  # noqa: F403

DEVICES = ("gpu-logic",)
