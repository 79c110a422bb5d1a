"""ToolService: what may be called, and what was approved of it."""

import msgspec

from stepwell.orchestrator.pins import Difference
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.tools import Tool
from stepwell.tools.mcp.server import Health
from stepwell.v1 import tool_service_pb2 as pb
from stepwell.v1 import tool_service_pb2_grpc as rpc
from stepwell_server import paging
from stepwell_server.interceptors import Context, current_caller
from stepwell_server.translate import duration, proof, timestamp

_STATUS = {
    "starting": pb.SERVER_STATUS_STARTING,
    "ready": pb.SERVER_STATUS_READY,
    "waiting": pb.SERVER_STATUS_WAITING,
    "stopped": pb.SERVER_STATUS_STOPPED,
}


class ToolServicer(rpc.ToolServiceServicer):
    """Tells what may be called, and approves what has changed."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ListTools(
        self, request: pb.ListToolsRequest, context: Context
    ) -> pb.ListToolsResponse:
        """Every tool, by name."""
        page, token = paging.named(
            await self._service.tools.list_tools(current_caller()),
            _message,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListToolsResponse(tools=page, next_page_token=token)

    async def GetTool(self, request: pb.GetToolRequest, context: Context) -> pb.GetToolResponse:
        """One tool, with its schemas."""
        tool = await self._service.tools.get_tool(current_caller(), request.name)
        return pb.GetToolResponse(tool=_whole(tool))

    async def ListServers(
        self, request: pb.ListServersRequest, context: Context
    ) -> pb.ListServersResponse:
        """The MCP servers, and how they are."""
        servers = await self._service.tools.list_servers(current_caller())
        return pb.ListServersResponse(servers=map(_server, servers))

    async def GetToolChange(
        self, request: pb.GetToolChangeRequest, context: Context
    ) -> pb.GetToolChangeResponse:
        """How a tool differs from its pin."""
        change = await self._service.tools.difference(current_caller(), request.name)
        return pb.GetToolChangeResponse(change=_change(change))

    async def ApproveDefinition(
        self, request: pb.ApproveDefinitionRequest, context: Context
    ) -> pb.ApproveDefinitionResponse:
        """Pins what a tool says now."""
        tool = await self._service.tools.approve_definition(
            current_caller(),
            request.name,
            request.definition,
            proof=proof(request.proof),
        )
        return pb.ApproveDefinitionResponse(tool=_whole(tool))


def _message(tool: Tool) -> pb.Tool:
    spec = tool.spec
    return pb.Tool(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        kind=spec.kind,
        server=tool.server,
        read_only=spec.read_only,
        destructive=spec.destructive,
        idempotent=spec.idempotent,
        open_world=spec.open_world,
        timeout=None if spec.timeout is None else duration(spec.timeout),
        published=spec.published,
        labels=sorted(spec.labels),
        definition=spec.definition,
        suspended=tool.suspended,
    )


def _whole(tool: Tool) -> pb.Tool:
    message = _message(tool)
    message.input_schema = msgspec.json.encode(tool.spec.input_schema).decode()
    if tool.spec.output_schema is not None:
        message.output_schema = msgspec.json.encode(tool.spec.output_schema).decode()
    return message


def _server(health: Health) -> pb.ToolServer:
    return pb.ToolServer(
        name=health.name,
        transport=health.transport,
        status=_STATUS[health.status],
        tools=health.tools,
        suspended=health.suspended,
        refused=health.refused,
        product=health.product,
        protocol=health.protocol,
        starts=health.starts,
        problem=health.problem,
        words=health.words,
    )


def _change(change: Difference) -> pb.ToolChange:
    return pb.ToolChange(
        tool=change.tool,
        server=change.server,
        pinned_definition=change.pinned,
        offered_definition=change.offered,
        pinned_by=change.pinned_by,
        pinned_at=timestamp(change.pinned_at),
        diff=change.diff,
    )
