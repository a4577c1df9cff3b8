"""The tests of `tests.engine.test_evaluate`, on the GPU's code with stand-ins."""

from tests.engine.test_evaluate import *  # noqa: F403

DEVICES = ("gpu-logic",)
