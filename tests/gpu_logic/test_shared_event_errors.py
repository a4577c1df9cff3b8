"""The tests of `tests.engine.test_event_errors`, on the GPU's code with stand-ins."""

from tests.engine.test_event_errors import *  # noqa: F403

DEVICES = ("gpu-logic",)
