"""Writes the files: Parquet, numbered per kind, each under its name only when it is whole."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.errors import ConfigError
from gpuseg.synth.columns import FILE_COLUMNS, TEXT, WORDS, Array, Columns
from gpuseg.synth.spec import SynthSpec


def claim_folder(out: Path) -> None:
    """Make `out` where missing; refuse one that is in use."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir())
    except OSError as error:
        raise ConfigError(f"out: {out}: cannot be used as a folder: {error.strerror}; name another one") from None
    if taken:
        raise ConfigError(f"out: {out}: the folder is not empty; empty it or name another one")


class Store:
    """Files of one kind, or the one file of the truth.

    Parameters
    ----------
    out : Path
        Folder for the files.
    name : str
        A kind, or `truth`.
    spec : SynthSpec

    Attributes
    ----------
    files : list of str
        Names of the files so far, the unfinished one included.
    n_rows : int
        Rows written so far.
    """

    def __init__(self, out: Path, name: str, spec: SynthSpec) -> None:
        self.files: list[str] = []
        self.n_rows = 0
        self._out = out
        self._name = name
        self._most = spec.rows_per_file if name != "truth" else spec.n_profiles
        id_type = TEXT if spec.id_type == "text" else pa.int64()
        self._schema = pa.schema({"customer_id": id_type} | FILE_COLUMNS[name])

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, failed: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if failed is None:
            self._commit()
            return
        try:
            self._writer.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, rng: np.random.Generator, ids: pa.Array, columns: Columns) -> None:
        """Append rows in a mixed order; `customer_id` holds positions in `ids`, text columns codes."""
        order = rng.permutation(len(columns["customer_id"]))
        arrays = [_arrow(field, columns[field.name][order], ids) for field in self._schema]
        table = pa.table(arrays, schema=self._schema)
        self.n_rows += table.num_rows
        done = 0
        while done < table.num_rows:
            if self._room == 0:
                self._commit()
                self._open()
            piece = table.slice(done, self._room)
            self._writer.write_table(piece)
            self._room -= piece.num_rows
            done += piece.num_rows

    def _open(self) -> None:
        number = "" if self._name == "truth" else f"-{len(self.files):04d}"
        self.files.append(f"{self._name}{number}.parquet")
        self._temporary = self._out / f".{self.files[-1]}.partial"
        self._room = self._most
        # Without the Arrow schema in the file, dictionary columns are read back as plain text.
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            version="2.6",
            compression="snappy",
            use_dictionary=[field.name for field in self._schema if field.type == TEXT],
            store_schema=False,
            write_page_checksum=True,
        )

    def _commit(self) -> None:
        self._writer.close()
        self._temporary.replace(self._out / self.files[-1])


def _arrow(field: pa.Field, values: Array, ids: pa.Array) -> pa.Array:
    if field.name == "customer_id":
        rows = pa.array(values, type=pa.int32())
        return pa.DictionaryArray.from_arrays(rows, ids) if field.type == TEXT else ids.take(rows)
    if field.type == TEXT:
        return pa.DictionaryArray.from_arrays(pa.array(values).cast(pa.int32()), pa.array(WORDS[field.name]))
    return pa.array(values).cast(field.type)
