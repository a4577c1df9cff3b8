"""Rows of a database as raw tables, bounded in size; the whole source is read in one transaction."""

from collections.abc import Iterator

import pyarrow as pa

from gpuseg.engine.program import ReadPlan
from gpuseg.engine.sql_sessions import session
from gpuseg.engine.sql_values import free_type


def sql_tables(plan: ReadPlan) -> Iterator[pa.Table]:
    """Raw columns under the database's names.

    Raises
    ------
    ConfigError, SchemaError
        In one line without a value, as of `gpuseg.engine.databases.asking`.
    """
    asked = plan.asked
    columns = {name: asked.columns[name] for name in dict.fromkeys(plan.columns.values())}
    names = (plan.columns[name] for name in plan.attributes)
    free = {name: free_type(columns[name].type) for name in names}
    with session(asked.database) as opened:
        yield from opened.tables(columns, free, plan.chunk_rows)
