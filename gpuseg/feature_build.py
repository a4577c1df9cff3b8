"""From the state to feature files: what families may know of the data, and one bucket's evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.config import Config
from gpuseg.engine.base import Device
from gpuseg.engine.expression import Expression, attributes_of, may_be_null, reductions_of
from gpuseg.features.algebra import AttributeColumn, Context
from gpuseg.features.registry import Declared
from gpuseg.sources.plan import Plans
from gpuseg.sources.reduce import bucket_files
from gpuseg.vocabulary import KINDS
from gpuseg.workspace.files import read_table, write_table

_MOST_CATEGORIES = 20
_NEARLY_ALL = 0.9


def context_of(config: Config, plans: Plans, state: Path) -> Context:
    """What a family may know when it declares its features.

    Parameters
    ----------
    config : Config
    plans : Plans
    state : Path
        The committed state.
    """
    columns: dict[str, frozenset[str]] = {}
    for plan in plans.reads:
        columns[plan.kind] = columns.get(plan.kind, frozenset()) | frozenset(plan.columns)
    categories = read_table(state / "categories.parquet").to_pylist()
    largest = {
        kind: tuple(row["category"] for row in categories if row["kind"] == kind)[:_MOST_CATEGORIES] for kind in KINDS
    }
    return Context(
        as_of=config.run.as_of,
        windows_days=config.features.windows_days,
        amount_scale=config.run.amount_scale,
        categories=largest["purchases"],
        has_categories="category" in columns.get("purchases", ()),
        networks=largest["social"],
        columns=columns,
        attributes=_attribute_columns(plans, state, config.privacy.group_floor),
    )


def _attribute_columns(plans: Plans, state: Path, floor: int) -> tuple[AttributeColumn, ...]:
    """The attributes that can become features; text of very many values, and text that never varies, cannot.

    A value that fewer profiles than the floor have could point to them, so it gets no name of its own.
    """
    values: dict[tuple[str, str], list[str]] = {}
    n_values: dict[tuple[str, str], int] = {}
    listed = state / "attributes.parquet"
    for row in read_table(listed).to_pylist() if listed.exists() else ():
        key = (row["source"], row["column"])
        n_values[key] = n_values.get(key, 0) + 1
        if row["n_profiles"] >= floor:
            values.setdefault(key, []).append(row["value"])
    found = []
    kinds = {(row["source"], row["column"]): row["kind"] for row in _listed_kinds(state)}
    for plan in plans.reads:
        table = f"{plan.source}.attributes"
        files = bucket_files(state / table)
        if not files:
            continue
        for field in pq.read_schema(files[0]):
            key = (plan.source, field.name)
            varies = n_values.get(key, 0) > 1 and bool(values.get(key))
            kind = _attribute_kind(field.type, kinds.get(key, "text"), varies=varies)
            if field.name in plan.attributes and kind is not None:
                words = tuple(values.get(key, ())) if kind == "text" else ()
                found.append(AttributeColumn(table, field.name, kind, words, n_values.get(key, 0)))
    return tuple(found)


def _listed_kinds(state: Path) -> list[dict[str, Any]]:
    path = state / "attribute_kinds.parquet"
    return list(read_table(path).to_pylist()) if path.exists() else []


def nearly_figures(state: Path) -> list[str]:
    """A warning for each attribute that would hold figures but for a few values."""
    return [
        f"{row['source']}: {row['n_figures']:,} of {row['n_values']:,} values of {row['column']} are numbers; as the "
        "others are not, all count as text: mend them to have it as a figure"
        for row in _listed_kinds(state)
        if row["kind"] == "text" and _NEARLY_ALL * row["n_values"] <= row["n_figures"] < row["n_values"]
    ]


def _attribute_kind(kind: pa.DataType, text_kind: str, *, varies: bool) -> Any:
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        return "number"
    if not pa.types.is_string(kind):
        return None
    if text_kind != "text":
        return text_kind
    return "text" if varies else None


def unused_attributes(plans: Plans, context: Context) -> list[str]:
    """One sentence for each source with attributes that can be no feature."""
    used = {(column.table, column.name) for column in context.attributes}
    notes = []
    for plan in plans.reads:
        names = [name for name in plan.attributes if (f"{plan.source}.attributes", name) not in used]
        if names:
            why = "they never vary, or their values are too many or of too few"
            notes.append(f"{plan.source}: no features of {', '.join(names)}: {why}")
    return notes


@dataclass(frozen=True)
class BucketFeatures:
    """Evaluates the features of one bucket and writes its file.

    Parameters
    ----------
    device : Device
    expressions : mapping of feature name to Expression
    columns : mapping of table name to sequence of str
        From `columns_needed`.
    folder : Path
        The version's folder.
    """

    device: Device
    expressions: Mapping[str, Expression]
    columns: Mapping[str, Sequence[str]]
    folder: Path

    def files(self, bucket: str, n_profiles: int) -> list[Path]:
        """What was written for a bucket of so many profiles with features."""
        path = self.folder / "features" / bucket
        return [path] if n_profiles or path.exists() else []

    def __call__(self, bucket: str) -> int:
        """Write the features of one bucket and give the number of its profiles."""
        state = self.folder / "state"
        tables = {
            name: read_table(state / name / bucket, list(columns))
            for name, columns in self.columns.items()
            if (state / name / bucket).exists()
        }
        if all(name.endswith(".attributes") for name in tables):
            return 0
        for name, columns in self.columns.items():
            if name not in tables and not name.endswith(".attributes"):
                tables[name] = _empty(columns, tables)
        found = self.device.evaluate(tables, self.expressions)
        nullable = [name for name, expression in self.expressions.items() if may_be_null(expression)]
        write_table(self.folder / "features" / bucket, found, nullable=nullable)
        return int(found.num_rows)


def columns_needed(expressions: Mapping[str, Expression]) -> dict[str, list[str]]:
    """Columns to read of each table of the state."""
    needed: dict[str, dict[str, None]] = {}
    for expression in expressions.values():
        for reduction in reductions_of(expression):
            columns = needed.setdefault(reduction.table, dict.fromkeys(("profile_id", "day")))
            columns[reduction.column] = None
            if reduction.category is not None:
                columns["category"] = None
        for attribute in attributes_of(expression):
            needed.setdefault(attribute.table, {"profile_id": None})[attribute.column] = None
    return {table: list(columns) for table, columns in needed.items()}


def _empty(columns: Sequence[str], tables: Mapping[str, pa.Table]) -> pa.Table:
    """A table without rows, for a bucket whose profiles have none of its kind."""
    ids = next(iter(tables.values())).schema.field("profile_id").type
    types = {"profile_id": ids, "day": pa.int32(), "category": pa.dictionary(pa.int32(), pa.string())}
    return pa.table({name: pa.nulls(0, types.get(name, pa.int64())) for name in columns})


def rare_categories(state: Path, floor: int) -> frozenset[tuple[str, str]]:
    """Tables of cells and those of their categories, named by the data, that fewer profiles than the floor have."""
    return frozenset(
        (f"{row['kind']}.cells", row["category"])
        for row in read_table(state / "categories.parquet").to_pylist()
        if row["n_profiles"] < floor and KINDS[row["kind"]].category != "class"
    )


def described(item: Declared, rare: frozenset[tuple[str, str]] = frozenset()) -> dict[str, Any]:
    """What `_features.json` says of a feature; one of a rare category alone is not published, for it is somebody's."""
    feature = item.feature
    named = {(r.table, r.category) for r in reductions_of(feature.expression) if r.category is not None}
    return {
        "name": feature.name,
        "family": item.family,
        "label": feature.label,
        "saying": feature.saying,
        "unit": feature.unit,
        "dtype": feature.dtype,
        "in_matrix": feature.in_matrix,
        "published": len(named) != 1 or not named <= rare,
    }
