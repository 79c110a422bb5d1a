"""Tools, as people look at them: what there is, where it comes from, and what was approved."""

from difflib import get_close_matches

from msgspec import Struct

from stepwell.errors import Code, Denied, NotFound
from stepwell.orchestrator.approvals import Factors, Proof, demand_factor
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.pins import Difference, Pinning
from stepwell.principals import DEFAULT_NAMESPACE, Caller
from stepwell.tools.mcp.server import Health
from stepwell.tools.mcp.servers import McpServers
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry


class Tool(Struct, frozen=True, kw_only=True):
    """A tool, and the server it is of; `suspended` tells why it may not be called now."""

    spec: ToolSpec
    server: str = ""
    suspended: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name


class Tools:
    """What a caller may ask about tools. Every method takes the caller first."""

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        servers: McpServers | None = None,
        pinning: Pinning | None = None,
        factors: Factors,
    ) -> None:
        self._registry = registry
        self._servers = servers
        self._pinning = pinning
        self._factors = factors

    async def list_tools(self, caller: Caller) -> tuple[Tool, ...]:
        """Every tool that there is, by name; those too that MCP clients are not offered."""
        owners = {
            name: health.name for health in await self.list_servers(caller) for name in health.tools
        }
        return tuple(
            Tool(
                spec=spec,
                server=owners.get(spec.name, ""),
                suspended=self._registry.suspension(spec.name),
            )
            for spec in self._registry.all()
        )

    async def get_tool(self, caller: Caller, name: str) -> Tool:
        """One tool.

        Raises:
            NotFound: TOOL_NOT_FOUND.
        """
        found = {tool.spec.name: tool for tool in await self.list_tools(caller)}
        if name in found:
            return found[name]
        near = [one for one in found if one.endswith(f"_{name}")] or get_close_matches(name, found)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NotFound(
            f"there is no tool {name!r}; {hint}`stepwell tools list` shows those that there are",
            code=Code.TOOL_NOT_FOUND,
        )

    async def list_servers(self, caller: Caller) -> tuple[Health, ...]:
        """The MCP servers of the settings, and how they are, by name."""
        return self._servers.health() if self._servers is not None else ()

    async def difference(self, caller: Caller, name: str) -> Difference:
        """How a tool differs from what was pinned of it.

        Raises:
            NotFound: TOOL_NOT_FOUND, or it has no pin.
        """
        tool = await self.get_tool(caller, name)
        if self._pinning is None or tool.spec.kind != "mcp":
            raise NotFound(
                f"{name} is a tool of your own, kind {tool.spec.kind}, and those are not pinned",
                code=Code.TOOL_NOT_FOUND,
            )
        return await self._pinning.difference(name)

    async def approve_definition(
        self, caller: Caller, name: str, definition: str, *, proof: Proof | None = None
    ) -> Tool:
        """Takes what a tool says now for good; `definition` is what the person has seen.

        Raises:
            Denied: POLICY_DENIED, the caller is no user of the namespace that the settings are of;
                FACTOR_REQUIRED or FACTOR_WRONG, of whoever has enrolled a factor.
            NotFound: TOOL_NOT_FOUND.
            InvalidRequest: it says something else by now.
            FailedPrecondition: NOT_APPLICABLE, there is nothing to approve.
        """
        demand_user(caller, "changed tools are approved", f"stepwell tools approve {name}")
        if caller.namespace != DEFAULT_NAMESPACE:
            raise Denied(
                f"MCP servers belong to the namespace {DEFAULT_NAMESPACE!r}, and their tools are "
                "approved there"
            )
        await self.difference(caller, name)
        await demand_factor(self._factors, caller, proof, definition)
        assert self._pinning is not None, "what has a difference has pins"
        await self._pinning.approve(caller, name, definition)
        self._registry.resume(name)
        return await self.get_tool(caller, name)
