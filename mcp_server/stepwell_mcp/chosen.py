"""What each request is shown, and may call, as its client has chosen and policy allows."""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import HandlerResult

from stepwell.engine.values import Json
from stepwell.orchestrator.service import Service
from stepwell.principals import Caller
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.catalog import Catalog, Catalogs
from stepwell_mcp.errors import not_chosen, not_read_only
from stepwell_mcp.meta_tools import answer
from stepwell_mcp.offers import reads_only
from stepwell_mcp.results import Structured
from stepwell_mcp.run_tools import RUN_TOOLS
from stepwell_mcp.selection import Kind, Offering, View, selection_of


class Chosen:
    """The choices of all requests of a server."""

    def __init__(self, service: Service, offering: Offering) -> None:
        self._service = service
        self._offering = offering
        self._catalogs = Catalogs(service, most_listed=offering.most_listed)
        self._last: Catalog | None = None
        self._listed: dict[str, Mapping[str, Any]] = {}

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """What a tool takes, as it was last listed: for the check of `Mcp-Param-*` headers.

        The SDK asks before the caller is known, and cannot wait. It is enough: only who has
        listed the tools knows which arguments to mirror into headers.
        """
        return self._listed.get(name)

    def view(self, context: RequestContext) -> View:
        """What a request has chosen.

        Raises:
            InvalidRequest: it names a toolset that is not there, or says what makes no sense.
        """
        return self._offering.view(selection_of(context))

    async def fill(self, context: RequestContext, result: HandlerResult) -> HandlerResult:
        """The answer to `tools/list` with a page of tools in it.

        The SDK checks what handlers answer against its types, tool by tool, which takes a
        thousand tools 50 ms; these were checked when their catalog was made.

        Raises:
            InvalidRequest: INVALID_CURSOR.
        """
        if not isinstance(result, dict):
            return result
        catalog = await self._catalog(context)
        cursor = (context.params or {}).get("cursor")
        tools, following = catalog.page(cursor, context.protocol_version)
        return {**result, "tools": tools, **({"nextCursor": following} if following else {})}

    async def about(
        self, context: RequestContext, name: str, arguments: Mapping[str, Json]
    ) -> Json:
        """What one of the meta tools tells about the others.

        Raises:
            InvalidRequest: INVALID_ARGUMENTS.
        """
        return answer(await self._catalog(context), name, arguments)

    def demand(self, context: RequestContext, caller: Caller, name: str) -> None:
        """Whether a client may call what it names, as it has chosen itself.

        Raises:
            MCPError: TOOL_NOT_FOUND, as for a tool that is not there.
        """
        view = self.view(context)
        if view.is_everything:
            return
        spec, following = self._service.find_tool(caller, name), RUN_TOOLS.get(name)
        is_reader = reads_only(following.definition) if following else bool(spec and spec.read_only)
        kind: Kind = "follow" if following else "tool"
        if view.admits(name, reads_only=is_reader, kind=kind):
            return
        if (spec or following) and view.admits(name, reads_only=True, kind=kind):
            raise not_read_only(name)
        raise not_chosen(name)

    async def _catalog(self, context: RequestContext) -> Catalog:
        any_root = Structured.of_version(context.protocol_version) is Structured.ANYTHING
        caller, view = caller_of(context), self.view(context)
        catalog = await self._catalogs.of(caller, view, any_root=any_root)
        if catalog is not self._last:
            self._last = catalog
            schemas = {name: tool.input_schema for name, tool in catalog.by_name.items()}
            self._listed.update(schemas)
        return catalog
