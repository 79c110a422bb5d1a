"""Versions of policies, and which of them is in force."""

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Missing
from stepwell_storage.records import PolicyHead, PolicyRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import policies, policy_heads
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_VERSION = sa.bindparam("of_version", type_=sa.Text)

_ALL = (
    sa.select(
        policies.c.version,
        policies.c.source,
        policies.c.principal,
        policies.c.created_at,
    )
    .where(policies.c.namespace == _NAMESPACE)
    .order_by(policies.c.created_at.desc(), policies.c.version)
)
_ONE = _ALL.where(policies.c.version == _VERSION)
_HEADS = sa.select(
    policy_heads.c.namespace,
    policy_heads.c.version,
    policy_heads.c.principal,
    policy_heads.c.applied_at,
).order_by(policy_heads.c.namespace)
_ADD = sa.insert(policies)
_REMOVE_HEAD = sa.delete(policy_heads).where(policy_heads.c.namespace == _NAMESPACE)
_ADD_HEAD = sa.insert(policy_heads)


class SqlPolicies:
    """The policies."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def put(self, namespace: str, row: PolicyRow) -> bool:
        def add(session: Session) -> bool:
            if session.rows(_ONE, in_namespace=namespace, of_version=row.version):
                return False
            session.change(_ADD, namespace=namespace, **structs.asdict(row))
            return True

        return await self._writer.call(add)

    async def apply(self, namespace: str, head: PolicyHead) -> None:
        def point(session: Session) -> None:
            if not session.rows(_ONE, in_namespace=namespace, of_version=head.version):
                raise _missing(head.version)
            session.change(_REMOVE_HEAD, in_namespace=namespace)
            session.change(_ADD_HEAD, namespace=namespace, **structs.asdict(head))

        await self._writer.call(point)

    async def withdraw(self, namespace: str) -> bool:
        removed = await self._writer.call(
            lambda session: session.change(_REMOVE_HEAD, in_namespace=namespace)
        )
        return bool(removed)

    async def get(self, namespace: str, version: str) -> PolicyRow:
        rows = await self._reader.rows(_ONE, in_namespace=namespace, of_version=version)
        if not rows:
            raise _missing(version)
        return PolicyRow(*rows[0])

    async def list(self, namespace: str) -> list[PolicyRow]:
        rows = await self._reader.rows(_ALL, in_namespace=namespace)
        return [PolicyRow(*row) for row in rows]

    async def in_force(self) -> dict[str, PolicyHead]:
        rows = await self._reader.rows(_HEADS)
        return {namespace: PolicyHead(*rest) for namespace, *rest in rows}


def _missing(version: str) -> Missing:
    return Missing(f"There is no version {version!r} of the policy.")
