"""Named queues, and who waits in them."""

from collections.abc import Sequence

from stepwell_storage.admission import Admissions, Room, admission, window_start
from stepwell_storage.errors import Exists, Missing
from stepwell_storage.memory.database import Database, KeptNamespace, KeptTicket
from stepwell_storage.memory.inbox import deliver
from stepwell_storage.records import QueueLoad, QueueRow, Ticket


class MemoryQueues:
    """The queues."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: QueueRow) -> bool:
        kept = self._database[namespace].queues
        is_new = row.name not in kept
        kept[row.name] = row
        return is_new

    async def get(self, namespace: str, name: str) -> QueueLoad:
        kept = self._database[namespace]
        return _load(kept, _queue(kept, name))

    async def remove(self, namespace: str, name: str) -> None:
        kept = self._database[namespace]
        _queue(kept, name)
        if any(it.ticket.queue == name for it in kept.tickets.values()):
            raise Exists(f"The queue {name!r} has tickets.")
        del kept.queues[name]
        kept.admissions.pop(name, None)

    async def enter(self, namespace: str, tickets: Sequence[Ticket], *, now: int) -> list[Ticket]:
        kept = self._database[namespace]
        tickets = [it for it in tickets if _is_current(kept, it)]
        asked = [kept.tickets.setdefault((it.run, it.step), KeptTicket(it)) for it in tickets]
        for queue in {it.queue for it in tickets}:
            line, row = _line(kept, queue), kept.queues.get(queue)
            first = line if row is None else line[: _room(kept, row, now).free]
            _let_in(kept, queue, [it for it in first if it in asked], now)
        return [it for it, own in zip(tickets, asked, strict=True) if own.admitted_at is not None]

    async def admit(self, *, now: int) -> int | None:
        found = [
            self._admit_from(namespace, row, now)
            for namespace, kept in self._database.items()
            for row in kept.queues.values()
        ]
        return min((at for at in found if at is not None), default=None)

    def _admit_from(self, namespace: str, row: QueueRow, now: int) -> int | None:
        """Admits from one queue; when the next one may follow."""
        kept = self._database[namespace]
        free = _room(kept, row, now).free
        admitted: list[KeptTicket] = []
        for it in _line(kept, row.name):
            if len(admitted) == free:
                break
            if deliver(self._database, namespace, admission(it.ticket, now)):
                admitted.append(it)
            else:
                del kept.tickets[it.ticket.run, it.ticket.step]
        _let_in(kept, row.name, admitted, now)
        return _room(kept, row, now).next_place() if _line(kept, row.name) else None

    async def list(self, namespace: str) -> list[QueueLoad]:
        kept = self._database[namespace]
        return [_load(kept, kept.queues[name]) for name in sorted(kept.queues)]


def _is_current(kept: KeptNamespace, ticket: Ticket) -> bool:
    run = kept.runs.get(ticket.run)
    is_held = run is not None and run.expires_at is not None and run.epoch == ticket.epoch
    return is_held or ticket.epoch is None


def _queue(kept: KeptNamespace, name: str) -> QueueRow:
    if name not in kept.queues:
        raise Missing(f"There is no queue {name!r}.")
    return kept.queues[name]


def _load(kept: KeptNamespace, row: QueueRow) -> QueueLoad:
    return QueueLoad(row, _running(kept, row.name), len(_line(kept, row.name)))


def _running(kept: KeptNamespace, queue: str) -> int:
    inside = [it for it in kept.tickets.values() if it.admitted_at is not None]
    return sum(it.ticket.queue == queue for it in inside)


def _line(kept: KeptNamespace, queue: str) -> list[KeptTicket]:
    waiting = [
        it for it in kept.tickets.values() if it.ticket.queue == queue and it.admitted_at is None
    ]
    return sorted(waiting, key=lambda it: (it.ticket.at, it.ticket.run, it.ticket.step))


def _room(kept: KeptNamespace, row: QueueRow, now: int) -> Room:
    start = window_start(row, now)
    recent = [it for it in kept.admissions.get(row.name, ()) if it.at > start]
    return Room(row, _running(kept, row.name), tuple(recent))


def _let_in(kept: KeptNamespace, queue: str, admitted: Sequence[KeptTicket], now: int) -> None:
    for it in admitted:
        it.admitted_at = now
    row = kept.queues.get(queue)
    if row is not None and row.rate is not None and admitted:
        recent = _room(kept, row, now).recent
        kept.admissions[queue] = [*recent, Admissions(now, len(admitted))]
