"""How SQLite is written to: on the driver's own connection, with SQL that Core has compiled."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from stepwell_storage.errors import Full, StorageError, Unavailable
from stepwell_storage.records import Append
from stepwell_storage.sql.batch import Batch, place
from stepwell_storage.sql.bulk import Bulk, Rows
from stepwell_storage.sql.errands import leave_queues, reopen, run_errands
from stepwell_storage.sql.log import advance, why_refused, written_before
from stepwell_storage.sql.session import Job, sums
from stepwell_storage.sql.sqlite_dialect import DIALECT
from stepwell_storage.sql.statements import Statements
from stepwell_storage.sql.tables import blobs, events, labels, leases, requests, runs
from stepwell_storage.sql.writer import Written


def _insert(table: sa.Table) -> Bulk:
    names = table.c.keys()
    return Bulk(
        names,
        lambda rows: sqlite.insert(table).values(
            [dict(zip(names, row, strict=True)) for row in rows]
        ),
        dialect=DIALECT,
    )


def _insert_new(table: sa.Table) -> Bulk:
    names = table.c.keys()
    return Bulk(
        names,
        lambda rows: (
            sqlite.insert(table)
            .values([dict(zip(names, row, strict=True)) for row in rows])
            .on_conflict_do_nothing()
        ),
        dialect=DIALECT,
    )


def _insert_sums(table: sa.Table) -> Bulk:
    names = table.c.keys()

    def statement(rows: Rows) -> sa.ClauseElement:
        insert = sqlite.insert(table).values([dict(zip(names, row, strict=True)) for row in rows])
        return insert.on_conflict_do_update(
            index_elements=table.primary_key.columns, set_=sums(table, insert.excluded)
        )

    return Bulk(names, statement, dialect=DIALECT)


def _update(names: Sequence[str], statement: Callable[[sa.CTE], sa.Update]) -> Bulk:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    return Bulk(
        names,
        lambda rows: statement(sa.values(*columns, name="given").data(rows).cte("given")),
        dialect=DIALECT,
    )


def _step(given: sa.CTE) -> sa.Update:
    """A lease goes on from where the writer believes it is, or not at all."""
    return (
        sa.update(leases)
        .where(
            leases.c.namespace == given.c.namespace,
            leases.c.run == given.c.run,
            leases.c.epoch == given.c.epoch,
            leases.c.sequence == given.c.after,
            leases.c.owner.is_not(None),
        )
        .values(sequence=given.c.last)
    )


def _end(given: sa.CTE) -> sa.Update:
    """The last step of a lease: nobody holds it any more, and nobody ever will."""
    return _step(given).values(owner=sa.null(), expires_at=sa.null())


def _summarise(given: sa.CTE) -> sa.Update:
    return (
        sa.update(runs)
        .where(runs.c.namespace == given.c.namespace, runs.c.run == given.c.run)
        .values(
            status=given.c.status,
            updated_at=given.c.at,
            ended_at=given.c.ended_at,
            detail=given.c.detail,
        )
    )


_STEP = ("namespace", "run", "epoch", "after", "last")
# Apart, as naming a column rewrites its indexes, and few steps are the last: 1.8 us a row, not 4.
_STEP_LEASES = _update(_STEP, _step)
_END_LEASES = _update(_STEP, _end)
_SUMMARISE_RUNS = _update(("namespace", "run", "status", "at", "ended_at", "detail"), _summarise)
_ADD_EVENTS = _insert(events)
_ADD_RUNS = _insert(runs)
_ADD_LEASES = _insert(leases)
_ADD_REQUESTS = _insert(requests)
_ADD_LABELS = _insert(labels)


class _Refused(Exception):
    """Of the appends that were written together at least one may not be."""


class SqliteTransactions:
    """The one connection of this process that writes. Everything here runs on its thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` must leave transactions to us: `isolation_level` is None."""
        self._connection = connection
        self._statements = Statements(DIALECT)
        self._add_missing = cache(_insert_new)
        self._add_up = cache(_insert_sums)
        self._is_announced = False

    # --- session ------------------------------------------------------------------------

    def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back."""
        return self._execute(statement, values).fetchall()

    def change(self, statement: sa.Executable, **values: Any) -> int:
        """Carries a statement out; tells how many rows it concerned."""
        return self._execute(statement, values).rowcount

    def add_missing(self, table: sa.Table, values: Sequence[Any]) -> None:
        """Adds rows, but not those that a unique index has already."""
        self._add_missing(table).run(self._connection.execute, values)

    def add_up(self, table: sa.Table, values: Sequence[Any]) -> None:
        """Adds rows; of those that are there `used` and `reserved` become the sums."""
        self._add_up(table).run(self._connection.execute, values)

    def announce(self) -> None:
        """Once this is committed, wakes who waits for a letter, a run to claim or a free place."""
        self._is_announced = True

    def _execute(self, statement: sa.Executable, values: dict[str, Any]) -> sqlite3.Cursor:
        return self._connection.execute(*self._statements.bind(statement, values))

    # --- transactions -------------------------------------------------------------------

    def write(self, group: Sequence[Append | Job[Any]]) -> Written:
        """Commits a group; see `writer.Transactions`."""
        try:
            return self._write(group)
        except sqlite3.Error as error:
            raise _as_storage_error(error) from error
        finally:
            self._rollback()

    def _write(self, group: Sequence[Append | Job[Any]]) -> Written:
        appends = [what for what in group if isinstance(what, Append)]
        self._is_announced = False
        self._connection.execute("BEGIN IMMEDIATE")
        written = self._append_together(appends)
        outcomes = iter(written.outcomes)
        done = [next(outcomes) if isinstance(it, Append) else self._do(it) for it in group]
        leave_queues(self, written.among(appends))
        self._connection.execute("COMMIT")
        return Written(done, written.heads, self._is_announced)

    def close(self) -> None:
        """Disconnects; the last connection to leave tidies up the write-ahead log."""
        self._connection.close()

    def _rollback(self) -> None:
        # SQLite rolls back by itself after some errors.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # --- appends ------------------------------------------------------------------------

    def _append_together(self, appends: Sequence[Append]) -> Written:
        if not appends:
            return Written((), {})
        try:
            return self._append(appends)
        except Exception as error:
            if _concerns_the_database(error):
                raise
            # One of them may not be written. Which one, and why, is found out one by one.
            self._rollback()
            self._connection.execute("BEGIN IMMEDIATE")
            return self._append_one_by_one(appends)

    def _append_one_by_one(self, appends: Sequence[Append]) -> Written:
        outcomes: list[int | Exception] = []
        heads: dict[str, int] = {}
        for append in appends:
            written = self._apart(partial(self._append, [append]))
            if isinstance(written, Written):
                outcomes += written.outcomes
                heads.update(written.heads)
            elif isinstance(written, _Refused | sqlite3.IntegrityError):
                before = written_before(self, append)
                outcomes.append(before or why_refused(self, append) or written)
            else:
                outcomes.append(written)
        return Written(outcomes, heads)

    def _append(self, appends: Sequence[Append]) -> Written:
        """Writes all of these, or raises; what it wrote until then must be undone."""
        batch = Batch()
        for append in appends:
            batch.add(append)
        self._step_leases(_STEP_LEASES, batch.steps)
        self._step_leases(_END_LEASES, batch.ends)
        if not all(reopen(self, values) for values in batch.reopenings):
            raise _Refused
        run = self._connection.execute
        _ADD_RUNS.run(run, batch.runs)
        _ADD_LEASES.run(run, batch.leases)
        _ADD_REQUESTS.run(run, batch.requests)
        _ADD_LABELS.run(run, batch.labels)
        run_errands(self, batch.errands)
        placed = place(appends, advance(self, appends))
        _ADD_EVENTS.run(run, placed.events)
        self.add_missing(blobs, batch.blobs)
        _SUMMARISE_RUNS.run(run, batch.summaries)
        return Written(placed.positions, placed.heads)

    def _step_leases(self, statement: Bulk, steps: Sequence[Any]) -> None:
        before = self._connection.total_changes
        statement.run(self._connection.execute, steps)
        if self._connection.total_changes - before != len(steps) // statement.width:
            raise _Refused

    # --- jobs ---------------------------------------------------------------------------

    def _do(self, job: Job[Any]) -> Any:
        return self._apart(lambda: job(self))

    def _apart(self, work: Callable[[], Any]) -> Any:
        """What the work gives back, or the exception that it raised and that undid it alone."""
        self._connection.execute("SAVEPOINT apart")
        try:
            result = work()
        except Exception as error:
            if _concerns_the_database(error):
                raise
            self._connection.execute("ROLLBACK TO apart")
            result = error
        self._connection.execute("RELEASE apart")
        return result


def _concerns_the_database(error: Exception) -> bool:
    """Whether nothing can be written now, whatever it is: full, locked, unreadable, damaged."""
    about = (sqlite3.OperationalError, sqlite3.InternalError)
    return isinstance(error, about) or type(error) is sqlite3.DatabaseError


def _as_storage_error(error: sqlite3.Error) -> StorageError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return Full(
            "The disk is full, or the database has grown to its limit; nothing was written. "
            "Make room, or raise the limit; writing goes on by itself then."
        )
    return Unavailable(f"The database could not be written, nothing was changed: {error}.")
