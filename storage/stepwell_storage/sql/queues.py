"""Named queues and their limits; `sql.tickets` lets in who waits in them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.records import QueueLoad, QueueRow, Ticket
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import queues, tickets
from stepwell_storage.sql.tickets import admit, enter, forget_admissions, has_tickets, lock
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_QUEUE = sa.bindparam("named", type_=sa.Text)

_OF_NAME = (queues.c.namespace == _NAMESPACE, queues.c.name == _QUEUE)
_ADD = sa.insert(queues)
_REMOVE = sa.delete(queues).where(*_OF_NAME)
_CHANGE = (
    sa.update(queues)
    .where(*_OF_NAME)
    .values(
        concurrency=sa.bindparam("most_inside", type_=sa.BigInteger),
        rate=sa.bindparam("most_admitted", type_=sa.BigInteger),
        per_us=sa.bindparam("in_us", type_=sa.BigInteger),
        updated_at=sa.bindparam("now", type_=sa.BigInteger),
    )
)


def _number(where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    """How many tickets of a queue there are."""
    return (
        sa.select(sa.func.count())
        .select_from(tickets)
        .where(tickets.c.namespace == queues.c.namespace, tickets.c.queue == queues.c.name, where)
        .scalar_subquery()
    )


_LOAD_COLUMNS = (
    queues.c.name,
    queues.c.concurrency,
    queues.c.rate,
    queues.c.per_us,
    queues.c.updated_at,
    _number(tickets.c.admitted_at.is_not(None)),
    _number(tickets.c.admitted_at.is_(None)),
)
LOADS_OF_ALL = sa.select(queues.c.namespace, *_LOAD_COLUMNS).order_by(
    queues.c.namespace, queues.c.name
)
"""The queues of every namespace, each after its namespace."""
_LOADS = sa.select(*_LOAD_COLUMNS).where(queues.c.namespace == _NAMESPACE).order_by(queues.c.name)
_LOAD = _LOADS.where(queues.c.name == _QUEUE)


class SqlQueues:
    """The queues."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def put(self, namespace: str, row: QueueRow) -> bool:
        def change_or_add(session: Session) -> bool:
            is_there = session.change(
                _CHANGE,
                in_namespace=namespace,
                named=row.name,
                most_inside=row.concurrency,
                most_admitted=row.rate,
                in_us=row.per_us,
                now=row.updated_at,
            )
            if not is_there:
                session.change(_ADD, namespace=namespace, **structs.asdict(row))
            return not is_there

        return await self._writer.call(change_or_add)

    async def get(self, namespace: str, name: str) -> QueueLoad:
        rows = await self._reader.rows(_LOAD, in_namespace=namespace, named=name)
        if not rows:
            raise Missing(f"There is no queue {name!r}.")
        return load_of(rows[0])

    async def remove(self, namespace: str, name: str) -> None:
        def remove_if_empty(session: Session) -> None:
            if lock(session, namespace, name) is None:
                raise Missing(f"There is no queue {name!r}.")
            if has_tickets(session, namespace, name):
                raise Exists(f"The queue {name!r} has tickets.")
            forget_admissions(session, namespace, name)
            session.change(_REMOVE, in_namespace=namespace, named=name)

        await self._writer.call(remove_if_empty)

    async def enter(self, namespace: str, tickets: Sequence[Ticket], *, now: int) -> list[Ticket]:
        return await self._writer.call(lambda session: enter(session, namespace, tickets, now))

    async def admit(self, *, now: int) -> int | None:
        while True:
            is_done, at = await self._writer.call(lambda session: admit(session, now))
            if is_done:
                return at

    async def list(self, namespace: str) -> list[QueueLoad]:
        return [load_of(row) for row in await self._reader.rows(_LOADS, in_namespace=namespace)]


def load_of(row: Sequence[Any]) -> QueueLoad:
    """A queue as the statements of this module give it."""
    *limits, running, waiting = row
    return QueueLoad(QueueRow(*limits), running, waiting)
