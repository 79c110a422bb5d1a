"""PostgreSQL's SQL, with its values by position and in binary, in a schema of our own."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import dialect

from stepwell_storage.sql.statements import Statements
from stepwell_storage.sql.tables import leases, metadata

Request: TypeAlias = tuple[bytes, Sequence[Any] | None]
"""A statement and its values, as the driver takes them."""

SCHEMA: Final = "stepwell"
"""Our tables have everyday names, and a database may belong to other programs as well."""

DIALECT = dialect(paramstyle="format")  # type: ignore[no-untyped-call]

# Every step of a run changes its lease. On a page that is half empty the new row fits beside the old
# one, so no index has to learn of it, and the next step finds the place of the old one free.
leases.dialect_kwargs["postgresql_with"] = {"fillfactor": 50}

for _table in metadata.tables.values():
    for _index in _table.indexes:
        # SQLite says which rows an index is of; here it is the same ones.
        if (_where := _index.dialect_kwargs.get("sqlite_where")) is not None:
            _index.dialect_kwargs["postgresql_where"] = _where


class PostgresStatements:
    """Statements on the tables of our schema, whatever the search path is."""

    def __init__(self) -> None:
        self._statements = Statements(DIALECT, schema=SCHEMA)

    def one(self, statement: sa.Executable, values: Mapping[str, Any]) -> Request:
        """A statement with its values."""
        text, given = self._statements.bind(statement, values)
        return _in_binary(text), given

    def many(self, statement: sa.Executable, values: Sequence[Any]) -> Request:
        """A statement on rows that it is given (`rows.given`), one after another in `values`."""
        compiled = self._statements.compiled(statement)
        width = len(compiled.positiontup or ())
        return _in_binary(compiled.string), [values[place::width] for place in range(width)]


@lru_cache(maxsize=512)
def _in_binary(text: str) -> bytes:
    # An array of a thousand texts or bytes costs an eighth when it is not spelled out.
    return text.replace("%s", "%b").encode()
