"""What a client is told when the service itself is in trouble."""

from collections.abc import AsyncGenerator, Mapping

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from stepwell.engine.values import Json
from stepwell.errors import Code, Unavailable
from stepwell.orchestrator.catalog import Catalog, Kind
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, Workflow
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio


class Unwatched(Catalog):
    """Cannot be watched."""

    def __init__(self, trouble: Exception) -> None:
        self._trouble = trouble

    async def watch(self, caller: Caller) -> AsyncGenerator[frozenset[Kind], None]:
        raise self._trouble
        yield frozenset()


class Troubled(Service):
    """Has one tool, and fails at everything else."""

    def __init__(self, trouble: Exception) -> None:
        self._trouble = trouble
        self._tools = ToolRegistry()
        self.catalog = Unwatched(trouble)

    def tool_names(self, caller: Caller) -> frozenset[str]:
        return frozenset({"it"})

    async def list_tools(self, caller: Caller) -> tuple[ToolSpec, ...]:
        return (ToolSpec(name="it", description="", input_schema={"type": "object"}),)

    async def list_workflows(self, caller: Caller) -> tuple[Workflow, ...]:
        raise self._trouble

    async def call_tool(
        self,
        caller: Caller,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        request_id: str | None = None,
        trace: str = "",
    ) -> Run:
        raise self._trouble


async def told(trouble: Exception, mode: str) -> list[MCPError]:
    """What a client hears when it lists, and when it calls."""
    async with Client(build_server(Troubled(trouble)), mode=mode) as client:
        with pytest.raises(MCPError) as listing:
            await client.list_tools()
        with pytest.raises(MCPError) as calling:
            await client.call_tool("it", {})
    return [listing.value, calling.value]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_database_that_cannot_be_used_is_a_protocol_error_to_try_again(mode: str) -> None:
    full = Unavailable("the disk is full; make room", code=Code.STORAGE_FULL)
    for error in await told(full, mode):
        assert (error.code, error.message) == (INTERNAL_ERROR, "the disk is full; make room")
        assert error.data == {"code": "STORAGE_FULL", "retryable": True, "detail": {}}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_fault_of_ours_is_logged_and_not_shown(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    for error in await told(RuntimeError("secret at /home/me"), mode):
        assert error.code == INTERNAL_ERROR
        assert "secret" not in f"{error.message} {error.data}"
    assert "secret at /home/me" in caplog.text
