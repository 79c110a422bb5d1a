"""What may be spent, and what is.

Whoever reserves or counts holds the lock of the namespace until the commit: so nobody else takes what
was there when he looked. Whether there is enough is for `stepwell_storage.shortage` to say.

Many do so at once, and most of what a statement costs is the same for all of them: what one turn of the
event loop reserves, and what a group of appends has spent, is looked up and written together.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa

from stepwell_storage.records import Append, BudgetRow, Charge, Reservation, Short, Used
from stepwell_storage.shortage import counted, shortage
from stepwell_storage.sql.ids import packed, packed_or_none, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import amounts, budget_locks, budgets, reservations
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_SCOPE = sa.bindparam("in_scope", type_=sa.Text)
_UNIT = sa.bindparam("in_unit", type_=sa.Text)
_ACCOUNT = sa.bindparam("in_account", type_=sa.Text)
_RUN = sa.bindparam("of", type_=sa.LargeBinary)
_KEY = sa.bindparam("by_key", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.BigInteger)

_LOCK = (
    sa.select(budget_locks.c.namespace)
    .where(budget_locks.c.namespace == _NAMESPACE)
    .with_for_update()
)
_ROW = (
    budgets.c.scope,
    budgets.c.unit,
    budgets.c.amount,
    budgets.c.principal,
    budgets.c.updated_at,
    budgets.c.run,
)
_LIST = (
    sa.select(*_ROW)
    .where(budgets.c.namespace == _NAMESPACE, budgets.c.run.is_(None))
    .order_by(budgets.c.scope, budgets.c.unit)
)
_OF_RUN = (
    sa.select(*_ROW)
    .where(budgets.c.namespace == _NAMESPACE, budgets.c.run == _RUN)
    .order_by(budgets.c.unit)
)
_SHARED = (
    sa.select(budgets.c.namespace, *_ROW)
    .where(budgets.c.run.is_(None))
    .order_by(budgets.c.namespace, budgets.c.scope, budgets.c.unit)
)
_REMOVE = sa.delete(budgets).where(
    budgets.c.namespace == _NAMESPACE, budgets.c.scope == _SCOPE, budgets.c.unit == _UNIT
)
_LIMITS = sa.select(budgets.c.scope, budgets.c.unit, budgets.c.amount).where(
    budgets.c.namespace == _NAMESPACE,
    budgets.c.scope.in_(sa.bindparam("scopes", type_=sa.Text, expanding=True)),
)
_AMOUNTS = (
    sa.select(amounts.c.account, amounts.c.unit, amounts.c.used, amounts.c.reserved)
    .where(
        amounts.c.namespace == _NAMESPACE,
        amounts.c.account.in_(sa.bindparam("accounts", type_=sa.Text, expanding=True)),
    )
    .order_by(amounts.c.account, amounts.c.unit)
)
_OF_RUNS = (
    reservations.c.namespace == _NAMESPACE,
    reservations.c.run.in_(sa.bindparam("runs", type_=sa.LargeBinary, expanding=True)),
)
_OVER = (reservations.c.namespace == _NAMESPACE, reservations.c.expires_at <= _NOW)
_RESERVED = sa.select(
    reservations.c.run,
    reservations.c.key,
    reservations.c.account,
    reservations.c.unit,
    reservations.c.amount,
).where(*_OF_RUNS)
_CALLS = sa.select(reservations.c.run, reservations.c.key).distinct().where(*_OF_RUNS)
_FIND_OVER = sa.select(reservations.c.account, reservations.c.unit, reservations.c.amount).where(
    *_OVER
)
_REMOVE_OVER = sa.delete(reservations).where(*_OVER)
_REMOVE_CALLS = sa.delete(reservations).where(*_OF_RUNS, reservations.c.key == _KEY)
_REMOVE_RUNS = sa.delete(reservations).where(*_OF_RUNS)
_RENEW = (
    sa.update(reservations)
    .where(
        reservations.c.namespace == _NAMESPACE,
        reservations.c.run == _RUN,
        reservations.c.key == _KEY,
    )
    .values(expires_at=_NOW)
)

MOST_TOGETHER = 32
"""Reservations that one job makes: the writer begins with these while more are asked for."""

_Name: TypeAlias = tuple[str, str]
"""An account and a unit."""


class _Asked(NamedTuple):
    """A reservation that somebody waits for."""

    reservation: Reservation
    now: int
    answer: asyncio.Future[Short | None]


class SqlBudgets:
    """The budgets."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader
        self._asked: dict[str, list[_Asked]] = {}
        """What this turn of the event loop reserves, by namespace."""

    async def put(self, namespace: str, row: BudgetRow) -> None:
        def replace(session: Session) -> None:
            lock(session, namespace)
            session.change(_REMOVE, in_namespace=namespace, in_scope=row.scope, in_unit=row.unit)
            _add(session, namespace, [row])

        await self._writer.call(replace)

    async def remove(self, namespace: str, scope: str, unit: str) -> bool:
        removed = await self._writer.call(
            lambda session: session.change(
                _REMOVE, in_namespace=namespace, in_scope=scope, in_unit=unit
            )
        )
        return bool(removed)

    async def of_run(self, namespace: str, run: str) -> list[BudgetRow]:
        of = packed_or_none(run)
        return [_row(*it) for it in await self._reader.rows(_OF_RUN, in_namespace=namespace, of=of)]

    async def shared(self) -> list[tuple[str, BudgetRow]]:
        return [(namespace, _row(*it)) for namespace, *it in await self._reader.rows(_SHARED)]

    async def reserve(self, namespace: str, reservation: Reservation, *, now: int) -> Short | None:
        loop = asyncio.get_running_loop()
        asked = self._asked.setdefault(namespace, [])
        if not asked:
            loop.call_soon(self._send, namespace, asked)
        at = len(asked)
        asked.append(_Asked(reservation, now, loop.create_future()))
        if len(asked) == MOST_TOGETHER:
            self._send(namespace, asked)
        return await asked[at].answer

    async def used(self, namespace: str, accounts: Sequence[str]) -> list[Used]:
        found: list[Used] = []
        for share in shares(sorted(accounts)):
            rows = await self._reader.rows(_AMOUNTS, in_namespace=namespace, accounts=share)
            found += (Used(*row) for row in rows)
        return found

    async def list(self, namespace: str) -> list[BudgetRow]:
        return [_row(*it) for it in await self._reader.rows(_LIST, in_namespace=namespace)]

    def _send(self, namespace: str, asked: Sequence[_Asked]) -> None:
        if self._asked.get(namespace) is not asked:
            return  # it was sent before the turn was over
        del self._asked[namespace]
        wanted = [it.reservation for it in asked]
        now = max(it.now for it in asked)
        made = self._writer.call(partial(_reserve, namespace, wanted, now))
        made.add_done_callback(partial(_answer, asked))


def _answer(asked: Sequence[_Asked], made: asyncio.Future[list[Short | None]]) -> None:
    error = made.exception()
    for at, it in enumerate(asked):
        if it.answer.done():
            continue
        if error is None:
            it.answer.set_result(made.result()[at])
        else:  # one for each, as a traceback grows wherever an exception is raised again
            it.answer.set_exception(type(error)(*error.args))


def lock(session: Session, namespace: str) -> None:
    """Nobody else reserves or counts in this namespace until the commit."""
    if not session.rows(_LOCK, in_namespace=namespace):
        session.add_missing(budget_locks, [namespace])
        session.rows(_LOCK, in_namespace=namespace)


def settle(session: Session, appends: Iterable[Append]) -> None:
    """Makes budgets, counts what calls have needed, and gives back what was reserved for them."""
    by_namespace: dict[str, list[Append]] = {}
    for append in appends:
        by_namespace.setdefault(append.namespace, []).append(append)
    for namespace in sorted(by_namespace):  # in one order, so that no two wait for each other
        _settle(session, namespace, by_namespace[namespace])


def _settle(session: Session, namespace: str, appends: Sequence[Append]) -> None:
    lock(session, namespace)
    _add(session, namespace, [row for append in appends for row in append.budgets])
    runs = [packed(append.run) for append in appends]
    reserved = _Reserved(
        session,
        namespace,
        [run for run, it in zip(runs, appends, strict=True) if it.spent or it.frees],
    )
    # What was reserved has a limit; of the rest the store is asked.
    others = [
        charge
        for run, append in zip(runs, appends, strict=True)
        for spent in append.spent
        for charge in spent.charges
        if charge.amount and (charge.account, charge.unit) not in reserved.of_call(run, spent.key)
    ]
    limits = _limits(session, namespace, others)
    changes = _Changes()
    for run, append in zip(runs, appends, strict=True):
        for spent in append.spent:
            back = reserved.take(run, spent.key)
            for charge in spent.charges:
                name = charge.account, charge.unit
                if charge.amount and (name in back or (charge.scope, charge.unit) in limits):
                    changes.add(name, used=charge.amount, run=charge.run)
            changes.give_back(back)
        if append.frees:
            for back in reserved.take_all(run):
                changes.give_back(back)
    reserved.remove_taken()
    changes.write(session, namespace)


def _reserve(
    namespace: str, wanted: Sequence[Reservation], now: int, session: Session
) -> list[Short | None]:
    """Reserves what can be, in this order; of each what is short."""
    lock(session, namespace)
    calls = [(packed(it.run), it.key) for it in wanted]
    known = _renewed(session, namespace, calls, wanted)
    limits = _limits(session, namespace, [charge for it in wanted for charge in it.charges])
    counting = [counted(it.charges, limits) for it in wanted]
    taken = _taken(session, namespace, [charge for charges in counting for charge in charges])
    changes = _Changes()
    values: list[Any] = []
    answers: list[Short | None] = []
    is_swept = False
    for (run, key), reservation, charges in zip(calls, wanted, counting, strict=True):
        if (run, key) in known:
            answers.append(None)
            continue
        short = shortage(charges, limits, taken)
        if short is not None and not is_swept:
            is_swept = True
            for name, amount in _swept(session, namespace, now):
                changes.add(name, reserved=-amount)
                taken[name] = taken.get(name, 0) - amount
            short = shortage(charges, limits, taken)
        answers.append(short)
        if short is not None:
            continue
        known.add((run, key))
        for charge in charges:
            if charge.amount is not None:
                name = charge.account, charge.unit
                changes.add(name, reserved=charge.amount, run=charge.run)
                taken[name] = taken.get(name, 0) + charge.amount
                values += (namespace, run, key, *name, charge.amount, reservation.expires_at)
    changes.write(session, namespace)
    session.add_missing(reservations, values)
    return answers


def _renewed(
    session: Session,
    namespace: str,
    calls: Sequence[tuple[bytes, str]],
    wanted: Sequence[Reservation],
) -> set[tuple[bytes, str]]:
    """The calls that have reserved before, which keep what they have for longer."""
    runs = {run for run, _ in calls}
    known = {
        (bytes(run), key)
        for share in shares(sorted(runs))
        for run, key in session.rows(_CALLS, in_namespace=namespace, runs=share)
    } & set(calls)
    for (run, key), it in zip(calls, wanted, strict=True):
        if (run, key) in known:
            until = it.expires_at
            session.change(_RENEW, in_namespace=namespace, of=run, by_key=key, now=until)
    return known


def _swept(session: Session, namespace: str, now: int) -> list[tuple[_Name, int]]:
    """Removes reservations whose time is over: the name and the amount of each."""
    found = session.rows(_FIND_OVER, in_namespace=namespace, now=now)
    if found:
        session.change(_REMOVE_OVER, in_namespace=namespace, now=now)
    return [((account, unit), amount) for account, unit, amount in found]


class _Changes:
    """What is to be added to the amounts of accounts."""

    def __init__(self) -> None:
        self._by_name: dict[_Name, list[Any]] = {}

    def add(self, name: _Name, *, used: int = 0, reserved: int = 0, run: str | None = None) -> None:
        """Adds to one; with `run` it goes when that run is deleted."""
        found = self._by_name.get(name)
        if found is None:
            of = None if run is None else packed(run)
            self._by_name[name] = [used, reserved, of]
            return
        found[0] += used
        found[1] += reserved

    def give_back(self, amounts: Mapping[_Name, int]) -> None:
        """Takes away what was reserved."""
        for name, amount in amounts.items():
            self.add(name, reserved=-amount)

    def write(self, session: Session, namespace: str) -> None:
        """Makes them."""
        values: list[Any] = []
        for (account, unit), (used, reserved, run) in self._by_name.items():
            values += (namespace, account, unit, used, reserved, run)
        session.add_up(amounts, values)


class _Reserved:
    """What is reserved for some runs, until it is taken."""

    def __init__(self, session: Session, namespace: str, runs: Iterable[bytes]) -> None:
        self._session = session
        self._namespace = namespace
        self._by_run: dict[bytes, dict[str, dict[_Name, int]]] = {}
        self._taken: dict[str, list[bytes]] = {}
        self._freed: list[bytes] = []
        for share in shares(sorted(set(runs))):
            for run, key, *name, amount in session.rows(
                _RESERVED, in_namespace=namespace, runs=share
            ):
                of_call = self._by_run.setdefault(bytes(run), {}).setdefault(key, {})
                of_call[name[0], name[1]] = amount

    def of_call(self, run: bytes, key: str) -> Mapping[_Name, int]:
        """What is reserved for a call."""
        return self._by_run.get(run, {}).get(key, {})

    def take(self, run: bytes, key: str) -> Mapping[_Name, int]:
        """What was reserved for a call."""
        taken = self._by_run.get(run, {}).pop(key, None)
        if taken is None:
            return {}
        self._taken.setdefault(key, []).append(run)
        return taken

    def take_all(self, run: bytes) -> Iterable[Mapping[_Name, int]]:
        """What was reserved for the calls of a run that are left."""
        taken = self._by_run.pop(run, {})
        if taken:
            self._freed.append(run)
        return taken.values()

    def remove_taken(self) -> None:
        """Removes what was taken from the store."""
        change, namespace = self._session.change, self._namespace
        for key, runs in self._taken.items():
            for share in shares(runs):
                change(_REMOVE_CALLS, in_namespace=namespace, runs=share, by_key=key)
        for share in shares(self._freed):
            change(_REMOVE_RUNS, in_namespace=namespace, runs=share)


def _add(session: Session, namespace: str, rows: Iterable[BudgetRow]) -> None:
    values: list[Any] = []
    for row in rows:
        run = None if row.run is None else packed(row.run)
        values += (namespace, row.scope, row.unit, row.amount, row.principal, row.updated_at, run)
    if values:
        session.add_missing(budgets, values)


def _limits(
    session: Session, namespace: str, charges: Iterable[Charge]
) -> dict[tuple[str, str], int | None]:
    return {
        (scope, unit): amount
        for share in shares(sorted({it.scope for it in charges}))
        for scope, unit, amount in session.rows(_LIMITS, in_namespace=namespace, scopes=share)
    }


def _taken(
    session: Session, namespace: str, charges: Iterable[Charge]
) -> dict[tuple[str, str], int]:
    return {
        (account, unit): used + reserved
        for share in shares(sorted({it.account for it in charges}))
        for account, unit, used, reserved in session.rows(
            _AMOUNTS, in_namespace=namespace, accounts=share
        )
    }


def _row(
    scope: str, unit: str, amount: int | None, principal: str, updated_at: int, run: bytes | None
) -> BudgetRow:
    of = None if run is None else unpacked(run)
    return BudgetRow(scope, unit, amount, principal, updated_at, of)
