"""How the appends of a group are written: those that may be, in the order of the queue.

The fence lets most of them through together. One that it does not, or that does not simply go on
where another of the group leaves its run, is looked at by itself, after those before it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from stepwell_storage.errors import Fenced, KeyTaken, StorageError
from stepwell_storage.records import Append
from stepwell_storage.sql.batch import Batch, OutOfTurn, place
from stepwell_storage.sql.errands import reopen, run_errands
from stepwell_storage.sql.ids import packed
from stepwell_storage.sql.log import who_has_key, why_refused, written_before
from stepwell_storage.sql.postgres import fence
from stepwell_storage.sql.postgres.rows import insertion, insertion_of_missing
from stepwell_storage.sql.postgres.session import PostgresSession
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import blobs, events, labels, requests, runs
from stepwell_storage.sql.writer import Written


class _Accepted(Struct, frozen=True):
    """An append that is written in this transaction, as the one with this number."""

    number: int


class Appends:
    """Writes appends in the transaction of a session."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    def write(self, appends: Sequence[Append]) -> Written:
        """Writes those that may be, with their logs locked; the last statements wait to be sent."""
        namespaces = {append.namespace for append in appends}
        batch = Batch()
        in_turn = {number for number, append in enumerate(appends) if _is_added(batch, append)}
        through, heads = self._fence(batch, namespaces)
        if len(in_turn) == len(appends) and len(through) == batch.run_count:
            self._settle(batch)
            return self._place(appends, heads)
        together = {number for number in in_turn if _row_key(appends[number]) in through}
        return self._sort_out(appends, together, heads)

    def _sort_out(
        self, appends: Sequence[Append], together: Collection[int], heads: Mapping[str, int]
    ) -> Written:
        """Writes those that the fence let through `together`; looks at each of the others."""
        others = [append for number, append in enumerate(appends) if number not in together]
        keys = _Keys(self._session, others)
        self._settle(_batch(appends[number] for number in sorted(together)))
        accepted: list[Append] = []
        last: dict[tuple[str, str], _Accepted] = {}
        outcomes: list[_Accepted | int | StorageError] = []
        for number, append in enumerate(appends):
            run = append.namespace, append.run
            before = last.get(run)
            if number in together or self._is_let_through(append, keys):
                keys.note(append)
                last[run] = _Accepted(len(accepted))
                outcomes.append(last[run])
                accepted.append(append)
            elif before is not None and accepted[before.number] == append:
                outcomes.append(before)
            else:
                outcomes.append(self._verdict(append, keys))
        placed = self._place(accepted, heads)
        return Written(
            [placed.outcomes[it.number] if isinstance(it, _Accepted) else it for it in outcomes],
            placed.heads,
        )

    def _is_let_through(self, append: Append, keys: "_Keys") -> bool:
        batch = _batch([append])
        if keys.taken(append):
            return False
        if batch.reopenings:
            [values] = batch.reopenings
            # Another open run may have its key by now, which only the index knows.
            is_through = self._session.apart(lambda: reopen(self._session, values)) is True
        else:
            is_through = bool(self._fence(batch, ())[0])
        if is_through:
            self._settle(batch)
        return is_through

    def _verdict(self, append: Append, keys: "_Keys") -> int | StorageError:
        """Why an append is not let through."""
        session = self._session
        before = written_before(session, append)
        return before or why_refused(session, append) or keys.taken(append) or Fenced()

    # --- statements ---------------------------------------------------------------------

    def _fence(
        self, batch: Batch, namespaces: Collection[str]
    ) -> tuple[set[tuple[str, bytes]], dict[str, int]]:
        """The runs whose lease let their appends through, and where the logs end."""
        session = self._session
        fences = [
            session.many(statement, values)
            for statement, values in (
                (fence.STEP, batch.steps),
                (fence.END, batch.ends),
                (fence.BEGIN, batch.beginnings),
            )
            if values
        ]
        heads = session.one(fence.HEADS, namespaces=list(namespaces))
        *through, ends = session.ask(*fences, heads)
        return (
            {(namespace, run) for rows in through for namespace, run in rows},
            dict.fromkeys(namespaces, 0) | dict(ends),
        )

    def _settle(self, batch: Batch) -> None:
        """Writes all but events, of appends that the fence let through."""
        session = self._session
        for statement, values in (
            (insertion(runs), batch.runs),
            (insertion(requests), batch.requests),
            (insertion(labels), batch.labels),
            (insertion_of_missing(blobs), batch.blobs),
            (fence.SUMMARISE, batch.summaries),
        ):
            if values:
                session.later(session.many(statement, values))
        run_errands(session, batch.errands)

    def _place(self, appends: Iterable[Append], heads: Mapping[str, int]) -> Written:
        """Writes events at the ends of their logs."""
        session = self._session
        placed = place(appends, heads)
        if placed.events:
            ends = [value for head in placed.heads.items() for value in head]
            session.later(
                session.many(insertion(events), placed.events), session.many(fence.ADVANCE, ends)
            )
        return Written(placed.positions, placed.heads)


class _Keys:
    """Who has the run keys that some appends want, as one append of a group follows the other."""

    def __init__(self, session: Session, appends: Iterable[Append]) -> None:
        """Made before anything of the group is settled."""
        wanted = {(it.namespace, it.new.run_key) for it in appends if it.new is not None}
        self._taken = {key: who_has_key(session, *key) for key in wanted if key[1] is not None}

    def taken(self, append: Append) -> KeyTaken | None:
        """What refuses a new run, where another has its key at this point."""
        new = append.new
        return None if new is None else self._taken.get((append.namespace, new.run_key))

    def note(self, append: Append) -> None:
        """An append is written: its run has its key from here on, until it ends."""
        new, head = append.new, append.head
        if new is not None and (append.namespace, new.run_key) in self._taken:
            self._taken[append.namespace, new.run_key] = KeyTaken(append.run)
        if head is not None and head.ended_at is not None:
            for key, taken in self._taken.items():
                if taken is not None and (key[0], taken.run) == (append.namespace, append.run):
                    self._taken[key] = None


def _is_added(batch: Batch, append: Append) -> bool:
    if append.reopened is not None:
        return False
    try:
        batch.add(append)
    except OutOfTurn:
        return False
    return True


def _batch(appends: Iterable[Append]) -> Batch:
    batch = Batch()
    for append in appends:
        batch.add(append)
    return batch


def _row_key(append: Append) -> tuple[str, bytes]:
    return append.namespace, packed(append.run)
