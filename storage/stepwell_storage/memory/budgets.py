"""What may be spent, and what is."""

from collections.abc import Sequence

from stepwell_storage.memory.database import (
    Database,
    KeptAmounts,
    KeptNamespace,
    KeptReservation,
)
from stepwell_storage.records import Append, BudgetRow, Charge, Reservation, Short, Used
from stepwell_storage.shortage import counted, shortage


class MemoryBudgets:
    """The budgets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: BudgetRow) -> None:
        self._database[namespace].budgets[row.scope, row.unit] = row

    async def remove(self, namespace: str, scope: str, unit: str) -> bool:
        return self._database[namespace].budgets.pop((scope, unit), None) is not None

    async def of_run(self, namespace: str, run: str) -> list[BudgetRow]:
        kept = self._database[namespace].budgets
        return [kept[key] for key in sorted(kept) if kept[key].run == run]

    async def shared(self) -> list[tuple[str, BudgetRow]]:
        return [
            (name, row)
            for name, _ in sorted(self._database.items())
            for row in await self.list(name)
        ]

    async def reserve(self, namespace: str, reservation: Reservation, *, now: int) -> Short | None:
        kept = self._database[namespace]
        key = reservation.run, reservation.key
        if key in kept.reservations:
            kept.reservations[key].expires_at = reservation.expires_at
            return None
        limits = {name: row.amount for name, row in kept.budgets.items()}
        charges = counted(reservation.charges, limits)
        short = shortage(charges, limits, _taken(kept))
        if short is not None and _expire(kept, now):
            short = shortage(charges, limits, _taken(kept))
        if short is not None or not charges:
            return short
        known = [it for it in charges if it.amount is not None]
        kept.reservations[key] = KeptReservation(known, reservation.expires_at)
        for charge in known:
            _account(kept, charge).reserved += charge.amount or 0
        return None

    async def used(self, namespace: str, accounts: Sequence[str]) -> list[Used]:
        kept = self._database[namespace].amounts
        return [
            Used(account, unit, it.used, it.reserved)
            for (account, unit), it in sorted(kept.items(), key=lambda item: item[0])
            if account in accounts
        ]

    async def list(self, namespace: str) -> list[BudgetRow]:
        kept = self._database[namespace].budgets
        return [kept[key] for key in sorted(kept) if kept[key].run is None]


def settle(kept: KeptNamespace, append: Append) -> None:
    """Makes budgets, counts what calls have needed, and gives back what was reserved."""
    for row in append.budgets:
        kept.budgets.setdefault((row.scope, row.unit), row)
    limits = {name: row.amount for name, row in kept.budgets.items()}
    for spent in append.spent:
        _give_back(kept, (append.run, spent.key))
        for charge in counted(spent.charges, limits):
            _account(kept, charge).used += charge.amount or 0
    if append.frees:
        for key in [key for key in kept.reservations if key[0] == append.run]:
            _give_back(kept, key)


def forget(kept: KeptNamespace, run: str) -> None:
    """Removes what goes with a run."""
    kept.budgets = {key: row for key, row in kept.budgets.items() if row.run != run}
    kept.amounts = {key: it for key, it in kept.amounts.items() if it.run != run}
    kept.reservations = {key: it for key, it in kept.reservations.items() if key[0] != run}


def _taken(kept: KeptNamespace) -> dict[tuple[str, str], int]:
    return {name: it.used + it.reserved for name, it in kept.amounts.items()}


def _account(kept: KeptNamespace, charge: Charge) -> KeptAmounts:
    return kept.amounts.setdefault((charge.account, charge.unit), KeptAmounts(run=charge.run))


def _give_back(kept: KeptNamespace, key: tuple[str, str]) -> None:
    reserved = kept.reservations.pop(key, None)
    for charge in reserved.charges if reserved else ():
        _account(kept, charge).reserved -= charge.amount or 0


def _expire(kept: KeptNamespace, now: int) -> bool:
    over = [key for key, it in kept.reservations.items() if it.expires_at <= now]
    for key in over:
        _give_back(kept, key)
    return bool(over)
