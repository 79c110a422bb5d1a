"""Workflow versions, and which of them a bare name means."""

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Missing
from stepwell_storage.records import DefinitionRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import definition_heads, definitions
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("namespace", type_=sa.Text)
_NAME = sa.bindparam("name", type_=sa.Text)
_VERSION = sa.bindparam("version", type_=sa.Text)

_ROW = sa.select(
    definitions.c.name,
    definitions.c.version,
    definitions.c.source,
    definitions.c.principal,
    definitions.c.created_at,
)
_OF_VERSION = _ROW.where(
    definitions.c.namespace == _NAMESPACE,
    definitions.c.name == _NAME,
    definitions.c.version == _VERSION,
)
_NEWEST = (
    _ROW.join(
        definition_heads,
        sa.and_(
            definition_heads.c.namespace == definitions.c.namespace,
            definition_heads.c.name == definitions.c.name,
            definition_heads.c.version == definitions.c.version,
        ),
    )
    .where(definitions.c.namespace == _NAMESPACE)
    .order_by(definitions.c.name)
)
_NEWEST_OF_NAME = _NEWEST.where(definitions.c.name == _NAME)
_ADD = sa.insert(definitions)
_TAKE_OVER = (
    sa.update(definitions)
    .where(
        definitions.c.namespace == sa.bindparam("in_namespace"),
        definitions.c.name == sa.bindparam("of"),
        definitions.c.version == sa.bindparam("taken"),
    )
    .values(principal=sa.bindparam("author"), created_at=sa.bindparam("at"))
)
_MOVE_HEAD = (
    sa.update(definition_heads)
    .where(
        definition_heads.c.namespace == sa.bindparam("in_namespace"),
        definition_heads.c.name == sa.bindparam("of"),
    )
    .values(version=sa.bindparam("newest"))
)
_ADD_HEAD = sa.insert(definition_heads)


class SqlDefinitions:
    """The workflow versions."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def put(self, namespace: str, row: DefinitionRow, *, takes_over: bool = False) -> bool:
        def add_and_point(session: Session) -> bool:
            key = {"namespace": namespace, "name": row.name, "version": row.version}
            is_new = not session.rows(_OF_VERSION, **key)
            if is_new:
                session.change(_ADD, namespace=namespace, **structs.asdict(row))
            elif takes_over:
                session.change(
                    _TAKE_OVER,
                    in_namespace=namespace,
                    of=row.name,
                    taken=row.version,
                    author=row.principal,
                    at=row.created_at,
                )
            if not session.change(
                _MOVE_HEAD, in_namespace=namespace, of=row.name, newest=row.version
            ):
                session.change(_ADD_HEAD, **key)
            return is_new

        return await self._writer.call(add_and_point)

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        if version is None:
            rows = await self._reader.rows(_NEWEST_OF_NAME, namespace=namespace, name=name)
        else:
            rows = await self._reader.rows(
                _OF_VERSION, namespace=namespace, name=name, version=version
            )
        if not rows:
            raise Missing(f"There is no workflow {name!r}, or not in this version.")
        return DefinitionRow(*rows[0])

    async def list(self, namespace: str) -> list[DefinitionRow]:
        return [
            DefinitionRow(*row) for row in await self._reader.rows(_NEWEST, namespace=namespace)
        ]
