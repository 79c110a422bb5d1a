"""WorkflowService: definitions."""

from functools import partial

from stepwell.orchestrator.service import Service
from stepwell.v1 import workflow_service_pb2 as pb
from stepwell.v1 import workflow_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.interceptors import Context, current_caller

_listed = partial(translate.workflow, with_source=False)


class WorkflowServicer(rpc.WorkflowServiceServicer):
    """Checks and keeps workflows."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def CheckWorkflow(
        self, request: pb.CheckWorkflowRequest, context: Context
    ) -> pb.CheckWorkflowResponse:
        """Everything that is wrong with a document."""
        problems = await self._service.check_workflow(current_caller(), request.source)
        return pb.CheckWorkflowResponse(problems=map(translate.problem, problems))

    async def PutWorkflow(
        self, request: pb.PutWorkflowRequest, context: Context
    ) -> pb.PutWorkflowResponse:
        """Stores a version."""
        workflow, created = await self._service.put_workflow(
            current_caller(), request.source, proof=translate.proof(request.proof)
        )
        return pb.PutWorkflowResponse(workflow=translate.workflow(workflow), created=created)

    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, context: Context
    ) -> pb.GetWorkflowResponse:
        """One version, with its source."""
        workflow = await self._service.get_workflow(
            current_caller(), request.name, request.version or None
        )
        return pb.GetWorkflowResponse(workflow=translate.workflow(workflow))

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, context: Context
    ) -> pb.ListWorkflowsResponse:
        """The newest version of every workflow."""
        page, token = paging.named(
            await self._service.list_workflows(current_caller()),
            _listed,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListWorkflowsResponse(workflows=page, next_page_token=token)
