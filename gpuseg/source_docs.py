"""The page on source kinds, written from the vocabulary so that it cannot say anything else."""

import sys
from pathlib import Path

from gpuseg.source_examples import EXAMPLES, Example
from gpuseg.vocabulary import KINDS, Column, Kind

_TYPES = {
    "id": "integer or text",
    "key": "integer or text",
    "time": "timestamp, date or ISO 8601 text",
    "amount": "number or decimal text",
    "number": "number or decimal text",
    "text": "text or integer",
    "label": "text or integer",
    "url": "text",
    "comment": "text",
}


_PLACES = """\
## Where files may live

`uri` is a path, a pattern (`*`, `?`, `[ab]`, `**`) or a URL of any file system that fsspec knows. Patterns work in \
all of them: `s3://shop-data/orders/month=*/*.parquet`.

| `uri` begins with | install | credentials and address, by the environment | tested against |
|---|---|---|---|
| no `://` | | | local disks |
| `s3://` | `pip install 'gpuseg[s3]'` | `AWS_ACCESS_KEY_ID` and its kin, `AWS_PROFILE`, roles; another server: \
`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` or `FSSPEC_S3_ENDPOINT_URL` | an S3 server over HTTP (moto) |
| `gs://` | `pip install 'gpuseg[gcs]'` | `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth`, roles | an emulator over \
HTTP (gcp-storage-emulator), plain buckets only |
| `abfs://` | `pip install 'gpuseg[azure]'` | `AZURE_STORAGE_ACCOUNT_NAME` with `_KEY`, `_SAS_TOKEN` or a login; \
`AZURE_STORAGE_CONNECTION_STRING` | an emulator over HTTP (Azurite), where it is installed |
| `memory://` | | | itself |

None of them was tested against the clouds themselves. A `uri` that holds a password, key or signature is refused.

- **What is fetched.** Of Parquet the footer and the columns that are read, neighbouring ones in one request; row \
groups up to 64 MiB at a time, larger ones 4 MiB of each column at a time. CSV and JSON lines come in blocks of 8 MiB, \
the next one on its way while one is read. No file is held in memory whole, or put on disk.
- **Faults.** Requests are tried again when a connection breaks off or a store asks to slow down: on S3 at most 3 \
times 5 tries with 10 seconds to connect, unless `AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE` or fsspec's own `config_kwargs` \
say otherwise; Google Cloud gives up after about half a minute, Azure after a minute and a half. What stays away or \
may not be read is exit 4, what is not there is exit 3. A folder that may not be listed ends the run and is not \
passed over.
- **Changes.** The files of all sources are looked for again when they have been read. Where one was replaced or \
removed, or a new one matches, the run ends with exit 5; run again. Local files tell by size, times and inode, \
objects by size and ETag, files of a web server (`http://`) by size and what it tells of ETag or time.
"""

_DATABASES = """\
## Rows of a database

A source, and an identity map, may be a table or a query in place of files. `pip install 'gpuseg[sql]'` brings the \
drivers; SQLite needs none.

```yaml
sources:
  - {name: orders, kind: purchases, uri: "postgresql://reader@db.example/shop", query: "select * from paid_orders"}
  - {name: customers, kind: crm, uri: "sqlite:///data/crm.db", table: customers}
  - {name: visits, kind: web, uri_env: SHOP_DATABASE_URL, table: web.visits}
```

| `uri` begins with | read by | a relative file starts at |
|---|---|---|
| `postgresql://` | ADBC, as Arrow | |
| `sqlite:///` | Python's own SQLite | the configuration's folder |
| anything else, such as `mysql+pymysql://`, `duckdb:///`, `postgresql+psycopg://` | SQLAlchemy, with a cursor that \
streams where the driver has one; install the driver too | the configuration's folder (`duckdb`, `sqlite+...`) |

- **Passwords.** `uri` is refused where it holds one. PostgreSQL takes it from `PGPASSWORD`, `~/.pgpass` or \
`PGSERVICE`; for all databases `uri_env` names an environment variable with the whole URL (marks such as `@`, `:` and \
`/` of a password are percent-encoded; a relative file in it \
starts at the current folder). Its value is in no message and in no file that is written; a digest of the host and \
the database's name is part of what tells whether a stage is still good.
- **What is asked.** `SELECT` of the columns that are read, and of no others, from the table or from the query in \
brackets, so the query is one `SELECT` whose columns have different names (SQL Server takes no `WITH` there: make a \
view). Names are taken as the database spells them. Where a database gives values without their types (all but \
PostgreSQL), the first 1,000 rows are looked at beforehand.
- **One state.** A source is read in one transaction: read-only and repeatable in PostgreSQL, read-only in SQLite; \
elsewhere one statement. Two sources, and the two readings of a crm source with a consent column, are two \
transactions.
- **Memory.** At most `run.chunk_rows` rows are held at a time, and no more than 16 MiB of what PostgreSQL sends.
- **Types.** Whole numbers, exact decimals (`numeric`, `money`: exact to the last digit), floats, text, `uuid`, \
dates, times with and without a zone, booleans. All else arrives as text. An infinite date or time of PostgreSQL \
counts as missing. SQLite's values are taken for what they are, whatever the column was declared as; attributes that \
are figures count as figures either way.
- **Places.** Messages and rows set apart say `table customers` or `the query` in place of a file, and the row's \
number in the order in which the database gave them, which may differ the next time. A database's own message is \
never passed on, since it may quote a value: its SQLSTATE is, with its meaning.
- **Changes.** SQLite's file tells by size and times whether it was changed. A server cannot say: while the query \
and the URL stay the same, stages that are committed count as good for `gpuseg run --resume` and for the verbs of \
single stages; `gpuseg run` always reads anew. Where `run.buckets` is `auto`, a run that reads a server has at least \
64 buckets.
- **Large tables.** One table or query is read by one worker from its start to its end, and anew where that \
is interrupted. Several sources of one kind add up, so a large one is better given as several, each a query over a \
range.
"""


def source_page() -> str:
    """Markdown on every kind: its columns, its words, what is kept of it, and worked examples."""
    parts = [
        "# Sources",
        "",
        "Written by `python -m gpuseg.source_docs docs/sources.md`; a test keeps it so.",
        "",
        "A configuration maps a file's columns to the canonical names below: `columns: {at: ts}`, gpuseg's name left, "
        "the file's right. A column that has its canonical name already need not be mapped. All other columns, and "
        "those that `privacy.deny_columns` names, are never read. In the examples `run.as_of` is 2026-01-01; every "
        "key of a source is in [configuration.md](configuration.md).",
        "",
    ]
    parts += [*_PLACES.splitlines(), "", *_DATABASES.splitlines(), ""]
    for kind in KINDS.values():
        parts += _kind(kind)
    return "\n".join(parts).rstrip() + "\n"


def _kind(kind: Kind) -> list[str]:
    title = "crm with a time: contacts" if kind.name == "contacts" else kind.name
    lines = [f"## {title}", "", f"{kind.meaning[:1].upper()}{kind.meaning[1:]}.", ""]
    lines += ["| column | holds | needed | meaning |", "|---|---|---|---|"]
    lines += [_column(column, kind) for column in kind.columns]
    if kind.has_attributes:
        lines.append(
            "| any other name | number, date, boolean or text | no | an attribute, for the family `attributes` |"
        )
    lines.append("")
    if kind.classes:
        lines += [
            f"Words of `{kind.label}` are sorted into classes; a source's own words go into `events`, `*` stands for "
            f"all others (`events: {{their word: {kind.class_order[-1]}}}`). A row without a word is "
            f"`{kind.default_class}`, an unknown word `{kind.class_order[0]}`.",
            "",
            "| class | words |",
            "|---|---|",
        ]
        for name in kind.class_order:
            words = sorted(word for word, found in kind.classes.items() if found == name)
            pages = sorted(part for part, found in kind.path_classes.items() if found == name)
            shown = ", ".join(words) + (f"; pages under {', '.join(f'/{part}/' for part in pages)}" if pages else "")
            lines.append(f"| `{name}` | {shown} |")
        lines.append("")
    if not kind.has_attributes:
        lines += [f"Kept: {_kept(kind)}.", ""]
    for example in EXAMPLES:
        if example.kind == kind.name:
            lines += _example(example)
    return lines


def _example(example: Example) -> list[str]:
    lines = [f"### {example.title}", ""]
    for path, content in example.files.items():
        lines += [f"`{path}`:", "", "```json" if path.endswith(".jsonl") else "```text", content.rstrip(), "```", ""]
    figures = ", ".join(f"`{name}` {value:g}" for name, value in example.features.items())
    lines += ["```yaml", example.section.rstrip(), "```", ""]
    return [*lines, f"{example.n_profiles} profiles; `{example.profile}` has {figures}.", ""]


def _column(column: Column, kind: Kind) -> str:
    needed = "yes" if column.required else "one of these" if column.name in kind.one_of else "no"
    holds = _TYPES[column.type]
    if column.type == "number" and column.most != float("inf"):
        holds += f", {column.least:.10g} to {column.most:.10g}"
    return f"| `{column.name}` | {holds} | {needed} | {column.meaning} |"


def _kept(kind: Kind) -> str:
    each = "profile and day" if kind.category is None else f"profile, day and {kind.category}"
    measures = ", ".join(f"`{measure.name}`" for measure in kind.measures)
    parts = [f"for every {each} the number of rows, first and last instant, and the sums of {measures}"]
    if kind.has_orders:
        parts.append("every distinct order with its day")
    if kind.sessions is not None:
        minutes = kind.sessions.gap_us // 60_000_000
        parts.append(f"sessions, cut where more than {minutes} minutes pass without a row")
    return "; ".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(source_page(), encoding="utf-8")
