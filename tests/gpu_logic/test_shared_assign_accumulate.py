"""The tests of `tests.engine.test_assign_accumulate`, on the GPU's code with stand-ins."""

from tests.engine.test_assign_accumulate import *  # noqa: F403

DEVICES = ("gpu-logic",)
