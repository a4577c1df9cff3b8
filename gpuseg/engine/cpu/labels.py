"""Sorts the words and pages of rows into the classes of their kind; every distinct text is looked at once."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import codes_of
from gpuseg.engine.cpu.checks import Rows, is_text, one_array, or_nothing
from gpuseg.vocabulary import Kind
from gpuseg.words import plain_word

_ANY = "*"


def row_classes(rows: Rows, kind: Kind, own: Mapping[str, str]) -> npt.NDArray[np.int32]:
    """Class of every row, as its place in `kind.class_order`.

    Parameters
    ----------
    rows : Rows
    kind : Kind
        Has a column of type `label`.
    own : mapping of str to str
        The source's own words to classes; "*" stands for every other word and for rows without one.

    Notes
    -----
    An own word holds, then a word of the tables; a page moves a row up to a later class, but never one of the first
    class, "other". A row without a word goes by its page alone.
    """
    order = kind.class_order
    mine = {plain_word(word): name for word, name in own.items()}
    default = mine.get(_ANY, kind.default_class)

    def by_word(word: str) -> int:
        known = mine.get(plain_word(word)) or kind.classes.get(plain_word(word))
        return order.index(known or mine.get(_ANY) or order[0])

    found = np.full(rows.table.num_rows, order.index(default), np.int32)
    label = kind.label
    if label is not None and label in rows.table.column_names:
        words = _by_text(rows, label, by_word)
        found = np.where(words >= 0, words, found)
    page = next((column.name for column in kind.columns if column.type == "url"), None)
    if page is not None and page in rows.table.column_names:
        pages = _by_text(rows, page, lambda url: _page_class(url, kind))
        found = np.where(found > 0, np.maximum(found, pages), found)
    return found.astype(np.int32)


def _page_class(url: str, kind: Kind) -> int:
    """The latest class that a segment of the path names, -1 for none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return -1
    named = [kind.path_classes[part] for part in path.lower().split("/") if part in kind.path_classes]
    return max((kind.class_order.index(name) for name in named), default=-1)


def _by_text(rows: Rows, column: str, sort: Callable[[str], int]) -> npt.NDArray[np.int32]:
    """What `sort` says of the text of each row, -1 for null."""
    array = or_nothing(one_array(rows.table[column]))
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not is_text(array.type):
        raise rows.wrong_type(column, array.type, "text")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    # One more entry at the end, which code -1 finds.
    sorted_ = [-1 if text is None else sort(text) for text in array.dictionary.to_pylist()]
    return np.array([*sorted_, -1], np.int32).take(codes_of(array))
