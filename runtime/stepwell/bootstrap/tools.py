"""The tools that there are: ours, the user's own, and those of MCP servers."""

from dataclasses import dataclass

from stepwell.bootstrap.databases import DatabaseParts
from stepwell.bootstrap.ground import Ground
from stepwell.orchestrator.pins import Pinning
from stepwell.tools.http import HttpTool
from stepwell.tools.loading import load_tools
from stepwell.tools.mcp.servers import McpServers
from stepwell.tools.process import ProcessPool
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolParts:
    """The registry, and what fills it while the runtime is up."""

    registry: ToolRegistry
    servers: McpServers
    pinning: Pinning
    shelf: Shelf


def tool_parts(ground: Ground, databases: DatabaseParts, processes: ProcessPool) -> ToolParts:
    """All tools but those of the servers, which join once these are running.

    Raises:
        SetupError: a tool cannot be loaded.
    """
    settings, shelf = ground.settings, Shelf()
    registry = ToolRegistry()
    for tool in (
        *databases.tools,
        *load_tools(settings.tools.paths, processes=processes, shelf=shelf),
    ):
        registry.add(tool)
    for name, request in settings.tools.http.items():
        registry.add(HttpTool(name, request, secrets=ground.secrets))
    pinning = Pinning(ground.storage, ground.clock)
    servers = McpServers(
        settings.tools.servers,
        registry=registry,
        admission=pinning,
        secrets=ground.secrets,
        shelf=shelf,
    )
    return ToolParts(registry=registry, servers=servers, pinning=pinning, shelf=shelf)
