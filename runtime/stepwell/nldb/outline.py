"""The schema as a model reads it: what its access shows of the catalog, and no more of it than fits."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.model import Access, Catalog, Column, Table, TableAccess
from stepwell.tools.port import ToolFailed

MAX_SIZE: Final = 256 * 1024
"""Bytes of JSON; the tables beyond are named only."""

_MOST_NAMED: Final = 200


def outline(catalog: Catalog, access: Access, wanted: Sequence[str] = ()) -> Json:
    """The tables, or those of them that are named, as `{dialect, tables, ...}`.

    `truncated` tells that some tables have their name only; ask for them by name.

    Raises:
        ToolFailed: QUERY_FAILED, there is no table of a name.
    """
    known = [name for name in catalog.tables if name in access.tables]
    _check_names(wanted, known)
    left = MAX_SIZE
    described: list[Json] = []
    for name in wanted or known:
        table = catalog.tables[name]
        told: dict[str, Json] = {"name": name, "kind": "view" if table.is_view else "table"}
        if left > 0:
            told |= _described(table, access.tables[name], access)
            left -= len(msgspec.json.encode(told))
        described.append(told)
    notes = [] if left > 0 else ["some tables have their name only; ask for them with `tables`"]
    return {
        "dialect": catalog.dialect,
        "tables": described,
        "truncated": bool(notes),
        "notes": notes,
    }


def _check_names(wanted: Iterable[str], known: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ToolFailed(
            f"there is no table {', '.join(unknown)}; there are {', '.join(known[:_MOST_NAMED])}",
            code=Code.QUERY_FAILED,
            retryable=False,
        )


def _described(table: Table, allowed: TableAccess, access: Access) -> dict[str, Json]:
    shown = [
        column
        for column in table.columns
        if allowed.columns is None or column.name in allowed.columns
    ]
    visible = {column.name for column in shown}
    told: dict[str, Json] = {"columns": [_column(column, allowed) for column in shown]}
    if table.comment:
        told["comment"] = table.comment
    if table.primary_key and visible.issuperset(table.primary_key):
        told["primary_key"] = list(table.primary_key)
    unique = [list(names) for names in table.unique if visible.issuperset(names)]
    if unique:
        told["unique"] = unique
    foreign = [
        {"columns": list(key.columns), "table": key.table, "references": list(key.referred)}
        for key in table.foreign_keys
        if visible.issuperset(key.columns) and _is_shown(key.table, key.referred, access)
    ]
    if foreign:
        told["foreign_keys"] = foreign
    if allowed.rows:
        told["row_filtered"] = True
    elif table.rows is not None:
        told["rows"] = table.rows
    return told


def _is_shown(table: str, columns: Iterable[str], access: Access) -> bool:
    allowed = access.tables.get(table)
    return allowed is not None and (
        allowed.columns is None or set(allowed.columns).issuperset(columns)
    )


def _column(column: Column, allowed: TableAccess) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "nullable": column.nullable,
    }
    if column.comment:
        told["comment"] = column.comment
    if column.generated:
        told["generated"] = True
    if column.name in allowed.masks:
        told["masked"] = True
    return told
