"""How many a queue may let in. Pure: whoever keeps the tickets counts them under its own lock."""

from msgspec import Struct

from stepwell_storage.records import Letter, QueueRow, Ticket

UNLIMITED = 2**31 - 1
"""More places than anybody asks for."""


class Admissions(Struct, frozen=True, order=True):
    """How many were admitted at one time."""

    at: int
    number: int


class Room(Struct, frozen=True):
    """A queue, how many are inside, and the admissions that its rate still counts."""

    row: QueueRow
    running: int
    recent: tuple[Admissions, ...]

    @property
    def free(self) -> int:
        """How many may be admitted."""
        row = self.row
        inside = UNLIMITED if row.concurrency is None else row.concurrency - self.running
        in_time = UNLIMITED if row.rate is None else row.rate - self._admitted
        return max(0, min(inside, in_time))

    def after(self, number: int, now: int) -> "Room":
        """The room that is left when so many have been admitted."""
        return Room(self.row, self.running + number, (*self.recent, Admissions(now, number)))

    def next_place(self) -> int | None:
        """When the rate alone lets the next one in; None when something else must happen first."""
        row, counted = self.row, self._admitted
        if row.concurrency is not None and self.running >= row.concurrency:
            return None
        if not row.rate or row.per_us is None:
            return None
        for it in sorted(self.recent):
            counted -= it.number
            if counted < row.rate:
                return it.at + row.per_us
        return None

    @property
    def _admitted(self) -> int:
        return sum(it.number for it in self.recent)


def window_start(row: QueueRow, now: int) -> int:
    """Admissions up to here do not count any more."""
    return now - (row.per_us or 0)


def admission(ticket: Ticket, now: int) -> Letter:
    """Tells a run that its step has a place."""
    id = f"admitted/{ticket.run}/{ticket.step}"
    return Letter(id, ticket.run, "admitted", "", ticket.step.encode(), now)
