"""Databases are read by the host, whatever the device: tests of `tests.sources.sql` on the GPU's code."""

from tests.sources.sql.conftest import password, server, stored  # noqa: F401
from tests.sources.sql.test_agreement import test_exact_amounts_are_exact_to_the_last_digit  # noqa: F401
from tests.sources.sql.test_sqlite import (  # noqa: F401
    amounts,
    database,
    test_a_bad_value_is_named_by_row_and_column,
    test_attributes_are_text_whatever_is_stored,
    test_values_of_several_types_in_one_column,
)

DEVICES = ("gpu-logic",)
