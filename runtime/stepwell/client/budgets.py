"""What a client may ask about budgets."""

from collections.abc import Mapping

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import code_proof, run_name
from stepwell.client.types import Budget, Run
from stepwell.v1 import budget_service_pb2 as pb


class Budgets:
    """`client.budgets`: what may be spent, by unit (`usd_micros`, `tokens`, `calls`, `rows`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set(
        self, scope: str, limits: Mapping[str, int | None], *, code: str = ""
    ) -> tuple[Budget, ...]:
        """Sets limits of a scope; None is counted only. Units that are not named stay as they are.

        A scope is `namespace/day`, `namespace/month`, `principal:NAME/day` or `principal:*/day`.
        `code` is a one-time code, for who has enrolled a factor; so it is below.
        """
        given = [pb.Limit(unit=unit, amount=amount) for unit, amount in limits.items()]
        request = pb.SetBudgetRequest(scope=scope, limits=given, proof=code_proof(code))
        answer = await self._connection.call(self._connection.budgets.SetBudget, request)
        return tuple(map(_budget, answer.budgets))

    async def delete(self, scope: str, unit: str, *, code: str = "") -> None:
        """Takes a limit away."""
        request = pb.DeleteBudgetRequest(scope=scope, unit=unit, proof=code_proof(code))
        await self._connection.call(self._connection.budgets.DeleteBudget, request)

    async def of_run(self, run: str) -> tuple[Budget, ...]:
        """That of a run; () where it has none of its own."""
        request = pb.ListBudgetsRequest(run=run_name(run))
        answer = await self._connection.call(self._connection.budgets.ListBudgets, request)
        return tuple(map(_budget, answer.budgets))

    async def raise_run(self, run: str, limits: Mapping[str, int], *, code: str = "") -> Run:
        """Lets a run, and those below it, spend up to these limits; what was paused goes on."""
        request = pb.RaiseBudgetRequest(run=run_name(run), limits=limits, proof=code_proof(code))
        answer = await self._connection.call(self._connection.budgets.RaiseBudget, request)
        return decode.run(answer.run)

    async def list(self) -> tuple[Budget, ...]:
        """Those of the namespace and of principals."""
        request = pb.ListBudgetsRequest()
        answer = await self._connection.call(self._connection.budgets.ListBudgets, request)
        return tuple(map(_budget, answer.budgets))


def _budget(message: pb.Budget) -> Budget:
    return Budget(
        scope=message.scope,
        unit=message.unit,
        limit=message.limit if message.HasField("limit") else None,
        used=message.used,
        reserved=message.reserved,
        principal=message.principal,
        updated_at=decode.instant(message.updated_at),
    )
