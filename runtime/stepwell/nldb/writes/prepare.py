"""From what is asked to what a transaction does: the guard, and all that can be known before."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.guard import CheckedWrite, check_write
from stepwell.nldb.guard.relations import full_name
from stepwell.nldb.guard.write import reached
from stepwell.nldb.model import Access, Catalog, Change, Column, Table
from stepwell.nldb.writes.digests import digest
from stepwell.nldb.writes.job import Application, Batch, Job
from stepwell.nldb.writes.preview import Asked
from stepwell.nldb.writes.refusals import refused
from stepwell.quoting import quoted

MOST_ROWS: Final = 500
"""Rows of one change: more than that nobody looks at."""
SIZE: Final = 1024 * 1024

CASCADES: Final[tuple[Change, ...]] = ("update", "delete")
"""What foreign keys do to rows that refer to others."""

_PLACE: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|([$?])(\d+)")
_VOLATILE: Final = re.compile(
    r"\b(now|current_\w+|localtime\w*|clock_timestamp|statement_timestamp|transaction_timestamp"
    r"|timeofday|random\w*|gen_random_uuid|uuidv\d|uuid_generate_\w+|nextval|date|time|datetime"
    r"|julianday|unixepoch|strftime|age)\b|\bDEFAULT\b",
    re.IGNORECASE,
)
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


class Prepared(Struct, frozen=True, kw_only=True):
    """A change that may be made: as the guard has rebuilt it."""

    table: Table
    checked: CheckedWrite
    job: Job
    filled: tuple[str, ...]
    """Columns whose new values are known only when it is made."""
    schema: str
    """The fingerprint of the catalog."""
    policy: str
    """Names the access."""


def prepared(
    asked: Asked,
    catalog: Catalog,
    access: Access,
    *,
    stamp: str,
    place: str = "",
    expects: str = "",
    application: Application | None = None,
) -> Prepared:
    """The change as it may be made.

    Raises:
        Refused: the guard does not let it pass.
        ToolFailed: QUERY_REFUSED, it cannot be shown row by row.
    """
    first, *_ = asked.runs
    names = _named(first)
    checked = check_write(asked.sql, catalog, access, params=names)
    table = catalog.tables[checked.table]
    _check_key(table, access, checked)
    runs = tuple(_bound(run, names, checked) for run in asked.runs)
    filled = _filled(table, checked)
    where, takes = renumbered(checked.where_sql)
    own = access.tables[checked.table]
    job = Job(
        dialect=catalog.dialect,
        table=full_name(table, catalog),
        schema=table.schema or catalog.default_schema,
        bare=table.bare,
        default_schema=catalog.default_schema,
        columns=tuple(column.name for column in table.columns),
        key=table.primary_key,
        fixed=tuple(column.name for column in table.columns if column.name not in filled),
        assigned=checked.assigned,
        row_check=checked.row_check,
        batches=(
            Batch(
                kind=checked.kind,
                select=_select(checked, table, catalog, where),
                takes=takes,
                where=where,
                target=checked.target,
                run=checked.returning(table.primary_key),
                runs=runs,
                rows=checked.rows,
            ),
        ),
        head=digest(
            access.salt,
            checked.sql,
            runs,
            access.digest,
            catalog.fingerprint,
            place,
            own.rows,
            MOST_ROWS,
        ),
        salt=access.salt,
        stamp=stamp,
        most_rows=min(MOST_ROWS, access.most_rows),
        size=SIZE,
        may_change=_may_change(catalog, access),
        may_set=_may_set(catalog, access),
        expects=expects,
        application=application,
    )
    return Prepared(
        table=table,
        checked=checked,
        job=job,
        filled=filled,
        schema=catalog.fingerprint,
        policy=access.digest[:32],
    )


def _may_change(catalog: Catalog, access: Access) -> dict[str, dict[str, str]]:
    """What may be done to rows of tables that refer to others, and to which: as a statement could."""
    found: dict[str, dict[str, str]] = {}
    for name, allowed in access.tables.items():
        table = catalog.tables.get(name)
        verbs: list[Change] = [verb for verb in CASCADES if getattr(allowed, verb)]
        if verbs and table is not None and table.foreign_keys:
            found[name] = {verb: reached(table, allowed, verb, catalog.dialect) for verb in verbs}
    return found


def _may_set(catalog: Catalog, access: Access) -> dict[str, tuple[str, ...]]:
    """The columns that an UPDATE of the asker's could set, where they are not all."""
    found: dict[str, tuple[str, ...]] = {}
    for name, allowed in access.tables.items():
        narrower = allowed.changes.get("update")
        opened = allowed.writable if narrower is None else narrower.columns
        if opened is None and (allowed.masks or allowed.columns is not None):
            table = catalog.tables.get(name)
            opened = () if table is None else tuple(one.name for one in visible(table, access))
        if opened is not None:
            found[name] = opened
    return found


def renumbered(sql: str) -> tuple[str, tuple[int, ...]]:
    """A part of a statement with its parameters numbered from 1, and which of all they were."""
    takes: list[int] = []

    def place(found: re.Match[str]) -> str:
        if found[2] is None:
            return found[0]
        number = int(found[2]) - 1
        if number not in takes:
            takes.append(number)
        return f"{found[1]}{takes.index(number) + 1}"

    return _PLACE.sub(place, sql), tuple(takes)


def visible(table: Table, access: Access) -> tuple[Column, ...]:
    """The columns that may be read as they are."""
    own = access.tables[table.name]
    return tuple(
        column
        for column in table.columns
        if (own.columns is None or column.name in own.columns) and column.name not in own.masks
    )


def _named(run: Json) -> Any:
    """The names or places of the parameters, in place of their values."""
    if isinstance(run, Mapping):
        return {name: name for name in run}
    return None if run is None else tuple(range(len(run)))


def _bound(run: Json, names: Any, checked: CheckedWrite) -> tuple[Any, ...]:
    """The values of one run in the order of their places."""
    if names is None:
        return ()
    return tuple(run[name] for name in checked.parameters)


def _check_key(table: Table, access: Access, checked: CheckedWrite) -> None:
    if not table.primary_key:
        raise refused(
            "write.no_key",
            f"{table.name} has no primary key, so its rows cannot be shown one by one and "
            "found again",
            "give the table a primary key",
        )
    if not {column.name for column in visible(table, access)} >= set(table.primary_key):
        raise refused(
            "write.key",
            f"the primary key of {table.name} is hidden or masked for you",
            "ask whoever writes the policies to open it",
        )
    if checked.kind == "update" and set(checked.assigned) & set(table.primary_key):
        raise refused(
            "write.key",
            "it sets the primary key, by which a row is known",
            "insert a row with the new key, and delete the other",
        )


def _select(checked: CheckedWrite, table: Table, catalog: Catalog, where: str) -> str:
    if checked.kind == "insert":
        return ""
    columns = ", ".join(quoted(column.name) for column in table.columns)
    # A DELETE locks by itself, and its login may have no UPDATE, which FOR UPDATE wants.
    lock = " FOR UPDATE" if catalog.dialect == "postgres" and checked.kind == "update" else ""
    most = MOST_ROWS + 1
    return f"SELECT {columns} FROM {checked.target} WHERE {where} LIMIT {most}{lock}"  # noqa: S608


def _filled(table: Table, checked: CheckedWrite) -> tuple[str, ...]:
    """The columns that the database fills in, or whose new value depends on the moment."""
    names: set[str] = set()
    if _VOLATILE.search(_LITERAL.sub("''", checked.sql).partition(" WHERE ")[0]):
        names |= set(checked.assigned)
    for column in table.columns:
        if column.name in checked.assigned:
            continue
        counts = checked.kind == "insert" and (column.default or column.name in table.primary_key)
        if counts or table.triggers:
            names.add(column.name)
    if names:
        names |= {column.name for column in table.columns if column.generated}
    if checked.kind == "update":
        names -= set(table.primary_key)
    return tuple(column.name for column in table.columns if column.name in names)
