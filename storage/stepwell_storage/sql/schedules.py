"""What is run again and again."""

from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Missing
from stepwell_storage.records import ScheduleRow
from stepwell_storage.sql.ids import packed, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import schedules
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_NAME = sa.bindparam("named", type_=sa.Text)

_ALL = sa.select(schedules).where(schedules.c.namespace == _NAMESPACE).order_by(schedules.c.name)
_ONE = _ALL.where(schedules.c.name == _NAME)
_WILL_FIRE = (schedules.c.next_at.is_not(None), schedules.c.paused.is_(False))
_DUE = (
    sa.select(schedules)
    .where(*_WILL_FIRE, schedules.c.next_at <= sa.bindparam("now", type_=sa.BigInteger))
    .order_by(schedules.c.next_at, schedules.c.namespace, schedules.c.name)
    .limit(sa.bindparam("most"))
)
_NEXT_DUE = sa.select(sa.func.min(schedules.c.next_at)).where(*_WILL_FIRE)
_ADD = sa.insert(schedules)
_OF_NAME = (schedules.c.namespace == _NAMESPACE, schedules.c.name == _NAME)
_REMOVE = sa.delete(schedules).where(*_OF_NAME)
_ADVANCE = (
    sa.update(schedules)
    .where(*_OF_NAME, schedules.c.next_at == sa.bindparam("from_at"))
    .values(
        next_at=sa.bindparam("next", type_=sa.BigInteger),
        last_at=sa.bindparam("last", type_=sa.BigInteger),
        last_run=sa.bindparam("run", type_=sa.LargeBinary),
    )
)


class SqlSchedules:
    """The schedules."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def put(self, namespace: str, row: ScheduleRow) -> bool:
        def replace(session: Session) -> bool:
            was_there = session.change(_REMOVE, in_namespace=namespace, named=row.name)
            session.change(_ADD, namespace=namespace, **_values(row))
            return not was_there

        return await self._writer.call(replace)

    async def get(self, namespace: str, name: str) -> ScheduleRow:
        rows = await self._reader.rows(_ONE, in_namespace=namespace, named=name)
        if not rows:
            raise Missing(f"There is no schedule {name!r}.")
        return _row(rows[0])[1]

    async def remove(self, namespace: str, name: str) -> None:
        removed = await self._writer.call(
            lambda session: session.change(_REMOVE, in_namespace=namespace, named=name)
        )
        if not removed:
            raise Missing(f"There is no schedule {name!r}.")

    async def due(self, *, now: int, limit: int) -> list[tuple[str, ScheduleRow]]:
        return [_row(row) for row in await self._reader.rows(_DUE, now=now, most=limit)]

    async def advance(self, namespace: str, row: ScheduleRow, *, from_at: int) -> bool:
        changed = await self._writer.call(
            lambda session: session.change(
                _ADVANCE,
                in_namespace=namespace,
                named=row.name,
                from_at=from_at,
                next=row.next_at,
                last=row.last_at,
                run=row.last_run and packed(row.last_run),
            )
        )
        return bool(changed)

    async def next_due(self) -> int | None:
        rows = await self._reader.rows(_NEXT_DUE)
        at: int | None = rows[0][0]
        return at

    async def list(self, namespace: str) -> list[ScheduleRow]:
        return [_row(row)[1] for row in await self._reader.rows(_ALL, in_namespace=namespace)]


def _values(row: ScheduleRow) -> dict[str, Any]:
    return structs.asdict(row) | {"last_run": row.last_run and packed(row.last_run)}


def _row(row: tuple[Any, ...]) -> tuple[str, ScheduleRow]:
    values = dict(zip(schedules.c.keys(), row, strict=True))
    values["last_run"] = values["last_run"] and unpacked(values["last_run"])
    values["paused"] = bool(values["paused"])  # SQLite has only numbers
    return values.pop("namespace"), ScheduleRow(**values)
