"""What a statement may read, as the policy shows it: one sub-query for each table.

Every table of a statement is replaced by the sub-query of its relation: its visible columns, its
masks, its row filter. The names of tables are always written with their schema, so that no common
table expression can come between.
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from sqlglot import exp
from sqlglot.errors import SqlglotError

from stepwell.nldb.guard.caps import tokens_of
from stepwell.nldb.guard.dialects import folded, literal, parser_of, quoted
from stepwell.nldb.guard.digits import digits_of
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.model import Access, Catalog, Column, Dialect, Mask, Table, TableAccess

HASH = "stepwell_hash"
"""The SQL function that the sandbox of SQLite must have for the mask `hash`: of one value."""


class Output(Struct, frozen=True):
    """A column of something that can be read from."""

    name: str
    """Folded, as it is compared."""
    masked: bool = False
    hidden: bool = False
    """Whether `*` leaves it out."""
    scale: int | None = None
    """The digits of its decimals after the point, as in `scales`."""
    growth: int = 1
    """How many times longer than what is read its values can be."""
    recurs: bool = False
    """Whether it is made of what the recursion around it gave the last time."""


class PolicyTable(Struct, frozen=True):
    """A table as the policy shows it."""

    table: Table
    access: TableAccess
    text: str
    """The sub-query, in parentheses."""
    fenced: str
    """The same, where the engine may not look at a row before the row filter has."""
    columns: tuple[Output, ...]
    key: frozenset[str]
    """The folded names of its primary key, if all of it is visible and unmasked."""
    problem: str = ""
    """Why the policy cannot be applied; then the table cannot be read."""

    @property
    def is_filtered(self) -> bool:
        """Whether some rows may be missing."""
        return bool(self.access.rows)

    @property
    def is_covered(self) -> bool:
        """Whether its sub-query says what the policy does: a row filter, or a mask."""
        return self.is_filtered or any(column.masked for column in self.columns)


class Readable(Struct, frozen=True):
    """All of it, by folded name; a table of another schema by `(schema, name)` only."""

    catalog: Catalog
    tables: Mapping[tuple[str, str], PolicyTable]

    @property
    def is_filtered(self) -> bool:
        """Whether any table may hide rows."""
        return any(table.is_filtered for table in self.tables.values())

    def find(self, schema: str, name: str) -> PolicyTable | None:
        """The table of these folded names; no schema means the default one."""
        return self.tables.get((schema or self.default_schema, name))

    @property
    def default_schema(self) -> str:
        """Folded."""
        return folded(self.catalog.default_schema, quoted=True, dialect=self.catalog.dialect)


def readable(catalog: Catalog, access: Access) -> Readable:
    """What of the catalog the access opens."""
    tables: dict[tuple[str, str], PolicyTable] = {}
    for name, allowed in access.tables.items():
        table = catalog.tables.get(name)
        if table is None:
            continue
        names = (
            folded(table.schema or catalog.default_schema, quoted=True, dialect=catalog.dialect),
            folded(table.bare, quoted=True, dialect=catalog.dialect),
        )
        tables[names] = _policy_table(table, allowed, access, catalog)
    return Readable(catalog, tables)


def full_name(table: Table, catalog: Catalog) -> str:
    """The table with its schema, quoted."""
    return f"{quoted(table.schema or catalog.default_schema)}.{quoted(table.bare)}"


def told(sql: str, tables: Iterable[PolicyTable], catalog: Catalog) -> str:
    """Rebuilt SQL as an asker may read it: a table in the place of what the policy makes of it.

    A row filter names columns and values that are hidden, and a mask has its key in it.
    """
    for policy in tables:
        if policy.is_covered:
            name = full_name(policy.table, catalog)
            sql = sql.replace(policy.fenced, name).replace(policy.text, name)
    return sql


def row_filter(table: Table, rows: str, dialect: Dialect) -> str:
    """The policy's predicate, in parentheses, if it is one; empty without one.

    Raises:
        Refused: by sql.policy: it is not an expression.
    """
    if not rows.strip():
        return ""
    try:
        tokens = tokens_of(rows, dialect)
        trees = parser_of(dialect).parser().parse_into(exp.Condition, tokens, rows)
    except (SqlglotError, RecursionError, ValueError, TypeError) as error:
        raise Refused("sql.policy", _BROKEN, _TELL) from error
    end = tokens[-1].end + 1 if tokens else 0
    rest = rows[end:].strip()
    if len(trees) != 1 or trees[0] is None or rest:  # the rest is a comment
        raise Refused("sql.policy", _BROKEN, _TELL)
    if any(column.table and column.table != table.bare for column in trees[0].find_all(exp.Column)):
        raise Refused("sql.policy", _BROKEN, _TELL)
    return f"({rows.strip()})"


_BROKEN = "the row filter of a data policy is not one expression over the columns of its table"
_TELL = "tell whoever writes the policies"


def _policy_table(
    table: Table, allowed: TableAccess, access: Access, catalog: Catalog
) -> PolicyTable:
    shown = [
        column
        for column in table.columns
        if allowed.columns is None or column.name in allowed.columns
    ]
    problem = ""
    where = ""
    try:
        if predicate := row_filter(table, allowed.rows, catalog.dialect):
            where = f" WHERE {predicate}"
    except Refused as error:
        problem = error.message
    items = ", ".join(
        _shown(column, allowed.masks.get(column.name), catalog.dialect, access.salt)
        for column in shown
    )
    columns = tuple(
        Output(
            folded(column.name, quoted=True, dialect=catalog.dialect),
            masked=column.name in allowed.masks,
            scale=digits_of(column),
        )
        for column in shown
    )
    plain = {column.name for column in columns if not column.masked}
    key = frozenset(
        folded(name, quoted=True, dialect=catalog.dialect) for name in table.primary_key
    )
    text = f"SELECT {items or 'NULL'} FROM {full_name(table, catalog)}{where}"  # noqa: S608
    fence = " OFFSET 0" if catalog.dialect == "postgres" else " LIMIT -1"
    return PolicyTable(
        table=table,
        access=allowed,
        text=f"({text})",
        fenced=f"({text}{fence})" if where else f"({text})",
        columns=columns,
        key=key if key <= plain else frozenset(),
        problem=problem,
    )


def _shown(column: Column, mask: Mask | None, dialect: Dialect, salt: str) -> str:
    name = quoted(column.name)
    if mask is None:
        return name
    return f"{_masked(column, name, mask, dialect, salt)} AS {name}"


def _masked(column: Column, name: str, mask: Mask, dialect: Dialect, salt: str) -> str:
    if mask == "null" or column.kind != "text":
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ]*(\(\d+(,\s*\d+)?\))?(\[\])?", column.type)
        return f"CAST(NULL AS {column.type})" if dialect == "postgres" and plain else "NULL"
    is_null = f"CASE WHEN {name} IS NULL THEN NULL ELSE"
    match mask, dialect:
        case "redact", _:
            return f"{is_null} '***' END"
        case "first", _:
            return f"{is_null} substr({name}, 1, 1) || '***' END"
        case "hash", "postgres":
            text = f"convert_to({literal(salt)} || {name}, 'UTF8')"
            return f"{is_null} left(encode(sha256({text}), 'hex'), 16) END"
        case _:
            return f"{HASH}({name})"
