"""Who waits in a queue, and who is let in.

Whoever admits holds the row of the queue until the commit: so no two processes count the same
place as free. How many may be let in is for `stepwell_storage.admission` to say.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from stepwell_storage.admission import Admissions, Room, admission, window_start
from stepwell_storage.records import QueueRow, Ticket
from stepwell_storage.sql.ids import packed, unpacked
from stepwell_storage.sql.inbox import deliver
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import admissions, leases, queues, tickets

_Key: TypeAlias = tuple[str, str]
"""What tells tickets of a namespace apart: the run and the step."""

MOST_ADMITTED = 500
"""From one queue in one transaction: others want to write too."""

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_QUEUE = sa.bindparam("named", type_=sa.Text)
_AT = sa.bindparam("now", type_=sa.BigInteger)

_LOCK = (
    sa.select(
        queues.c.name,
        queues.c.concurrency,
        queues.c.rate,
        queues.c.per_us,
        queues.c.updated_at,
    )
    .where(queues.c.namespace == _NAMESPACE, queues.c.name == _QUEUE)
    .with_for_update()
)
_WAITS = tickets.c.admitted_at.is_(None)
_WITH_LINE = (
    sa.select(queues.c.namespace, queues.c.name)
    .where(
        sa.exists().where(
            tickets.c.namespace == queues.c.namespace, tickets.c.queue == queues.c.name, _WAITS
        )
    )
    .order_by(queues.c.namespace, queues.c.name)
)
_OF_QUEUE = (tickets.c.namespace == _NAMESPACE, tickets.c.queue == _QUEUE)
_OF_STEPS = (
    tickets.c.namespace == _NAMESPACE,
    tickets.c.run == sa.bindparam("of", type_=sa.LargeBinary),
    tickets.c.step.in_(sa.bindparam("steps", type_=sa.Text, expanding=True)),
)
_EPOCHS = (
    sa.select(leases.c.run, leases.c.epoch)
    .where(
        leases.c.namespace == _NAMESPACE,
        leases.c.run.in_(sa.bindparam("runs", type_=sa.LargeBinary, expanding=True)),
        leases.c.expires_at.is_not(None),
    )
    .order_by(leases.c.run)
    .with_for_update()
)
_FOUND = sa.select(tickets.c.step, tickets.c.admitted_at).where(*_OF_STEPS)
_ANY = sa.select(sa.literal(1)).select_from(tickets).where(*_OF_QUEUE).limit(1)
_RUNNING = (
    sa.select(sa.func.count())
    .select_from(tickets)
    .where(*_OF_QUEUE, tickets.c.admitted_at.is_not(None))
)
_LINE = (
    sa.select(tickets.c.run, tickets.c.step, tickets.c.at)
    .where(*_OF_QUEUE, _WAITS)
    .order_by(tickets.c.at, tickets.c.run, tickets.c.step)
    .limit(sa.bindparam("most"))
)
_ADMIT = sa.update(tickets).where(*_OF_STEPS).values(admitted_at=_AT)
_GIVE_BACK = sa.delete(tickets).where(*_OF_STEPS)

_LATELY = (admissions.c.namespace == _NAMESPACE, admissions.c.queue == _QUEUE)
_RECENT = sa.select(admissions.c.at, admissions.c.number).where(*_LATELY, admissions.c.at > _AT)
_FORGET = sa.delete(admissions).where(*_LATELY, admissions.c.at <= _AT)
_FORGET_ALL = sa.delete(admissions).where(*_LATELY)
_COUNT_MORE = (
    sa.update(admissions)
    .where(*_LATELY, admissions.c.at == _AT)
    .values(number=admissions.c.number + sa.bindparam("more", type_=sa.BigInteger))
)
_COUNT = sa.insert(admissions)


def give_back(session: Session, namespace: str, run: bytes, steps: Sequence[str]) -> None:
    """Removes tickets of a run."""
    for share in shares(steps):
        session.change(_GIVE_BACK, in_namespace=namespace, of=run, steps=share)


def has_tickets(session: Session, namespace: str, name: str) -> bool:
    """Whether anybody waits for a queue or is in it."""
    return bool(session.rows(_ANY, in_namespace=namespace, named=name))


def forget_admissions(session: Session, namespace: str, name: str) -> None:
    """Forgets who came lately."""
    session.change(_FORGET_ALL, in_namespace=namespace, named=name)


# --- entering ---------------------------------------------------------------------------------


def enter(session: Session, namespace: str, wanted: Sequence[Ticket], now: int) -> list[Ticket]:
    """Puts tickets in line; which of them have a place."""
    rows = {name: lock(session, namespace, name) for name in sorted({it.queue for it in wanted})}
    wanted = _current(session, namespace, wanted)
    found = _found(session, namespace, wanted)
    new = [it for it in wanted if _key(it) not in found]
    nowhere = {_key(it) for it in new if rows[it.queue] is None}
    _add(session, namespace, new, admitted=nowhere, now=now)
    inside = nowhere | {key for key, is_admitted in found.items() if is_admitted}
    outside = {_key(it) for it in wanted} - inside
    for row in rows.values():
        if row is not None and outside:
            room = _room(session, namespace, row, now)
            line = _line(session, namespace, row.name, room.free)
            ours = [it for it in line if _key(it) in outside]
            _let_in(session, namespace, row, ours, now)
            inside.update(map(_key, ours))
    return [it for it in wanted if _key(it) in inside]


def _current(session: Session, namespace: str, wanted: Sequence[Ticket]) -> list[Ticket]:
    """Those that are asked for under the lease that their run has, until the commit."""
    runs = sorted({packed(it.run) for it in wanted if it.epoch is not None})
    epochs = {
        unpacked(run): epoch
        for share in shares(runs)
        for run, epoch in session.rows(_EPOCHS, in_namespace=namespace, runs=share)
    }
    return [it for it in wanted if it.epoch is None or epochs.get(it.run) == it.epoch]


def _found(session: Session, namespace: str, wanted: Iterable[Ticket]) -> dict[_Key, bool]:
    """Of those of these tickets that are there already, whether they have a place."""
    return {
        (run, step): admitted_at is not None
        for run, steps in _by_run(wanted).items()
        for share in shares(steps)
        for step, admitted_at in session.rows(
            _FOUND, in_namespace=namespace, of=packed(run), steps=share
        )
    }


def _add(
    session: Session,
    namespace: str,
    new: Iterable[Ticket],
    *,
    admitted: Collection[_Key],
    now: int,
) -> None:
    values: list[Any] = []
    for it in new:
        at = now if _key(it) in admitted else None
        values += (namespace, packed(it.run), it.step, it.queue, it.at, at)
    session.add_missing(tickets, values)


# --- admitting --------------------------------------------------------------------------------


def admit(session: Session, now: int) -> tuple[bool, int | None]:
    """Admits what the limits allow, or a good part of it; whether all, and when the next may."""
    lines = [_admit_from(session, *queue, now=now) for queue in session.rows(_WITH_LINE)]
    times = [at for _, at in lines if at is not None]
    return all(is_done for is_done, _ in lines), min(times, default=None)


def _admit_from(
    session: Session, namespace: str, name: str, *, now: int
) -> tuple[bool, int | None]:
    row = lock(session, namespace, name)
    if row is None:
        return True, None
    room = _room(session, namespace, row, now)
    line = _line(session, namespace, name, min(room.free, MOST_ADMITTED))
    alive = deliver(session, namespace, [admission(it, now) for it in line])
    admitted = [it for it in line if it.run in alive]
    _let_in(session, namespace, row, admitted, now)
    for it in line:
        if it.run not in alive:
            give_back(session, namespace, packed(it.run), [it.step])
    if len(line) == MOST_ADMITTED or len(admitted) < len(line):
        return False, None  # there may be places left
    if not _line(session, namespace, name, 1):
        return True, None
    return True, room.after(len(admitted), now).next_place()


# --- under the lock of a queue ----------------------------------------------------------------


def lock(session: Session, namespace: str, name: str) -> QueueRow | None:
    """A queue, which nobody else admits to or changes until the commit."""
    rows = session.rows(_LOCK, in_namespace=namespace, named=name)
    return QueueRow(*rows[0]) if rows else None


def _room(session: Session, namespace: str, row: QueueRow, now: int) -> Room:
    """What is counted only where there is a limit."""
    of = {"in_namespace": namespace, "named": row.name}
    running = session.rows(_RUNNING, **of)[0][0] if row.concurrency is not None else 0
    start = window_start(row, now)
    recent = session.rows(_RECENT, **of, now=start) if row.rate is not None else []
    return Room(row, running, tuple(Admissions(*it) for it in recent))


def _line(session: Session, namespace: str, name: str, most: int) -> list[Ticket]:
    """The first of the line."""
    rows = session.rows(_LINE, in_namespace=namespace, named=name, most=most)
    return [Ticket(name, unpacked(run), step, at) for run, step, at in rows]


def _let_in(
    session: Session, namespace: str, row: QueueRow, admitted: Sequence[Ticket], now: int
) -> None:
    for run, steps in _by_run(admitted).items():
        for share in shares(steps):
            session.change(_ADMIT, in_namespace=namespace, of=packed(run), steps=share, now=now)
    if row.rate is None or not admitted:
        return
    of = {"in_namespace": namespace, "named": row.name}
    session.change(_FORGET, **of, now=window_start(row, now))
    if not session.change(_COUNT_MORE, **of, now=now, more=len(admitted)):
        session.change(_COUNT, namespace=namespace, queue=row.name, at=now, number=len(admitted))


def _by_run(given: Iterable[Ticket]) -> dict[str, list[str]]:
    """The steps of each run."""
    found: dict[str, list[str]] = {}
    for it in given:
        found.setdefault(it.run, []).append(it.step)
    return found


def _key(ticket: Ticket) -> _Key:
    return ticket.run, ticket.step
