"""The database of the questions, as the matcher sees it: its catalog and samples of its values."""

import re
import sqlite3

from stepwell.nldb.link.values import Sample, to_sample
from stepwell.nldb.model import Catalog, Column, ForeignKey, Kind, Table, catalog, open_access

_KINDS: tuple[tuple[str, Kind], ...] = (
    ("INT", "integer"), ("CHAR", "text"), ("TEXT", "text"), ("DATETIME", "timestamp"),
    ("TIMESTAMP", "timestamp"), ("DATE", "date"), ("NUMERIC", "decimal"), ("DECIMAL", "decimal"),
    ("REAL", "float"), ("BOOL", "boolean"),
)  # fmt: skip
MOST_VALUES = 10_000


def read_catalog(database: sqlite3.Connection) -> Catalog:
    """What there is in a SQLite database."""
    names = [
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        )
    ]
    tables = {name: _table(database, name) for name in names}
    return catalog(dialect="sqlite", version="3", default_schema="main", tables=tables)


def _table(database: sqlite3.Connection, name: str) -> Table:
    rows = database.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (name,)
    ).fetchall()
    keys: dict[int, list[tuple[str, str, str]]] = {}
    for number, table, own, referred in database.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', (name,)
    ):
        keys.setdefault(number, []).append((table, own, referred))
    return Table(
        name=name,
        schema="main",
        columns=tuple(
            Column(name=column, type=kind, kind=_kind(kind), nullable=not (required or key))
            for column, kind, required, key in rows
        ),
        primary_key=tuple(c for _, c in sorted((key, c) for c, _, _, key in rows if key)),
        foreign_keys=tuple(
            ForeignKey(
                columns=tuple(k[1] for k in key), table=key[0][0], referred=tuple(k[2] for k in key)
            )
            for key in keys.values()
        ),
    )


def _kind(said: str) -> Kind:
    bare = re.sub(r"\(.*", "", said).upper()
    return next((kind for part, kind in _KINDS if part in bare), "other")


def read_samples(database: sqlite3.Connection, known: Catalog) -> list[Sample]:
    """Distinct values of the text columns, as an asker who may read everything sees them."""
    samples: list[Sample] = []
    for wanted in to_sample(known, open_access(known)):
        columns = ", ".join(f'"{column}"' for column in wanted.columns)
        given = " AND ".join(f'"{column}" IS NOT NULL' for column in wanted.columns)
        rows = database.execute(
            f'SELECT {columns}, COUNT(*) FROM "{wanted.table}" WHERE {given} '
            f"GROUP BY {columns} LIMIT {MOST_VALUES + 1}"
        ).fetchall()
        found = tuple((tuple(map(str, row[:-1])), row[-1]) for row in rows[:MOST_VALUES])
        samples.append(Sample(wanted.table, wanted.columns, found, len(rows) <= MOST_VALUES))
    return samples
