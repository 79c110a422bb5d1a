"""What principals prove with that it is they."""

import secrets
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.records import Attempts, FactorRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import factor_attempts, factor_tokens, factors
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_WHOSE = sa.bindparam("whose", type_=sa.Text)
_ID = sa.bindparam("of", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_COUNTER = sa.bindparam("to", type_=sa.BigInteger)

_ALL = (
    sa.select(factors)
    .where(factors.c.namespace == _NAMESPACE)
    .order_by(factors.c.created_at, factors.c.id)
)
_OF_ONE = _ALL.where(factors.c.principal == _WHOSE)
_BY_ID = sa.select(factors.c.id).where(factors.c.namespace == _NAMESPACE, factors.c.id == _ID)
_ADD = sa.insert(factors)
_OF_ID = (factors.c.namespace == _NAMESPACE, factors.c.id == _ID)
_REMOVE = sa.delete(factors).where(*_OF_ID, factors.c.principal == _WHOSE)
_CHANGE = sa.update(factors).where(*_OF_ID)
_ADVANCE = _CHANGE.where(factors.c.counter < _COUNTER).values(counter=_COUNTER, used_at=_NOW)
_USE = _CHANGE.where(factors.c.counter == 0).values(used_at=_NOW)
_FORGET = sa.delete(factor_tokens).where(
    factor_tokens.c.namespace == _NAMESPACE, factor_tokens.c.until < _NOW
)
_SPENT_BY = sa.select(factor_tokens.c.spent_by).where(
    factor_tokens.c.namespace == _NAMESPACE,
    factor_tokens.c.token == sa.bindparam("shown", type_=sa.Text),
)
_OF_HIM = (factor_attempts.c.namespace == _NAMESPACE, factor_attempts.c.principal == _WHOSE)
_ATTEMPTS = sa.select(factor_attempts.c.failed, factor_attempts.c.at).where(*_OF_HIM)
_CHANGE_HIS = sa.update(factor_attempts).where(*_OF_HIM)
_CLEAR = _CHANGE_HIS.values(failed=0, at=0)
_LOCK = _CHANGE_HIS.values(failed=factor_attempts.c.failed)
_COUNT = _CHANGE_HIS.where(
    factor_attempts.c.failed == sa.bindparam("seen", type_=sa.BigInteger),
    factor_attempts.c.at == sa.bindparam("seen_at", type_=sa.BigInteger),
).values(failed=factor_attempts.c.failed + 1, at=_NOW)


class SqlFactors:
    """The factors. What must happen once is decided by the database: other processes may try too."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, namespace: str, row: FactorRow, *, is_first: bool = False) -> None:
        def add_if_free(session: Session) -> None:
            if session.rows(_BY_ID, in_namespace=namespace, of=row.id):
                raise Exists(f"There is a factor {row.id!r} already.")
            _lock(session, namespace, row.principal)
            if is_first and session.rows(_OF_ONE, in_namespace=namespace, whose=row.principal):
                raise Exists(f"{row.principal} has a factor already.")
            session.change(_ADD, namespace=namespace, **structs.asdict(row))

        await self._writer.call(add_if_free)

    async def list(self, namespace: str, principal: str | None = None) -> list[FactorRow]:
        if principal is None:
            rows = await self._reader.rows(_ALL, in_namespace=namespace)
        else:
            rows = await self._reader.rows(_OF_ONE, in_namespace=namespace, whose=principal)
        return [_row(row) for row in rows]

    async def remove(self, namespace: str, principal: str, id: str) -> None:
        removed = await self._writer.call(
            lambda session: session.change(_REMOVE, in_namespace=namespace, of=id, whose=principal)
        )
        if not removed:
            raise Missing(f"{principal} has no factor {id!r}.")

    async def advance(self, namespace: str, id: str, *, counter: int, now: int) -> bool:
        def use(session: Session) -> bool:
            if counter:
                values = {"in_namespace": namespace, "of": id, "to": counter, "now": now}
                return bool(session.change(_ADVANCE, **values))
            return bool(session.change(_USE, in_namespace=namespace, of=id, now=now))

        return await self._writer.call(use)

    async def spend(self, namespace: str, token: str, *, until: int, now: int) -> bool:
        def spend_once(session: Session) -> bool:
            session.change(_FORGET, in_namespace=namespace, now=now)
            session.add_missing(factor_tokens, [namespace, token, until, me])
            return session.rows(_SPENT_BY, in_namespace=namespace, shown=token) == [(me,)]

        me = secrets.token_hex(16)
        return await self._writer.call(spend_once)

    async def attempts(self, namespace: str, principal: str) -> Attempts:
        rows = await self._reader.rows(_ATTEMPTS, in_namespace=namespace, whose=principal)
        return Attempts(*rows[0]) if rows else Attempts()

    async def attempt(self, namespace: str, principal: str, *, after: Attempts, now: int) -> bool:
        def count(session: Session) -> bool:
            _lock(session, namespace, principal)
            values = {"seen": after.failed, "seen_at": after.at, "now": now}
            return bool(session.change(_COUNT, in_namespace=namespace, whose=principal, **values))

        return await self._writer.call(count)

    async def clear_attempts(self, namespace: str, principal: str) -> None:
        await self._writer.call(
            lambda session: session.change(_CLEAR, in_namespace=namespace, whose=principal)
        )


def _lock(session: Session, namespace: str, principal: str) -> None:
    """Lets nobody else change anything of his until the end of the transaction."""
    session.add_missing(factor_attempts, [namespace, principal, 0, 0])
    session.change(_LOCK, in_namespace=namespace, whose=principal)


def _row(row: tuple[Any, ...]) -> FactorRow:
    values = dict(zip(factors.c.keys(), row, strict=True))
    del values["namespace"]
    return FactorRow(**values)
