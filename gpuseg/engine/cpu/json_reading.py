"""Reads JSON lines as text columns: whole blocks by Arrow, and line by line whatever Arrow does not take.

Arrow reads a block only if every value of a column has one form; what it then gives is what the lines say one by one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from gpuseg.engine.arrow import text_arrow
from gpuseg.engine.cpu.raw_columns import plain_column
from gpuseg.engine.json_lines import (
    BadLineError,
    Fraction,
    NotFinite,
    Pairs,
    Whole,
    is_tidy,
    line_blocks,
    lines_of,
    parsed_line,
)
from gpuseg.engine.opening import folder_values
from gpuseg.engine.program import WRONG_COLUMN, WRONG_REASON, ReadPlan
from gpuseg.errors import InvalidValueError, SchemaError
from gpuseg.vocabulary import KINDS

_DECIMAL = pa.decimal256(60, 24)
_LONG_EXPONENT = re.compile(r"(?<=[eE])([+-]?)0+(?=[0-9])")
_FORMS = {
    str: "text",
    Whole: "a whole number",
    Fraction: "a number with a fraction or an exponent",
    NotFinite: "NaN or an infinity",
    bool: "true or false",
    list: "an array",
    Pairs: "an object",
}
_LINES_FOR_TYPES = 100
_FIGURE = (str, Whole, Fraction, NotFinite)
_KEY = ((str, Whole), "text or a whole number")
_WORD = ((str, Whole, bool), "text, a whole number, true or false")
_FORMS_OF: dict[str, tuple[tuple[type, ...], str]] = {
    "id": _KEY,
    "key": _KEY,
    "time": ((str,), "ISO 8601 text (numbers are not guessed to be seconds or milliseconds)"),
    "amount": (_FIGURE, "a number or decimal text"),
    "number": (_FIGURE, "a number or decimal text"),
    "attribute": ((str, Whole, Fraction, bool), "text, a number, true or false"),
}


@dataclass(frozen=True)
class _Want:
    """Forms that the values of a canonical column may have, and those in words."""

    column: str
    forms: tuple[type, ...]
    words: str


@dataclass(frozen=True)
class _Problem:
    """What is wrong with a line, and in which column by the file's name; None for all of it."""

    reason: str
    column: str | None
    is_value: bool = False

    def error(self, place: str) -> SchemaError | InvalidValueError:
        """The error that ends a run."""
        if self.is_value:
            return InvalidValueError(f"{place}, column {self.column!r}: {self.reason}")
        return SchemaError(f"{place}: {self.reason}")


def json_tables(plan: ReadPlan, file: str) -> Iterator[pa.Table]:
    """Columns of a plan by the file's names, as text; amounts and other figures are text or exact decimals.

    Under quarantine, `WRONG_REASON` and `WRONG_COLUMN` say what is wrong with lines, which have no value there.

    Where a line lacks a column, the value that a folder of the file names holds.

    Raises
    ------
    SchemaError
        If a line holds no object, or names a column twice; names the row.
    InvalidValueError
        If a value has a form that its column cannot have; names row and column.
    """
    lines = _Lines(plan, file)
    for block in line_blocks(file, plan.source):
        rows = lines_of(block)
        if rows:
            yield lines.table(block, rows)


class _Lines:
    """The lines of one file, and where in it the reading stands."""

    def __init__(self, plan: ReadPlan, file: str) -> None:
        self._quarantine = plan.quarantine
        self._place = f"{plan.source}: {file}"
        self._wants: dict[str, list[_Want]] = {}
        for canonical, name in plan.columns.items():
            self._wants.setdefault(name, []).append(_want(plan.kind, canonical))
        self._folders = {name: value for name, value in folder_values(file).items() if value and name in self._wants}
        self._first_row = 1

    def table(self, block: bytes, rows: list[bytes]) -> pa.Table:
        """The next rows; `rows` are the lines of the block that are not blank."""
        found = self._by_arrow(block, rows) if is_tidy(rows, block) else None
        if found is None:
            found = self._by_line(rows)
        self._first_row += len(rows)
        for name, value in self._folders.items():
            filled = pc.coalesce(plain_column(found[name].cast(pa.string())), text_arrow([value])[0])
            found = found.set_column(found.column_names.index(name), name, filled)
        return found

    def _by_arrow(self, block: bytes, rows: list[bytes]) -> pa.Table | None:
        schema = pa.schema({name: self._type(name, rows) for name in self._wants})
        try:
            str(block, "utf-8")
            table = pajson.read_json(
                pa.BufferReader(block),
                read_options=pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        if table.num_rows != len(rows):
            return None
        columns = {name: table[name] for name in self._wants}
        return pa.table({name: c if c.type == _DECIMAL else c.cast(pa.string()) for name, c in columns.items()})

    def _type(self, name: str, rows: list[bytes]) -> pa.DataType:
        """Arrow type of a column from its first value near the start of a block; text where it takes a closer look."""
        wants = self._wants[name]
        for line in rows[:_LINES_FOR_TYPES]:
            try:
                form = type(dict(parsed_line(line)).get(name))
            except BadLineError:
                break
            if form is not type(None):
                if form in (Whole, Fraction) and all(want.forms is _FIGURE for want in wants):
                    return _DECIMAL
                if all(form in want.forms for want in wants):
                    return {Whole: pa.int64(), bool: pa.bool_()}.get(form, pa.string())
                break
        return pa.string()

    def _by_line(self, rows: list[bytes]) -> pa.Table:
        texts: dict[str, list[str]] = {name: [] for name in self._wants}
        problems: dict[int, _Problem] = {}
        for place, line in enumerate(rows):
            cells, problem = self._cells(line)
            if problem is not None:
                if not self._quarantine:
                    raise problem.error(f"{self._place}, row {self._first_row + place}")
                problems[place] = problem
            for name, column in texts.items():
                # An empty text is missing in every format.
                column.append(cells.get(name, ""))
        columns = {name: text_arrow(column) for name, column in texts.items()}
        if problems:
            found = [problems.get(place) for place in range(len(rows))]
            columns[WRONG_REASON] = pa.array([p and p.reason for p in found], pa.string())
            columns[WRONG_COLUMN] = pa.array([p and p.column for p in found], pa.string())
        return pa.table(columns)

    def _cells(self, line: bytes) -> tuple[dict[str, str], _Problem | None]:
        """The texts of a line, and the first thing that is wrong with it; a wrong value has no text."""
        try:
            pairs = parsed_line(line)
        except BadLineError as error:
            return {}, _Problem(str(error), None)
        values, problem = dict(pairs), None
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            for name in self._wants:
                if names.count(name) > 1:
                    problem = problem or _Problem(f"the object names {name!r} more than once", name)
                    del values[name]
        cells = {}
        for name in self._wants:
            value = values.get(name)
            if value is not None:
                reason = self._why_not(name, value)
                if reason is None:
                    cells[name] = _spelt(value)
                else:
                    problem = problem or _Problem(reason, name, is_value=True)
        return cells, problem

    def _why_not(self, name: str, value: Any) -> str | None:
        form = type(value)
        for want in self._wants[name]:
            if form not in want.forms:
                return f"the value is {_FORMS[form]}, but {want.column} needs {want.words}"
        if form is str and not (value.isascii() or _is_text(value)):
            return "the text holds half of a surrogate pair, which is no character"
        return None


def _spelt(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return _LONG_EXPONENT.sub(r"\1", value) if type(value) is Fraction else str(value)


def _want(kind: str, canonical: str) -> _Want:
    known = next((column.type for column in KINDS[kind].columns if column.name == canonical), "attribute")
    return _Want(canonical, *_FORMS_OF.get(known, _WORD))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
