"""The tests of `tests.engine.test_hash_ids`, on the GPU's code with stand-ins."""

from tests.engine.test_hash_ids import *  # noqa: F403

DEVICES = ("gpu-logic",)
