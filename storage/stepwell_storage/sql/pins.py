"""What tools said of themselves when they were pinned."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Conflict, Missing
from stepwell_storage.records import PinRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import pins
from stepwell_storage.sql.writer import Writer

_ALL = (
    sa.select(
        pins.c.tool,
        pins.c.source,
        pins.c.definition,
        pins.c.body,
        pins.c.principal,
        pins.c.pinned_at,
    )
    .where(pins.c.namespace == sa.bindparam("namespace"))
    .order_by(pins.c.tool)
)
_ONE = _ALL.where(pins.c.tool == sa.bindparam("tool"))
_REPLACE = (
    sa.update(pins)
    .where(
        pins.c.namespace == sa.bindparam("namespace"),
        pins.c.tool == sa.bindparam("tool_"),
        pins.c.definition == sa.bindparam("was"),
    )
    .values(
        source=sa.bindparam("source"),
        definition=sa.bindparam("definition_"),
        body=sa.bindparam("body"),
        principal=sa.bindparam("principal"),
        pinned_at=sa.bindparam("pinned_at"),
    )
)


class SqlPins:
    """The pins."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, namespace: str, rows: Sequence[PinRow]) -> None:
        values = [value for row in rows for value in (namespace, *structs.astuple(row))]
        if values:
            await self._writer.call(lambda session: session.add_missing(pins, values))

    async def replace(self, namespace: str, row: PinRow, *, was: str) -> None:
        def replace_if_same(session: Session) -> None:
            replaced = session.change(
                _REPLACE,
                namespace=namespace,
                tool_=row.tool,
                was=was,
                source=row.source,
                definition_=row.definition,
                body=row.body,
                principal=row.principal,
                pinned_at=row.pinned_at,
            )
            if replaced:
                return
            if session.rows(_ONE, namespace=namespace, tool=row.tool):
                raise Conflict(f"The pin of {row.tool!r} has changed.")
            raise Missing(f"There is no pin of {row.tool!r}.")

        await self._writer.call(replace_if_same)

    async def get(self, namespace: str, tool: str) -> PinRow:
        rows = await self._reader.rows(_ONE, namespace=namespace, tool=tool)
        if not rows:
            raise Missing(f"There is no pin of {tool!r}.")
        return _row(rows[0])

    async def list(self, namespace: str) -> list[PinRow]:
        return [_row(row) for row in await self._reader.rows(_ALL, namespace=namespace)]


def _row(values: Sequence[object]) -> PinRow:
    return PinRow(*values)  # type: ignore[arg-type]
