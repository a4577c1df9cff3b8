"""The tests of `tests.engine.test_event_kinds`, on the GPU's code with stand-ins."""

from tests.engine.test_event_kinds import *  # noqa: F403

DEVICES = ("gpu-logic",)
