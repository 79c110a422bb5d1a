"""The inverse of a change, made from its preview: statements that go through the guard like any.

They run row by row, so their order counts: what a unique column has moved through forwards it moves
through backwards, and a row comes after those of its own table that it refers to, or goes before them.
"""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import msgspec

from stepwell.engine.values import Json
from stepwell.nldb.guard import Refused
from stepwell.nldb.guard.relations import full_name
from stepwell.nldb.model import Access, Catalog, Table
from stepwell.nldb.writes.job import Row
from stepwell.nldb.writes.prepare import prepared
from stepwell.nldb.writes.preview import Asked, Preview, RowChange, Undo
from stepwell.nldb.writes.refusals import refused
from stepwell.quoting import quoted
from stepwell.tools.port import ToolFailed


def inverse(preview: Preview, catalog: Catalog, access: Access, *, keys: Sequence[Row]) -> Asked:
    """What takes it back; `keys` are those of the rows as they were left, in the order of the change.

    Raises:
        Refused: whoever asks may not do that.
        ToolFailed: QUERY_REFUSED, it cannot be taken back.
    """
    table = catalog.tables.get(preview.table)
    if table is None:
        raise refused("write.undo", "its table is not there any more", "look at db_schema")
    if not preview.changes:
        raise refused("write.undo", "it has changed nothing", "there is nothing to take back")
    match preview.kind:
        case "insert":
            return _deleting(table, catalog, preview, keys)
        case "delete":
            return _inserting(table, catalog, preview)
        case "update":
            return _restoring(table, catalog, access, _backwards(preview, keys))


def outlook(preview: Preview, catalog: Catalog, access: Access) -> Undo:
    """Whether it could be taken back, as things are now."""
    if not preview.changes:
        return Undo(possible=False, why="it changes nothing")
    keys = [list(change.key.values()) for change in preview.changes]
    try:
        prepared(inverse(preview, catalog, access, keys=keys), catalog, access, stamp="")
    except (Refused, ToolFailed) as error:
        return Undo(possible=False, why=error.message)
    lost = [effect.table for effect in preview.effects if effect.kind == "cascade"]
    if lost:
        why = f"what the database does to {', '.join(lost)} by itself is not taken back"
        if preview.table in lost:
            why += ", nor can rows be put back that refer to such rows"
        return Undo(possible=True, why=why)
    if any(effect.kind != "cascade" for effect in preview.effects):
        return Undo(possible=True, why="what triggers do elsewhere is not taken back")
    return Undo(possible=True)


def _deleting(table: Table, catalog: Catalog, preview: Preview, keys: Sequence[Row]) -> Asked:
    where = _where(table.primary_key)
    rows = [change.new or {} for change in preview.changes]
    runs = tuple(_key_values(keys[place]) for place in reversed(_referred_first(table, rows)))
    return Asked(sql=f"DELETE FROM {full_name(table, catalog)} WHERE {where}", runs=runs)  # noqa: S608


def _inserting(table: Table, catalog: Catalog, preview: Preview) -> Asked:
    names = [column.name for column in table.columns if not column.generated]
    hidden = [name for name in names if name not in preview.columns]
    if not set(table.primary_key) <= set(names):
        raise refused(
            "write.undo",
            "the database always makes the keys of its rows, so they cannot get their old ones",
            "ask whoever keeps the database",
        )
    if hidden:
        raise refused(
            "write.undo",
            f"{len(hidden)} columns of the deleted rows are not yours to read, so nobody could put "
            "them back",
            "have it changed by somebody who may see all of the table",
        )
    shown = ", ".join(quoted(name) for name in names)
    places = ", ".join(f":v{place}" for place in range(len(names)))
    rows = [_old(change) for change in preview.changes]
    runs = tuple(
        {f"v{place}": rows[at][name] for place, name in enumerate(names)}
        for at in _referred_first(table, rows)
    )
    sql = f"INSERT INTO {full_name(table, catalog)} ({shown}) VALUES ({places})"  # noqa: S608
    return Asked(sql=sql, runs=runs)


def _restoring(table: Table, catalog: Catalog, access: Access, preview: Preview) -> Asked:
    """Gives the columns that have changed their old values, as far as they may be set."""
    changed = [
        column.name
        for column in table.columns
        if not column.generated
        and column.name in preview.columns
        and any(_old(one)[column.name] != (one.new or {})[column.name] for one in preview.changes)
    ]
    if not changed:
        raise refused("write.undo", "it has changed nothing", "there is nothing to take back")
    asked = _setting(table, catalog, preview, changed)
    try:
        prepared(asked, catalog, access, stamp="")
    except Refused:
        # What a trigger has changed besides may not be the asker's to set.
        own = [name for name in changed if name not in preview.filled]
        return _setting(table, catalog, preview, own or changed)
    return asked


def _setting(table: Table, catalog: Catalog, preview: Preview, names: Sequence[str]) -> Asked:
    sets = ", ".join(f"{quoted(name)} = :v{place}" for place, name in enumerate(names))
    where = _where(table.primary_key)
    runs = tuple(
        {f"v{place}": _old(change)[name] for place, name in enumerate(names)}
        | _key_values([change.key[name] for name in table.primary_key])
        for change in preview.changes
    )
    return Asked(sql=f"UPDATE {full_name(table, catalog)} SET {sets} WHERE {where}", runs=runs)  # noqa: S608


def _backwards(preview: Preview, keys: Sequence[Row]) -> Preview:
    """The preview with its rows the other way round than they were changed."""
    by_key = {_text(change.key.values()): change for change in preview.changes}
    return msgspec.structs.replace(
        preview, changes=[by_key[_text(key)] for key in reversed(keys) if _text(key) in by_key]
    )


def _referred_first(table: Table, rows: Sequence[dict[str, Json]]) -> list[int]:
    """The places of the rows, each after those of its own table that it refers to.

    Raises:
        ToolFailed: QUERY_REFUSED, some refer to one another in a circle.
    """
    order = TopologicalSorter[int](dict.fromkeys(range(len(rows)), ()))
    for key in table.foreign_keys:
        if key.table != table.name:
            continue
        by_value = {
            _text(row.get(name) for name in key.referred): at for at, row in enumerate(rows)
        }
        for at, row in enumerate(rows):
            parent = by_value.get(_text(row.get(name) for name in key.columns))
            if parent is not None and parent != at:
                order.add(at, parent)
    try:
        return list(order.static_order())
    except CycleError:
        raise refused(
            "write.undo",
            "its rows refer to one another in a circle, so none of them can be put back first",
            "ask whoever keeps the database",
        ) from None


def _text(cells: Iterable[Json]) -> bytes:
    return msgspec.json.encode(list(cells))


def _where(key: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(name)} = :k{place}" for place, name in enumerate(key))


def _key_values(key: Sequence[Json]) -> dict[str, Json]:
    return {f"k{place}": cell for place, cell in enumerate(key)}


def _old(change: RowChange) -> dict[str, Json]:
    return change.old or {}
