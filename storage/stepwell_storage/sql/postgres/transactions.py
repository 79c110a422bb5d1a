"""How a group is written to PostgreSQL: in one transaction, and for appends in two round trips.

The first trip locks the logs, fences, and asks how far the logs go; the second one writes the rest
and commits. An append that is refused costs its neighbours nothing but the trips that tell why.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
from msgspec.structs import replace

from stepwell_storage.errors import StorageError
from stepwell_storage.records import Append
from stepwell_storage.sql.errands import leave_queues
from stepwell_storage.sql.postgres import fence
from stepwell_storage.sql.postgres.appends import Appends
from stepwell_storage.sql.postgres.connection import is_of_its_values, refusal
from stepwell_storage.sql.postgres.session import PostgresSession
from stepwell_storage.sql.session import Job
from stepwell_storage.sql.writer import Written


class PostgresTransactions:
    """Commits groups; see `writer.Transactions`."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self._appends = Appends(session)
        self._is_telling = False

    def tell(self, is_on: bool) -> None:
        """Whether the processes that listen are told of what is committed from now on."""
        self._is_telling = is_on

    def write(self, group: Sequence[Append | Job[Any]]) -> Written:
        """Commits a group."""
        try:
            return self._write(group)
        except psycopg.Error as error:
            raise refusal(error, "written") from error
        finally:
            self._session.recover()

    def close(self) -> None:
        """Disconnects."""
        self._session.close()

    def _write(self, group: Sequence[Append | Job[Any]]) -> Written:
        appends = [what for what in group if isinstance(what, Append)]
        is_all = len(appends) == len(group)
        locks = fence.lock_keys({append.namespace for append in appends})
        self._session.begin(locks)
        written = Written((), {})
        if appends:
            written = self._append_together(appends, locks, is_all=is_all)
        if is_all:
            return replace(written, is_announced=self._session.is_announced)
        outcomes = iter(written.outcomes)
        done = [next(outcomes) if isinstance(it, Append) else self._do(it) for it in group]
        leave_queues(self._session, written.among(appends))
        self._commit(written)
        return Written(done, written.heads, self._session.is_announced)

    def _commit(self, written: Written) -> None:
        if self._is_telling:
            self._session.later(*(fence.telling(*head) for head in written.heads.items()))
            if self._session.is_announced:
                self._session.later(fence.RING)
        self._session.commit()

    def _do(self, job: Job[Any]) -> Any:
        outcome = self._session.apart(lambda: job(self._session))
        if isinstance(outcome, psycopg.errors.UniqueViolation):
            # Another process wrote the same after the job had looked; now the job will see it.
            outcome = self._session.apart(lambda: job(self._session))
        return refusal(outcome, "written") if isinstance(outcome, psycopg.Error) else outcome

    # --- appends ------------------------------------------------------------------------

    def _append_together(
        self, appends: Sequence[Append], locks: Sequence[int], *, is_all: bool
    ) -> Written:
        """Writes appends; commits them where they are all that there is."""

        def end(written: Written) -> Written:
            if is_all:
                leave_queues(self._session, written.among(appends))
                self._commit(written)
            else:
                self._session.flush()
            return written

        try:
            return end(self._appends.write(appends))
        except Exception as error:
            is_of_database = isinstance(error, psycopg.Error) and not is_of_its_values(error)
            if is_of_database or isinstance(error, StorageError):
                raise
            # One of them has a value that no row can hold. Which one is found out one by one.
            self._session.recover()
            self._session.begin(locks)
            return end(self._append_one_by_one(appends))

    def _append_one_by_one(self, appends: Sequence[Append]) -> Written:
        outcomes: list[int | Exception] = []
        heads: dict[str, int] = {}
        for append in appends:
            written = self._session.apart(partial(self._appends.write, [append]))
            if isinstance(written, Written):
                outcomes += written.outcomes
                heads.update(written.heads)
            else:
                is_error = isinstance(written, psycopg.Error)
                outcomes.append(refusal(written, "written") if is_error else written)
        return Written(outcomes, heads)
