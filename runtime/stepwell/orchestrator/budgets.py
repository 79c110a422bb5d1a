"""Budgets: what may be spent by a run, by a principal in a day, by a namespace in a day or a month.

A run is given its own when it is started; here people raise that, and set the others. Whatever waits
because it had too little goes on when there is more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.engine.budgets import UNITS, amount_text
from stepwell.engine.inputs import RaiseBudget
from stepwell.errors import Code, FailedPrecondition, InvalidRequest, NotFound, StepwellError
from stepwell.orchestrator.approvals import Factors, Proof, demand_factor
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.deeds import deed
from stepwell.orchestrator.refusals import no_run, refusals
from stepwell.orchestrator.spending import (
    NAMESPACE_DAY,
    NAMESPACE_MONTH,
    Spending,
    account_of,
    run_scope,
)
from stepwell.orchestrator.views import Outcome, Run
from stepwell.principals import Caller
from stepwell_storage.ports import Storage
from stepwell_storage.records import BudgetRow, Condition, RunRow, Used

MOST: Final = 2**53
"""Of any unit: every program can hold it."""
PAGE: Final = 500
AT_ONCE: Final = 20
"""Runs that are told at a time that there is more."""

SCOPES: Final = f"{NAMESPACE_DAY}, {NAMESPACE_MONTH}, principal:NAME/day or principal:*/day"


class Budget(Struct, frozen=True, kw_only=True):
    """What a scope may spend of a unit; `limit` None is counted only. `used` is of this day or month.

    What `principal:*/day` has used depends on the principal, and is 0 here.
    """

    scope: str
    unit: str
    limit: int | None
    used: int
    reserved: int
    principal: str
    updated_at: int


class Budgets:
    """What a caller may ask about budgets. Every method takes the caller first."""

    def __init__(
        self,
        storage: Storage,
        *,
        spending: Spending | None,
        tell: Callable[[Caller, str, RaiseBudget], Awaitable[Run]],
        audit: Audit,
        clock: Clock,
        factors: Factors,
    ) -> None:
        """`tell` tells a run something, whoever owns it; `factors` prove who raises a budget."""
        self._storage = storage
        self._spending = spending
        self._tell = tell
        self._audit = audit
        self._clock = clock
        self._factors = factors

    async def set_budget(
        self,
        caller: Caller,
        scope: str,
        limits: Mapping[str, int | None],
        *,
        proof: Proof | None = None,
    ) -> tuple[Budget, ...]:
        """Sets limits by unit; None is counted and not limited. What is not named stays as it is.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user; FACTOR_REQUIRED, FACTOR_WRONG.
            InvalidRequest: INVALID_REQUEST, the scope or a limit is none.
        """
        demand_user(caller, "budgets are set", "stepwell budget set")
        _check_scope(scope)
        check_limits({unit: limit for unit, limit in limits.items() if limit is not None})
        await demand_factor(self._factors, caller, proof, deed("budget.set", scope))
        now = self._clock.now()
        with refusals():
            for unit, limit in limits.items():
                row = BudgetRow(scope, unit, limit, caller.principal, now)
                await self._storage.budgets.put(caller.namespace, row)
        told = {unit: "counted" if limit is None else str(limit) for unit, limit in limits.items()}
        await self._record(caller, "set", scope, told)
        await self._changed(caller, scope)
        return tuple(it for it in await self.list_budgets(caller) if it.scope == scope)

    async def remove_budget(
        self, caller: Caller, scope: str, unit: str, *, proof: Proof | None = None
    ) -> None:
        """Takes a limit away.

        Raises:
            Denied: as `set_budget`.
            NotFound: BUDGET_NOT_FOUND.
        """
        demand_user(caller, "budgets are removed", "stepwell budget remove")
        await demand_factor(self._factors, caller, proof, deed("budget.remove", scope))
        with refusals():
            is_gone = await self._storage.budgets.remove(caller.namespace, scope, unit)
        if not is_gone:
            raise NotFound(
                f"{scope} has no budget of {unit}; `stepwell budget list` shows all",
                code=Code.BUDGET_NOT_FOUND,
            )
        await self._record(caller, "remove", scope, {"unit": unit})
        await self._changed(caller, scope)

    async def list_budgets(self, caller: Caller) -> tuple[Budget, ...]:
        """Those of the namespace and of principals, by scope and unit."""
        with refusals():
            rows = await self._storage.budgets.list(caller.namespace)
            return await self._with_use(caller, rows)

    async def get_run_budget(self, caller: Caller, run: str) -> tuple[Budget, ...]:
        """That of a run, by unit; () where it has none of its own.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        with refusals(no_run(run)):
            await self._storage.runs.get(caller.namespace, run)
            rows = await self._storage.budgets.of_run(caller.namespace, run)
            return await self._with_use(caller, rows)

    async def raise_budget(
        self, caller: Caller, run: str, limits: Mapping[str, int], *, proof: Proof | None = None
    ) -> Run:
        """Lets a run, and the runs below it, spend up to these limits; what was paused goes on.

        Raises:
            Denied: as `set_budget`.
            NotFound: RUN_NOT_FOUND.
            InvalidRequest: INVALID_REQUEST, a limit is none.
            FailedPrecondition: RUN_ENDED; NOT_APPLICABLE, the run has no such budget, or more.
        """
        demand_user(caller, "budgets are raised", f"stepwell budget raise {run}")
        check_limits(limits)
        known = {it.unit: it.limit or 0 for it in await self.get_run_budget(caller, run)}
        for unit, limit in limits.items():
            if unit not in known:
                raise FailedPrecondition(
                    f"the run {run} has no budget of {unit}, so nothing of it is limited",
                    code=Code.NOT_APPLICABLE,
                )
            if limit < known[unit]:
                raise FailedPrecondition(
                    f"the run {run} may spend {amount_text(unit, known[unit])} already; a budget is "
                    "only raised",
                    code=Code.NOT_APPLICABLE,
                )
        await demand_factor(self._factors, caller, proof, deed("budget.raise", run))
        scope, now = run_scope(run), self._clock.now()
        with refusals():
            # Before the run hears of it: it tries again at once.
            for unit, limit in limits.items():
                row = BudgetRow(scope, unit, limit, caller.principal, now, run)
                await self._storage.budgets.put(caller.namespace, row)
        given = RaiseBudget(at=now, principal=caller.principal, limits=dict(limits))
        told = await self._tell(caller, run, given)
        await self._record(caller, "raise", scope, {it: str(limit) for it, limit in limits.items()})
        await self.ease(caller, scope)
        return told

    async def ease(self, caller: Caller, scope: str, *, paused_before: int | None = None) -> int:
        """Lets runs go on that are paused because this scope had too little; tells how many."""
        found = [
            row.run
            for row in await self._paused(caller)
            if scope in exhausted_scopes(row)
            and (paused_before is None or row.updated_at < paused_before)
        ]
        places = asyncio.Semaphore(AT_ONCE)

        async def tell(run: str) -> None:
            given = RaiseBudget(at=self._clock.now(), principal=caller.principal, scope=scope)
            async with places:
                try:
                    await self._tell(caller, run, given)
                except StepwellError:
                    return  # it has ended, or goes on already

        await asyncio.gather(*map(tell, found))
        return len(found)

    # --- inside ---------------------------------------------------------------------------

    async def _changed(self, caller: Caller, scope: str) -> None:
        if self._spending is not None:
            with refusals():
                await self._spending.refresh()
        await self.ease(caller, scope)

    async def _paused(self, caller: Caller) -> list[RunRow]:
        where = (Condition("status", "=", ("paused",)),)
        found: list[RunRow] = []
        before: tuple[int, str] | None = None
        while True:
            with refusals():
                rows = await self._storage.runs.list(
                    caller.namespace, limit=PAGE, before=before, where=where
                )
            found += rows
            if len(rows) < PAGE:
                return found
            before = rows[-1].created_at, rows[-1].run

    async def _with_use(self, caller: Caller, rows: list[BudgetRow]) -> tuple[Budget, ...]:
        now = self._clock.now()
        accounts = [it for it in {account_of(row.scope, now) for row in rows} if it]
        used = await self._storage.budgets.used(caller.namespace, accounts)
        by_account = {(it.account, it.unit): it for it in used}
        return tuple(
            _budget(row, by_account.get((account_of(row.scope, now), row.unit))) for row in rows
        )

    async def _record(
        self, caller: Caller, verb: str, scope: str, detail: Mapping[str, str]
    ) -> None:
        await self._audit.record(
            caller.namespace, caller.principal, f"budget.{verb}", f"budget/{scope}", detail
        )


def check_limits(limits: Mapping[str, int]) -> None:
    """Whether these are limits by unit.

    Raises:
        InvalidRequest: INVALID_REQUEST, with every one that is none.
    """
    problems = {}
    for unit, limit in limits.items():
        if unit not in UNITS:
            problems[unit] = f"is nothing that is limited; {', '.join(UNITS)} are"
        elif not 0 <= limit <= MOST:
            problems[unit] = f"is {limit}; it is a number from 0 to {MOST}"
    if problems:
        told = "; ".join(f"{unit} {problem}" for unit, problem in problems.items())
        raise InvalidRequest(told, detail=problems)


def exhausted_scopes(row: RunRow) -> frozenset[str]:
    """What a run that is paused waits for more of."""
    if not row.detail:
        return frozenset()
    outcome = msgspec.json.decode(row.detail, type=Outcome)
    return frozenset(it.about for it in outcome.waiting if it.on == "budget")


def _check_scope(scope: str) -> None:
    name, _, period = scope.rpartition("/")
    is_principal = name.startswith("principal:") and len(name) > len("principal:")
    if scope in (NAMESPACE_DAY, NAMESPACE_MONTH) or (is_principal and period == "day"):
        return
    problem = f"is {scope!r}; it is {SCOPES}"
    raise InvalidRequest(f"scope {problem}", detail={"scope": problem})


def _budget(row: BudgetRow, used: Used | None) -> Budget:
    return Budget(
        scope=row.scope,
        unit=row.unit,
        limit=row.amount,
        used=used.used if used else 0,
        reserved=used.reserved if used else 0,
        principal=row.principal,
        updated_at=row.updated_at,
    )
