"""The tests of `tests.engine.test_aggregate`, on the GPU's code with stand-ins."""

from tests.engine.test_aggregate import *  # noqa: F403

DEVICES = ("gpu-logic",)
