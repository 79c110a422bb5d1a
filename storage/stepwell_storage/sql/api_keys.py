"""Keys that callers show to say who they are."""

from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.records import ApiKeyRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import api_keys
from stepwell_storage.sql.writer import Writer

_ID = sa.bindparam("of", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.BigInteger)

_FIND = sa.select(api_keys).where(api_keys.c.id == _ID)
_MINE = sa.select(api_keys).where(
    api_keys.c.namespace == sa.bindparam("in_namespace", type_=sa.Text)
)
_LIST = _MINE.order_by(api_keys.c.created_at, api_keys.c.id)
_ONE = _MINE.where(api_keys.c.id == _ID)
_ADD = sa.insert(api_keys)
_CHANGE = sa.update(api_keys).where(
    api_keys.c.namespace == sa.bindparam("in_namespace", type_=sa.Text), api_keys.c.id == _ID
)
_REVOKE = _CHANGE.where(api_keys.c.revoked_at.is_(None)).values(revoked_at=_NOW)
_TOUCH = _CHANGE.values(used_at=_NOW)


class SqlApiKeys:
    """The API keys."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, namespace: str, row: ApiKeyRow) -> None:
        def add_if_free(session: Session) -> None:
            if session.rows(_FIND, of=row.id):
                raise Exists(f"There is an API key {row.id!r} already.")
            session.change(_ADD, namespace=namespace, **structs.asdict(row))

        await self._writer.call(add_if_free)

    async def find(self, id: str) -> tuple[str, ApiKeyRow] | None:
        rows = await self._reader.rows(_FIND, of=id)
        return _row(rows[0]) if rows else None

    async def list(self, namespace: str) -> list[ApiKeyRow]:
        return [_row(row)[1] for row in await self._reader.rows(_LIST, in_namespace=namespace)]

    async def revoke(self, namespace: str, id: str, *, now: int) -> ApiKeyRow:
        def revoke_it(session: Session) -> ApiKeyRow:
            session.change(_REVOKE, in_namespace=namespace, of=id, now=now)
            rows = session.rows(_ONE, in_namespace=namespace, of=id)
            if not rows:
                raise Missing(f"There is no API key {id!r}.")
            return _row(rows[0])[1]

        return await self._writer.call(revoke_it)

    async def touch(self, namespace: str, id: str, *, now: int) -> None:
        await self._writer.call(
            lambda session: session.change(_TOUCH, in_namespace=namespace, of=id, now=now)
        )


def _row(row: tuple[Any, ...]) -> tuple[str, ApiKeyRow]:
    values = dict(zip(api_keys.c.keys(), row, strict=True))
    values["is_vouched"] = bool(values["is_vouched"])  # SQLite has only numbers
    return values.pop("namespace"), ApiKeyRow(**values)
