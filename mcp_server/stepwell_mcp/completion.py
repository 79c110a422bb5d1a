"""`completion/complete`: what an argument of a prompt, or a variable of a template, may be."""

from typing import Any

from mcp.server.lowlevel import Server
from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from stepwell.orchestrator.resources import Values
from stepwell.orchestrator.service import Service
from stepwell_mcp import own_resources
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.errors import missing, refusals


class Completions:
    """The method, over what a service has."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def serve(self, server: Server[Any]) -> None:
        """Adds the method to a server."""
        server.add_request_handler("completion/complete", CompleteRequestParams, self.complete)

    async def complete(
        self, context: RequestContext, params: CompleteRequestParams
    ) -> CompleteResult:
        """At most a hundred values, those that fit best first; none where nothing is known."""
        uri = "" if isinstance(params.ref, PromptReference) else params.ref.uri
        with refusals(), missing(uri, context.protocol_version):
            found = await self._found(context, params)
        return CompleteResult(
            completion=Completion(
                values=[*found.values], total=found.total, has_more=found.has_more
            )
        )

    async def _found(self, context: RequestContext, params: CompleteRequestParams) -> Values:
        caller, asked, ref = caller_of(context), params.argument, params.ref
        others = (params.context.arguments if params.context else None) or {}
        if isinstance(ref, PromptReference):
            return await self._service.prompts.complete(
                caller, ref.name, asked.name, asked.value, others
            )
        if own_resources.is_own(ref.uri):
            return await own_resources.complete(self._service, caller, ref.uri, asked.value)
        return await self._service.resources.complete(
            caller, ref.uri, asked.name, asked.value, others
        )
