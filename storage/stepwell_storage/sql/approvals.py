"""What runs ask of people: written with the events that ask and answer, read as a list."""

from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Missing
from stepwell_storage.records import FOR_EVER, WAITING, WITHDRAWN, Append, ApprovalRow
from stepwell_storage.sql.ids import packed, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import approvals

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_ID = sa.bindparam("of_id", type_=sa.Text)

_OF_NAMESPACE = sa.select(approvals).where(approvals.c.namespace == _NAMESPACE)
_ONE = _OF_NAMESPACE.where(approvals.c.id == _ID)
_ORDER = (approvals.c.requested_at, approvals.c.id)
_PAGE = (
    _OF_NAMESPACE.where(
        sa.tuple_(*_ORDER)
        < sa.tuple_(sa.bindparam("at", type_=sa.BigInteger), sa.bindparam("last", type_=sa.Text))
    )
    .order_by(*(column.desc() for column in _ORDER))
    .limit(sa.bindparam("most"))
)
_PAGE_OF_STATUS = _PAGE.where(approvals.c.status == sa.bindparam("of_status", type_=sa.Text))
_WAITING = (
    sa.select(approvals)
    .where(
        # Written out: an index of some rows only is not found by a parameter.
        approvals.c.status == sa.literal_column(f"'{WAITING}'"),
        approvals.c.requested_at >= sa.bindparam("since", type_=sa.BigInteger),
    )
    .order_by(*_ORDER)
    .limit(sa.bindparam("most"))
)
_ADD = sa.insert(approvals)
_REMOVE = sa.delete(approvals).where(approvals.c.namespace == _NAMESPACE, approvals.c.id == _ID)
_WITHDRAW = (
    sa.update(approvals)
    .where(
        approvals.c.namespace == _NAMESPACE,
        approvals.c.run == sa.bindparam("of"),
        approvals.c.status == WAITING,
    )
    .values(status=WITHDRAWN, decided_at=sa.bindparam("now", type_=sa.BigInteger))
)
_LAST = "g"
"""Sorts after every hexadecimal digit."""


def note(session: Session, append: Append) -> None:
    """Brings the list up to what an append says of it."""
    for row in append.approvals:
        session.change(_REMOVE, in_namespace=append.namespace, of_id=row.id)
        values = structs.asdict(row) | {"run": packed(row.run)}
        session.change(_ADD, namespace=append.namespace, **values)
    if append.withdraws is not None:
        session.change(
            _WITHDRAW,
            in_namespace=append.namespace,
            of=packed(append.run),
            now=append.withdraws,
        )


class SqlApprovals:
    """The list of approvals."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get(self, namespace: str, id: str) -> ApprovalRow:
        rows = await self._reader.rows(_ONE, in_namespace=namespace, of_id=id)
        if not rows:
            raise Missing(f"There is no approval {id!r}.")
        return _row(rows[0])[1]

    async def waiting(self, *, since: int, limit: int) -> list[tuple[str, ApprovalRow]]:
        return [_row(row) for row in await self._reader.rows(_WAITING, since=since, most=limit)]

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        status: str | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[ApprovalRow]:
        at, last = before or (FOR_EVER, _LAST)
        values: dict[str, Any] = {"in_namespace": namespace, "at": at, "last": last, "most": limit}
        if status is None:
            rows = await self._reader.rows(_PAGE, **values)
        else:
            rows = await self._reader.rows(_PAGE_OF_STATUS, of_status=status, **values)
        return [_row(row)[1] for row in rows]


def _row(row: tuple[Any, ...]) -> tuple[str, ApprovalRow]:
    values = dict(zip(approvals.c.keys(), row, strict=True))
    values["run"] = unpacked(values["run"])
    return values.pop("namespace"), ApprovalRow(**values)
