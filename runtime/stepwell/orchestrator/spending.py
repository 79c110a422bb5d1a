"""What runs may spend: it is reserved before each call, and counted with what the call taught.

A run spends of its own budget, of those of the runs above it, and of those that its namespace and its
principal have for a day or a month. Where none of these has a limit nothing is asked and nothing is
written.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from stepwell.clock import Clock
from stepwell.engine.budgets import CALLS, ROWS, TOKENS, USD_MICROS
from stepwell.engine.commands import model_call_id, tool_call_id
from stepwell.engine.events import Event, LlmCall, ToolCall
from stepwell.engine.state import RunState
from stepwell_storage.errors import Full, StorageError, Unavailable
from stepwell_storage.ports import Storage
from stepwell_storage.records import BudgetRow, Charge, Reservation, Short, Spent

NAMESPACE_DAY: Final = "namespace/day"
NAMESPACE_MONTH: Final = "namespace/month"
ANYBODY_DAY: Final = "principal:*/day"
"""What each principal may spend who has no budget of his own."""

LONGEST_CALL: Final = 3_600_000_000
"""Microseconds for which a reservation holds that nobody has asked for again."""
STALE: Final = 1_000_000
"""Microseconds after which what a day has taken is read anew."""

MOST_KNOWN: Final = 10_000
"""Principals whose day is remembered."""

RETRY: Final = 0.5
"""Seconds until the store is asked again that could not be used."""

log = logging.getLogger(__name__)


class Purse(Struct, frozen=True):
    """Where spending counts (`account`) and what limits it (`scope`); of a `run` it goes with that."""

    scope: str
    account: str
    run: str | None = None


class Spending:
    """Knows which budgets there are, from the store, a moment late."""

    def __init__(self, storage: Storage, *, clock: Clock, poll: timedelta) -> None:
        """`poll` is how often it looks for budgets that others have set."""
        self._storage = storage
        self._clock = clock
        self._poll = poll.total_seconds()
        self._scopes: Mapping[str, frozenset[str]] = {}
        self._today: dict[tuple[str, str], tuple[int, Mapping[str, int]]] = {}

    async def refresh(self) -> None:
        """Looks which budgets there are.

        Raises:
            StorageError: the store cannot be read.
        """
        scopes: dict[str, set[str]] = {}
        for namespace, row in await self._storage.budgets.shared():
            scopes.setdefault(namespace, set()).add(row.scope)
        self._scopes = {name: frozenset(found) for name, found in scopes.items()}

    async def run(self) -> None:
        """Looks again and again; for ever."""
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.refresh()
            except StorageError as error:
                log.warning("budgets cannot be read, trying again: %s", error)

    def is_limited(self, namespace: str, state: RunState) -> bool:
        """Whether anything limits what a run may spend."""
        return bool(state.limits or state.shares or namespace in self._scopes)

    async def reserve(
        self, namespace: str, state: RunState, key: str, amounts: Mapping[str, int | None]
    ) -> Short | None:
        """Reserves what a call may need, by unit, where None is what nobody knows; tells what is short.

        A store that cannot be used is waited for: nothing is called that may not be paid.
        """
        now = self._clock.now()
        charges = _charges(self._purses(namespace, state, now), amounts)
        if not charges:
            return None
        wanted = Reservation(state.run, key, charges, now + LONGEST_CALL)
        while True:
            try:
                return await self._storage.budgets.reserve(namespace, wanted, now=now)
            except (Full, Unavailable) as error:
                log.warning("run %s waits for the database: %s", state.run, error)
                await asyncio.sleep(RETRY)

    def spent(
        self, namespace: str, state: RunState, events: Iterable[tuple[Event, str]]
    ) -> list[Spent]:
        """What these events of a run tell of spending."""
        if not self.is_limited(namespace, state):
            return []
        return [
            Spent(told[0], _charges(self._purses(namespace, state, event.at), told[1]))
            for event, _ in events
            if (told := _told(event)) is not None
        ]

    async def usage_of_day(self, namespace: str, state: RunState) -> Mapping[str, int]:
        """What was spent today where that is counted, such as `calls_day` and `calls_namespace_day`.

        The first is that of the principal of a run. It may be a second old; older where the store cannot be read.
        """
        if namespace not in self._scopes:
            return {}
        now = self._clock.now()
        account, of_all = principal_account(state.principal, now), account_of(NAMESPACE_DAY, now)
        read_at, known = self._today.get((namespace, account), (0, {}))
        if now - read_at < STALE:
            return known
        try:
            used = await self._storage.budgets.used(namespace, [account, of_all])
        except StorageError as error:
            log.warning("what %s has spent cannot be read: %s", state.principal, error)
            return known
        known = {
            f"{it.unit}_{'namespace_day' if it.account == of_all else 'day'}": it.used + it.reserved
            for it in used
        }
        if len(self._today) > MOST_KNOWN:
            self._today.clear()
        self._today[namespace, account] = now, known
        return known

    def _purses(self, namespace: str, state: RunState, at: int) -> list[Purse]:
        runs = (*state.shares, state.run) if state.limits else state.shares
        purses = [Purse(run_scope(run), run_scope(run), run) for run in runs]
        scopes = self._scopes.get(namespace)
        if scopes:
            purses += _shared_purses(scopes, state.principal, at)
        return purses


def run_scope(run: str) -> str:
    """The scope, and the account, of a run's own budget."""
    return f"run:{run}"


def principal_scope(principal: str) -> str:
    """The scope of what a principal may spend in a day."""
    return f"principal:{principal}/day"


def principal_account(principal: str, at: int) -> str:
    """Where the spending of a principal counts on a day (UTC)."""
    return f"principal:{principal}/{_date(at):%Y-%m-%d}"


def account_of(scope: str, at: int) -> str:
    """Where the spending of a scope counts at a time; "" where that depends on who spends."""
    name, _, period = scope.rpartition("/")
    if scope == ANYBODY_DAY:
        return ""
    match period:
        case "day":
            return f"{name}/{_date(at):%Y-%m-%d}"
        case "month":
            return f"{name}/{_date(at):%Y-%m}"
        case _:
            return scope


def begun_at(scope: str, at: int) -> int:
    """When the day or the month of a scope has begun, in UTC microseconds."""
    begun = _date(at).replace(hour=0, minute=0, second=0, microsecond=0)
    if scope.endswith("/month"):
        begun = begun.replace(day=1)
    return int(begun.timestamp()) * 1_000_000


def budget_rows(state: RunState, at: int) -> tuple[BudgetRow, ...]:
    """The limits of a run that begins, as the store has them."""
    scope = run_scope(state.run)
    return tuple(
        BudgetRow(scope, unit, limit, state.principal, at, state.run)
        for unit, limit in state.limits.items()
    )


def _shared_purses(scopes: frozenset[str], principal: str, at: int) -> Iterable[Purse]:
    for scope in (NAMESPACE_DAY, NAMESPACE_MONTH):
        if scope in scopes:
            yield Purse(scope, account_of(scope, at))
    own = principal_scope(principal)
    for scope in (own, ANYBODY_DAY):
        if scope in scopes:
            yield Purse(scope, principal_account(principal, at))
            return


def _charges(purses: Iterable[Purse], amounts: Mapping[str, int | None]) -> tuple[Charge, ...]:
    return tuple(
        Charge(purse.scope, purse.account, unit, amount, purse.run)
        for purse in purses
        for unit, amount in amounts.items()
        if amount != 0  # nothing is never too much
    )


def _told(event: Event) -> tuple[str, dict[str, int | None]] | None:
    """The call that an event is the outcome of, and what it needed."""
    match event:
        case LlmCall(usage=usage):
            key = model_call_id(event.step, event.attempt, event.call)
            return key, {
                CALLS: 1,
                TOKENS: usage.input + usage.output,
                USD_MICROS: event.cost,
            }
        case ToolCall():
            return tool_call_id(event.step, event.attempt, event.call), {CALLS: 1, ROWS: event.rows}
        case _:
            return None


def _date(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC)
