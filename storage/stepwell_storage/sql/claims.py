"""Leases: who may append to which run."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from stepwell_storage.errors import Missing
from stepwell_storage.records import FOR_EVER, Lease, Rest
from stepwell_storage.sql.ids import packed, packed_or_none, unpacked
from stepwell_storage.sql.inbox import with_letters
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import leases
from stepwell_storage.sql.writer import Writer

_OWNER = sa.bindparam("claimant", type_=sa.Text)
_EXPIRES_AT = sa.bindparam("until", type_=sa.BigInteger)

_IS_FREE = leases.c.owner.is_(None)
_OVER = (
    sa.select(leases.c.namespace, leases.c.run, leases.c.epoch)
    .where(leases.c.expires_at <= sa.bindparam("now"))
    .order_by(leases.c.expires_at, leases.c.run, leases.c.namespace)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_EXPIRED = _OVER.where(sa.or_(_IS_FREE, leases.c.owner != _OWNER))
_FREE = _OVER.where(_IS_FREE)
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
_EVICT = (
    sa.update(leases)
    .where(leases.c.owner.is_not(None), leases.c.owner != _OWNER)
    .values(owner=sa.null(), expires_at=_EXPIRES_AT)
)
_LAST = sa.select(leases.c.epoch).where(
    leases.c.namespace == sa.bindparam("namespace"), leases.c.run == sa.bindparam("run")
)
_HELD = sa.select(leases.c.namespace, leases.c.run, leases.c.epoch).where(leases.c.owner == _OWNER)
_OF_RUNS = (
    leases.c.namespace == sa.bindparam("in_namespace", type_=sa.Text),
    leases.c.run.in_(sa.bindparam("of", expanding=True)),
)
_LEASES = (
    sa.select(leases.c.run, leases.c.owner, leases.c.epoch, leases.c.sequence)
    .where(*_OF_RUNS)
    .order_by(leases.c.run)
    .with_for_update()
)
_PARK = sa.update(leases).where(*_OF_RUNS).values(owner=sa.null(), expires_at=_EXPIRES_AT)
_FIRST_PARKED = sa.select(sa.func.min(leases.c.expires_at)).where(
    leases.c.owner.is_(None), leases.c.expires_at.is_not(None)
)


class SqlClaims:
    """The leases."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def claim(
        self, owner: str, *, now: int, expires_at: int, limit: int, only_free: bool = False
    ) -> list[Lease]:
        def take_expired(session: Session) -> list[Lease]:
            claimed = []
            found = (
                session.rows(_FREE, now=now, most=limit)
                if only_free
                else session.rows(_EXPIRED, claimant=owner, now=now, most=limit)
            )
            for namespace, run, epoch in found:
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

    async def evict(self, owner: str, *, now: int) -> int:
        return await self._writer.call(
            lambda session: session.change(_EVICT, claimant=owner, until=now)
        )

    async def last(self, namespace: str, run: str) -> Lease:
        found = await self._reader.rows(_LAST, namespace=namespace, run=packed_or_none(run))
        if not found:
            raise Missing(f"There is no run {run}.")
        return Lease(namespace, run, found[0][0])

    async def held(self, owner: str) -> list[Lease]:
        return [
            Lease(namespace, unpacked(run), epoch)
            for namespace, run, epoch in await self._reader.rows(_HELD, claimant=owner)
        ]

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        return await self._writer.call(
            lambda session: session.change(_EXTEND, claimant=owner, until=expires_at)
        )

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        def let_rest(session: Session) -> list[Rest]:
            parked = [
                rest for share in _by_namespace(rests) for rest in _ready(session, owner, share)
            ]
            for (namespace, wake_at), runs in _by_wake(parked).items():
                until = FOR_EVER if wake_at is None else wake_at
                for share in shares(runs):
                    session.change(_PARK, in_namespace=namespace, of=share, until=until)
            if len(parked) < len(rests):
                session.announce()
            return parked

        return await self._writer.call(let_rest)

    async def next_wake(self) -> int | None:
        [[at]] = await self._reader.rows(_FIRST_PARKED)
        return None if at == FOR_EVER else at

    async def release(self, owner: str, *, now: int) -> int:
        return await self._writer.call(
            lambda session: session.change(_LET_GO, claimant=owner, until=now)
        )


def _ready(session: Session, owner: str, rests: Sequence[Rest]) -> list[Rest]:
    """Which of these, all of one namespace, may rest; their leases are locked from now on."""
    namespace, runs = rests[0].namespace, sorted(packed(rest.run) for rest in rests)
    locked = session.rows(_LEASES, in_namespace=namespace, of=runs)
    leases_now = {run: tuple(lease) for run, *lease in locked}
    busy = with_letters(session, namespace, runs)
    return [
        rest
        for rest in rests
        if leases_now.get(run := packed(rest.run)) == (owner, rest.epoch, rest.sequence)
        and run not in busy
    ]


def _by_namespace(rests: Sequence[Rest]) -> Iterator[list[Rest]]:
    """Shares of one namespace each."""
    found: dict[str, list[Rest]] = {}
    for rest in rests:
        found.setdefault(rest.namespace, []).append(rest)
    for namespace in sorted(found):
        yield from shares(found[namespace])


def _by_wake(rests: Sequence[Rest]) -> dict[tuple[str, int | None], list[bytes]]:
    """The runs that one statement may park: those of one namespace that wake together."""
    found: dict[tuple[str, int | None], list[bytes]] = {}
    for rest in rests:
        found.setdefault((rest.namespace, rest.wake_at), []).append(packed(rest.run))
    return found
