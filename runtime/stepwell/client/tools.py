"""What a client may ask about tools and the MCP servers that some are of."""

from typing import get_args

import msgspec

from stepwell.client.connection import Connection
from stepwell.client.decode import instant
from stepwell.client.encode import code_proof
from stepwell.client.types import ServerStatus, Tool, ToolChange, ToolServer
from stepwell.v1 import tool_service_pb2 as pb

_STATUS: dict[int, ServerStatus] = dict(enumerate(get_args(ServerStatus), 1))


class Tools:
    """`client.tools`: what may be called, and what was approved of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> tuple[Tool, ...]:
        """Every tool, by name, without its schemas."""
        found: tuple[Tool, ...] = ()
        request = pb.ListToolsRequest(page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.tools.ListTools, request)
            found += tuple(map(_tool, answer.tools))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def get(self, name: str) -> Tool:
        """One tool, with its schemas."""
        request = pb.GetToolRequest(name=name)
        return _tool((await self._connection.call(self._connection.tools.GetTool, request)).tool)

    async def servers(self) -> tuple[ToolServer, ...]:
        """The MCP servers of the settings, and how they are."""
        request = pb.ListServersRequest()
        answer = await self._connection.call(self._connection.tools.ListServers, request)
        return tuple(map(_server, answer.servers))

    async def change(self, name: str) -> ToolChange:
        """How a tool differs from what was pinned of it."""
        request = pb.GetToolChangeRequest(name=name)
        answer = await self._connection.call(self._connection.tools.GetToolChange, request)
        change = answer.change
        return ToolChange(
            tool=change.tool,
            server=change.server,
            pinned_definition=change.pinned_definition,
            offered_definition=change.offered_definition,
            pinned_by=change.pinned_by,
            pinned_at=instant(change.pinned_at),
            diff=change.diff,
        )

    async def approve(self, name: str, definition: str, *, code: str = "") -> Tool:
        """Takes what a tool says now for good: `offered_definition` of the change that was seen.

        `code` is a one-time code, wanted of whoever has enrolled one.
        """
        request = pb.ApproveDefinitionRequest(
            name=name, definition=definition, proof=code_proof(code)
        )
        answer = await self._connection.call(self._connection.tools.ApproveDefinition, request)
        return _tool(answer.tool)


def _tool(message: pb.Tool) -> Tool:
    return Tool(
        name=message.name,
        title=message.title,
        description=message.description,
        kind=message.kind,
        server=message.server,
        input_schema=_schema(message.input_schema),
        output_schema=_schema(message.output_schema),
        read_only=message.read_only,
        destructive=message.destructive if message.HasField("destructive") else None,
        idempotent=message.idempotent,
        open_world=message.open_world if message.HasField("open_world") else None,
        timeout=message.timeout.ToTimedelta() if message.HasField("timeout") else None,
        published=message.published,
        labels=tuple(message.labels),
        definition=message.definition,
        suspended=message.suspended,
    )


def _schema(text: str) -> object:
    return msgspec.json.decode(text) if text else None


def _server(message: pb.ToolServer) -> ToolServer:
    return ToolServer(
        name=message.name,
        transport=message.transport,
        status=_STATUS.get(message.status, "waiting"),
        tools=tuple(message.tools),
        suspended=tuple(message.suspended),
        refused=tuple(message.refused),
        product=message.product,
        protocol=message.protocol,
        starts=message.starts,
        problem=message.problem,
        words=message.words,
    )
