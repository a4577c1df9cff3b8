"""The tests of `tests.contract.test_families`, on the GPU's code with stand-ins."""

from tests.contract.test_families import *  # noqa: F403

DEVICES = ("gpu-logic",)
