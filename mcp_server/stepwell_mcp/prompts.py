"""`prompts/list`, `prompts/get`: the prompts of tools files and of wrapped servers."""

from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp_types import (
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
)

from stepwell.orchestrator.service import Service
from stepwell.tools.shelf import PromptOffer
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.errors import refusals
from stepwell_mcp.following import Follow, output_of, trace_of
from stepwell_mcp.icons import offered_icons
from stepwell_mcp.pages import page_of
from stepwell_mcp.results import Structured

KEEP_LIST: Final = 60_000
"""Milliseconds for which a client may keep the list, of whose changes it can be told."""


class Prompts:
    """The methods, over what a service has."""

    def __init__(self, service: Service, follow: Follow) -> None:
        self._service = service
        self._follow = follow

    def serve(self, server: Server[Any]) -> None:
        """Adds the methods to a server."""
        server.add_request_handler("prompts/list", PaginatedRequestParams, self.list)
        server.add_request_handler("prompts/get", GetPromptRequestParams, self.get)

    async def list(
        self, context: RequestContext, params: PaginatedRequestParams
    ) -> ListPromptsResult:
        """The prompts, by name."""
        caller = caller_of(context)
        with refusals():
            offers = await self._service.prompts.list_prompts(caller)
            prompts = [_prompt_of(offer) for offer in offers]
            page, cursor = page_of(prompts, params.cursor, key=lambda prompt: prompt.name)
        await context.lifespan_context.add(context.session, caller, "prompts")
        return ListPromptsResult(
            prompts=page, next_cursor=cursor, ttl_ms=KEEP_LIST, cache_scope="private"
        )

    async def get(
        self, context: RequestContext, params: GetPromptRequestParams
    ) -> GetPromptResult | InputRequiredResult:
        """The messages of a prompt; what somebody must be asked for first is asked for."""
        caller, name, given = caller_of(context), params.name, params.arguments or {}
        structured = Structured.of_version(context.protocol_version)
        with refusals():
            offer = self._service.prompts.find(caller, name)
            ended = await self._follow(
                context,
                params,
                lambda: self._service.prompts.get(caller, name, given, trace=trace_of(context)),
            )
            if isinstance(ended, InputRequiredResult):
                return ended
            output = output_of(self._service, ended)
        messages = [
            {**message, "content": structured.block(message["content"])}
            for message in output["messages"]
        ]
        description = output.get("description") or offer.description or None
        return GetPromptResult.model_validate({"description": description, "messages": messages})


def _prompt_of(offer: PromptOffer) -> Prompt:
    return Prompt(
        name=offer.name,
        title=offer.title or None,
        description=offer.description or None,
        arguments=[
            PromptArgument(
                name=argument.name,
                title=argument.title or None,
                description=argument.description or None,
                required=argument.required,
            )
            for argument in offer.arguments
        ]
        or None,
        icons=offered_icons(offer.icons),
        _meta=dict(offer.meta) or None,
    )
