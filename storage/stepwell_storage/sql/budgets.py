"""What may be spent, and what is.

Whoever reserves or counts holds the lock of the namespace until the commit: so nobody else takes what
was there when he looked. Whether there is enough is for `stepwell_storage.shortage` to say.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from stepwell_storage.records import Append, BudgetRow, Charge, Reservation, Short, Spent, Used
from stepwell_storage.shortage import counted, shortage
from stepwell_storage.sql.ids import packed, packed_or_none, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import amounts, budget_locks, budgets, reservations
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_SCOPE = sa.bindparam("in_scope", type_=sa.Text)
_UNIT = sa.bindparam("in_unit", type_=sa.Text)
_ACCOUNT = sa.bindparam("in_account", type_=sa.Text)
_RUN = sa.bindparam("of", type_=sa.LargeBinary)
_KEY = sa.bindparam("by_key", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.BigInteger)

_LOCK = (
    sa.select(budget_locks.c.namespace)
    .where(budget_locks.c.namespace == _NAMESPACE)
    .with_for_update()
)
_ROW = (
    budgets.c.scope,
    budgets.c.unit,
    budgets.c.amount,
    budgets.c.principal,
    budgets.c.updated_at,
    budgets.c.run,
)
_LIST = (
    sa.select(*_ROW)
    .where(budgets.c.namespace == _NAMESPACE, budgets.c.run.is_(None))
    .order_by(budgets.c.scope, budgets.c.unit)
)
_OF_RUN = (
    sa.select(*_ROW)
    .where(budgets.c.namespace == _NAMESPACE, budgets.c.run == _RUN)
    .order_by(budgets.c.unit)
)
_SHARED = (
    sa.select(budgets.c.namespace, *_ROW)
    .where(budgets.c.run.is_(None))
    .order_by(budgets.c.namespace, budgets.c.scope, budgets.c.unit)
)
_REMOVE = sa.delete(budgets).where(
    budgets.c.namespace == _NAMESPACE, budgets.c.scope == _SCOPE, budgets.c.unit == _UNIT
)
_LIMITS = sa.select(budgets.c.scope, budgets.c.unit, budgets.c.amount).where(
    budgets.c.namespace == _NAMESPACE,
    budgets.c.scope.in_(sa.bindparam("scopes", type_=sa.Text, expanding=True)),
)
_AMOUNTS = (
    sa.select(amounts.c.account, amounts.c.unit, amounts.c.used, amounts.c.reserved)
    .where(
        amounts.c.namespace == _NAMESPACE,
        amounts.c.account.in_(sa.bindparam("accounts", type_=sa.Text, expanding=True)),
    )
    .order_by(amounts.c.account, amounts.c.unit)
)
_CHANGE = (
    sa.update(amounts)
    .where(
        amounts.c.namespace == _NAMESPACE, amounts.c.account == _ACCOUNT, amounts.c.unit == _UNIT
    )
    .values(
        used=amounts.c.used + sa.bindparam("more_used", type_=sa.BigInteger),
        reserved=amounts.c.reserved + sa.bindparam("more_reserved", type_=sa.BigInteger),
    )
)
_RESERVED = (reservations.c.account, reservations.c.unit, reservations.c.amount)
_OF_CALL = (
    reservations.c.namespace == _NAMESPACE,
    reservations.c.run == _RUN,
    reservations.c.key == _KEY,
)
_RENEW = sa.update(reservations).where(*_OF_CALL).values(expires_at=_NOW)


class _Which:
    """Some reservations."""

    def __init__(self, *where: sa.ColumnElement[bool]) -> None:
        self.find = sa.select(*_RESERVED).where(*where)
        self.remove = sa.delete(reservations).where(*where)


_THOSE_OF_CALL = _Which(*_OF_CALL)
_THOSE_OF_RUN = _Which(reservations.c.namespace == _NAMESPACE, reservations.c.run == _RUN)
_THOSE_OVER = _Which(reservations.c.namespace == _NAMESPACE, reservations.c.expires_at <= _NOW)


class SqlBudgets:
    """The budgets."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def put(self, namespace: str, row: BudgetRow) -> None:
        def replace(session: Session) -> None:
            lock(session, namespace)
            session.change(_REMOVE, in_namespace=namespace, in_scope=row.scope, in_unit=row.unit)
            _add(session, namespace, [row])

        await self._writer.call(replace)

    async def remove(self, namespace: str, scope: str, unit: str) -> bool:
        removed = await self._writer.call(
            lambda session: session.change(
                _REMOVE, in_namespace=namespace, in_scope=scope, in_unit=unit
            )
        )
        return bool(removed)

    async def of_run(self, namespace: str, run: str) -> list[BudgetRow]:
        of = packed_or_none(run)
        return [_row(*it) for it in await self._reader.rows(_OF_RUN, in_namespace=namespace, of=of)]

    async def shared(self) -> list[tuple[str, BudgetRow]]:
        return [(namespace, _row(*it)) for namespace, *it in await self._reader.rows(_SHARED)]

    async def reserve(self, namespace: str, reservation: Reservation, *, now: int) -> Short | None:
        return await self._writer.call(partial(_reserve, namespace, reservation, now))

    async def used(self, namespace: str, accounts: Sequence[str]) -> list[Used]:
        found: list[Used] = []
        for share in shares(sorted(accounts)):
            rows = await self._reader.rows(_AMOUNTS, in_namespace=namespace, accounts=share)
            found += (Used(*row) for row in rows)
        return found

    async def list(self, namespace: str) -> list[BudgetRow]:
        return [_row(*it) for it in await self._reader.rows(_LIST, in_namespace=namespace)]


def lock(session: Session, namespace: str) -> None:
    """Nobody else reserves or counts in this namespace until the commit."""
    if not session.rows(_LOCK, in_namespace=namespace):
        session.add_missing(budget_locks, [namespace])
        session.rows(_LOCK, in_namespace=namespace)


def settle(session: Session, append: Append) -> None:
    """Makes budgets, counts what calls have needed, and gives back what was reserved for them."""
    namespace, run = append.namespace, packed(append.run)
    lock(session, namespace)
    _add(session, namespace, append.budgets)
    for spent in append.spent:
        _settle(session, namespace, run, spent)
    if append.frees:
        _give_back(session, _THOSE_OF_RUN, namespace, of=run)


def _settle(session: Session, namespace: str, run: bytes, spent: Spent) -> None:
    """Counts what one call has needed, in the place of what was reserved for it."""
    back = {
        (account, unit): amount
        for account, unit, amount in _taken_back(
            session, _THOSE_OF_CALL, namespace, of=run, by_key=spent.key
        )
    }
    needed = [it for it in spent.charges if it.amount]
    # What was reserved has a limit; of the rest the store is asked.
    others = [it for it in needed if (it.account, it.unit) not in back]
    has_limit = counted(others, _limits(session, namespace, others)) if others else []
    for charge in needed:
        name = charge.account, charge.unit
        if name in back or charge in has_limit:
            reserved = -back.pop(name, 0)
            _change(session, namespace, charge, used=charge.amount or 0, reserved=reserved)
    for (account, unit), amount in back.items():
        _change(session, namespace, Charge("", account, unit, None), reserved=-amount)


def _reserve(namespace: str, reservation: Reservation, now: int, session: Session) -> Short | None:
    lock(session, namespace)
    call = {"in_namespace": namespace, "of": packed(reservation.run), "by_key": reservation.key}
    if session.change(_RENEW, **call, now=reservation.expires_at):
        return None
    limits = _limits(session, namespace, reservation.charges)
    charges = counted(reservation.charges, limits)
    short = shortage(charges, limits, _taken(session, namespace, charges))
    if short is not None and _give_back(session, _THOSE_OVER, namespace, now=now):
        short = shortage(charges, limits, _taken(session, namespace, charges))
    if short is not None:
        return short
    values: list[Any] = []
    for charge in charges:
        if charge.amount is not None:
            _change(session, namespace, charge, reserved=charge.amount)
            values += (namespace, call["of"], reservation.key, charge.account, charge.unit)
            values += (charge.amount, reservation.expires_at)
    session.add_missing(reservations, values)
    return None


def _add(session: Session, namespace: str, rows: Iterable[BudgetRow]) -> None:
    values: list[Any] = []
    for row in rows:
        run = None if row.run is None else packed(row.run)
        values += (namespace, row.scope, row.unit, row.amount, row.principal, row.updated_at, run)
    if values:
        session.add_missing(budgets, values)


def _limits(
    session: Session, namespace: str, charges: Iterable[Charge]
) -> dict[tuple[str, str], int | None]:
    return {
        (scope, unit): amount
        for share in shares(sorted({it.scope for it in charges}))
        for scope, unit, amount in session.rows(_LIMITS, in_namespace=namespace, scopes=share)
    }


def _taken(
    session: Session, namespace: str, charges: Iterable[Charge]
) -> dict[tuple[str, str], int]:
    return {
        (account, unit): used + reserved
        for share in shares(sorted({it.account for it in charges}))
        for account, unit, used, reserved in session.rows(
            _AMOUNTS, in_namespace=namespace, accounts=share
        )
    }


def _change(
    session: Session, namespace: str, charge: Charge, *, used: int = 0, reserved: int = 0
) -> None:
    if not session.change(
        _CHANGE,
        in_namespace=namespace,
        in_account=charge.account,
        in_unit=charge.unit,
        more_used=used,
        more_reserved=reserved,
    ):
        run = None if charge.run is None else packed(charge.run)
        session.add_missing(amounts, [namespace, charge.account, charge.unit, used, reserved, run])


def _give_back(session: Session, which: _Which, namespace: str, **values: Any) -> bool:
    """Gives reservations back; whether there were any."""
    found = _taken_back(session, which, namespace, **values)
    for account, unit, amount in found:
        _change(session, namespace, Charge("", account, unit, None), reserved=-amount)
    return bool(found)


def _taken_back(
    session: Session, which: _Which, namespace: str, **values: Any
) -> list[tuple[Any, ...]]:
    """Removes reservations: the account, the unit and the amount of each."""
    found = session.rows(which.find, in_namespace=namespace, **values)
    if found:
        session.change(which.remove, in_namespace=namespace, **values)
    return found


def _row(
    scope: str, unit: str, amount: int | None, principal: str, updated_at: int, run: bytes | None
) -> BudgetRow:
    of = None if run is None else unpacked(run)
    return BudgetRow(scope, unit, amount, principal, updated_at, of)
