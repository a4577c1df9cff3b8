"""JSON lines: blocks of whole lines, one object a line, and which columns the lines name."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from gpuseg.engine.opening import opened, readable, refuse_other_format
from gpuseg.errors import SchemaError

BLOCK_BYTES = 8 << 20
LONGEST_LINE_BYTES = 64 << 20
_PEEKED_LINES = 1000
_BLANK = b" \t\r"
_MARK = b"\xef\xbb\xbf"
_NULL_LINE = re.compile(rb"\}\s*null")


class Whole(str):
    """A whole number of JSON, as written."""


class Fraction(str):
    """A number of JSON with a fraction or an exponent, as written."""


class NotFinite(str):
    """NaN or an infinity, which are no JSON but are often written."""


class Pairs(list[tuple[str, Any]]):
    """The names and values of an object, doubles among them."""


class BadLineError(ValueError):
    """A line that holds no object; the text says why, and quotes nothing."""


def _whole(text: str) -> Whole:
    return Whole("0" if text == "-0" else text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=_whole, parse_float=Fraction, parse_constant=NotFinite, strict=True
)


def line_blocks(path: str, source: str) -> Iterator[bytes]:
    """Blocks of whole lines, about `BLOCK_BYTES` each, every line with its newline.

    Raises
    ------
    SchemaError
        If the file cannot be read or a line is longer than `LONGEST_LINE_BYTES`.
    """
    with readable(path, "JSON lines", source), opened(path) as handle:
        rest = handle.read(BLOCK_BYTES)
        refuse_other_format(rest[:8], "JSON lines", path, source)
        rest = rest.removeprefix(_MARK)
        while True:
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
            if len(rest) > LONGEST_LINE_BYTES:
                raise SchemaError(f"{source}: {path}: a line is longer than {LONGEST_LINE_BYTES >> 20} MiB")
            data = handle.read(BLOCK_BYTES)
            if not data:
                break
            rest += data
        if rest:
            yield rest + b"\n"


def lines_of(block: bytes) -> list[bytes]:
    """The lines of a block that are not blank, without the space around them."""
    stripped = (line.strip(_BLANK) for line in block.split(b"\n"))
    return [line for line in stripped if line]


def is_tidy(lines: list[bytes], block: bytes) -> bool:
    """Whether every line looks like one object, so that a reader of the whole block may be asked.

    Notes
    -----
    A null between objects makes Arrow 26 read memory that is not its own, so it must never see one.
    """
    whole = all(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    return whole and _NULL_LINE.search(block) is None


def parsed_line(line: bytes) -> Pairs:
    """The object of one line.

    Raises
    ------
    BadLineError
    """
    try:
        found = _DECODER.decode(line.decode())
    except UnicodeDecodeError:
        raise BadLineError("not UTF-8 text; convert the file to UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLineError(_why(error, line)) from None
    except RecursionError:
        raise BadLineError("the values are nested too deeply") from None
    if type(found) is Pairs:
        return found
    if type(found) is list:
        raise BadLineError("an array, where JSON lines hold one object a line (jq -c '.[]' makes them of an array)")
    raise BadLineError("no object, where JSON lines hold one object a line")


def _why(error: json.JSONDecodeError, line: bytes) -> str:
    if error.msg.startswith("Extra data") and line.startswith((b"{", b"[")):
        return "something follows the first value of the line; JSON lines hold one object a line"
    if line.startswith(b"["):
        return "an array begins, where JSON lines hold one object a line (jq -c '.[]' makes them of an array)"
    if line.startswith(b"{"):
        return "not valid JSON; an object stands whole on one line"
    return "not a JSON object; JSON lines hold one object a line (for CSV set format: csv)"


def json_columns(path: str, source: str, wanted: Collection[str]) -> list[str] | None:
    """Names of the columns of a file: those of `wanted` that any line has, and others that are fit to be shown.

    The first lines are parsed; the rest of the file is searched only while names are missing.

    Returns
    -------
    list of str or None
        None for a file without a line.

    Raises
    ------
    SchemaError
        If none of the first lines holds an object; names the first row.
    """
    counts: Counter[str] = Counter()
    nested: set[str] = set()
    missing = set(wanted)
    n_rows = 0
    wrong: SchemaError | None = None
    for block in line_blocks(path, source):
        if not n_rows:
            for line in lines_of(block)[:_PEEKED_LINES]:
                n_rows += 1
                try:
                    pairs = parsed_line(line)
                except BadLineError as error:
                    wrong = wrong or SchemaError(f"{source}: {path}, row {n_rows}: {error}")
                    continue
                counts.update({name for name, _ in pairs})
                nested |= {name for name, value in pairs if isinstance(value, list)}
            missing -= counts.keys()
        missing -= _named(block, missing)
        if n_rows and not missing:
            break
    if not n_rows:
        return None
    # Where other lines hold objects, the reading names this one, or sets it apart.
    if wrong is not None and not counts:
        raise wrong
    found = [name for name in wanted if name not in missing]
    # A name that stands on one line alone may be somebody's id, so it is not shown.
    shown = [name for name, count in counts.items() if count > 1 or (n_rows == 1 and found)]
    return found + [name for name in shown if name not in found and name not in nested]


def _named(block: bytes, names: set[str]) -> set[str]:
    """Those of `names` that an object of the block has."""
    if not names:
        return set()
    marks = [re.escape(f'"{name}"'.encode()) for name in names]
    # Any character of a name may be written as an escape.
    marks.append(rb"\\u00[2-7]" if all(name.isascii() for name in names) else rb"\\u")
    pattern = re.compile(b"|".join(marks))
    if not pattern.search(block):
        return set()
    found: set[str] = set()
    for line in lines_of(block):
        if pattern.search(line):
            try:
                found |= names & {name for name, _ in parsed_line(line)}
            except BadLineError:
                continue
            if found == names:
                break
    return found
