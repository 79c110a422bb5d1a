"""Leases: who may append to which run."""

import sqlalchemy as sa

from stepwell_storage.records import Lease
from stepwell_storage.sql.ids import unpacked
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import leases
from stepwell_storage.sql.writer import Writer

_OWNER = sa.bindparam("claimant", type_=sa.Text)
_EXPIRES_AT = sa.bindparam("until", type_=sa.BigInteger)

_EXPIRED = (
    sa.select(leases.c.namespace, leases.c.run, leases.c.epoch)
    .where(
        leases.c.expires_at <= sa.bindparam("now"),
        sa.or_(leases.c.owner.is_(None), leases.c.owner != _OWNER),
    )
    .order_by(leases.c.expires_at, leases.c.run, leases.c.namespace)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TAKE = (
    sa.update(leases)
    .where(leases.c.namespace == sa.bindparam("in_namespace"), leases.c.run == sa.bindparam("of"))
    .values(owner=_OWNER, epoch=sa.bindparam("next"), expires_at=_EXPIRES_AT)
)
_EXTEND = sa.update(leases).where(leases.c.owner == _OWNER).values(expires_at=_EXPIRES_AT)
_LET_GO = (
    sa.update(leases)
    .where(leases.c.owner == _OWNER)
    .values(owner=sa.null(), expires_at=_EXPIRES_AT)
)


class SqlClaims:
    """The leases."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def claim(self, owner: str, *, now: int, expires_at: int, limit: int) -> list[Lease]:
        def take_expired(session: Session) -> list[Lease]:
            claimed = []
            for namespace, run, epoch in session.rows(
                _EXPIRED, claimant=owner, now=now, most=limit
            ):
                session.change(
                    _TAKE,
                    claimant=owner,
                    until=expires_at,
                    next=epoch + 1,
                    in_namespace=namespace,
                    of=run,
                )
                claimed.append(Lease(namespace, unpacked(run), epoch + 1))
            return claimed

        return await self._writer.call(take_expired)

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        return await self._writer.call(
            lambda session: session.change(_EXTEND, claimant=owner, until=expires_at)
        )

    async def release(self, owner: str, *, now: int) -> int:
        return await self._writer.call(
            lambda session: session.change(_LET_GO, claimant=owner, until=now)
        )
