"""BudgetService: what may be spent."""

from stepwell.orchestrator.budgets import Budget
from stepwell.orchestrator.service import Service
from stepwell.v1 import budget_service_pb2 as pb
from stepwell.v1 import budget_service_pb2_grpc as rpc
from stepwell_server import translate
from stepwell_server.interceptors import Context, current_caller


class BudgetServicer(rpc.BudgetServiceServicer):
    """Sets and raises budgets."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def SetBudget(
        self, request: pb.SetBudgetRequest, context: Context
    ) -> pb.SetBudgetResponse:
        """Sets limits of a scope."""
        limits = {it.unit: it.amount if it.HasField("amount") else None for it in request.limits}
        proof = translate.proof(request.proof)
        found = await self._service.budgets.set_budget(
            current_caller(), request.scope, limits, proof=proof
        )
        return pb.SetBudgetResponse(budgets=map(_message, found))

    async def DeleteBudget(
        self, request: pb.DeleteBudgetRequest, context: Context
    ) -> pb.DeleteBudgetResponse:
        """Takes a limit away."""
        proof = translate.proof(request.proof)
        await self._service.budgets.remove_budget(
            current_caller(), request.scope, request.unit, proof=proof
        )
        return pb.DeleteBudgetResponse()

    async def ListBudgets(
        self, request: pb.ListBudgetsRequest, context: Context
    ) -> pb.ListBudgetsResponse:
        """Those of the namespace and of principals, or that of a run."""
        caller, budgets = current_caller(), self._service.budgets
        if request.run:
            found = await budgets.get_run_budget(caller, translate.run_id(request.run))
        else:
            found = await budgets.list_budgets(caller)
        return pb.ListBudgetsResponse(budgets=map(_message, found))

    async def RaiseBudget(
        self, request: pb.RaiseBudgetRequest, context: Context
    ) -> pb.RaiseBudgetResponse:
        """Raises the budget of a run."""
        run = await self._service.budgets.raise_budget(
            current_caller(),
            translate.run_id(request.run),
            dict(request.limits),
            proof=translate.proof(request.proof),
        )
        return pb.RaiseBudgetResponse(run=translate.run(run))


def _message(view: Budget) -> pb.Budget:
    return pb.Budget(
        scope=view.scope,
        unit=view.unit,
        limit=view.limit,
        used=view.used,
        reserved=view.reserved,
        principal=view.principal,
        updated_at=translate.timestamp(view.updated_at),
    )
