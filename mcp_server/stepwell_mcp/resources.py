"""`resources/list`, `resources/templates/list`, `resources/read`: ours, those of tools files, others'."""

from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp_types import (
    Annotations,
    EmptyResult,
    InputRequiredResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from stepwell.orchestrator.resources import contents_of
from stepwell.orchestrator.service import Service
from stepwell.tools import shelf
from stepwell_mcp import own_resources
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.errors import missing, refusals
from stepwell_mcp.following import Follow, output_of, trace_of
from stepwell_mcp.icons import offered_icons
from stepwell_mcp.own_resources import Held
from stepwell_mcp.pages import page_of
from stepwell_mcp.updates import subscribe

KEEP_LIST: Final = 5_000
"""Milliseconds for which a client may keep a list: workflows and datasources change without a word."""
KEEP_TEMPLATES: Final = 60_000
"""Milliseconds for which it may keep the templates, of whose changes it can be told."""


class Resources:
    """The methods, over what a service has."""

    def __init__(self, service: Service, follow: Follow) -> None:
        self._service = service
        self._follow = follow

    def serve(self, server: Server[Any]) -> None:
        """Adds the methods to a server."""
        server.add_request_handler("resources/list", PaginatedRequestParams, self.list)
        server.add_request_handler(
            "resources/templates/list", PaginatedRequestParams, self.list_templates
        )
        server.add_request_handler("resources/read", ReadResourceRequestParams, self.read)
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
        server.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe
        )

    async def list(
        self, context: RequestContext, params: PaginatedRequestParams
    ) -> ListResourcesResult:
        """What has one URI, in the order of the URIs."""
        caller = caller_of(context)
        with refusals():
            offers = await self._service.resources.list_resources(caller)
            ours = await own_resources.listed(self._service, caller)
            everything = sorted(
                [*map(resource_of, offers), *ours], key=lambda resource: resource.uri
            )
            page, cursor = page_of(everything, params.cursor, key=lambda resource: resource.uri)
        await context.lifespan_context.add(context.session, caller, "resources")
        return ListResourcesResult(
            resources=page, next_cursor=cursor, ttl_ms=KEEP_LIST, cache_scope="private"
        )

    async def list_templates(
        self, context: RequestContext, params: PaginatedRequestParams
    ) -> ListResourceTemplatesResult:
        """What has many URIs, in the order of the templates."""
        caller = caller_of(context)
        with refusals():
            offers = await self._service.resources.list_templates(caller)
            ours = [own.offer for own in own_resources.OWN]
            everything = sorted([*map(_template_of, offers), *ours], key=_text_of)
            page, cursor = page_of(everything, params.cursor, key=_text_of)
        await context.lifespan_context.add(context.session, caller, "resources")
        return ListResourceTemplatesResult(
            resource_templates=page,
            next_cursor=cursor,
            ttl_ms=KEEP_TEMPLATES,
            cache_scope="private",
        )

    async def read(
        self, context: RequestContext, params: ReadResourceRequestParams
    ) -> ReadResourceResult | InputRequiredResult:
        """What is at a URI; what somebody must be asked for first is asked for."""
        with refusals(), missing(params.uri, context.protocol_version):
            held = await self._read(context, params)
        if isinstance(held, InputRequiredResult):
            return held
        return ReadResourceResult.model_validate(
            {"contents": held.contents, "ttlMs": held.keep_ms, "cacheScope": "private"}
        )

    async def subscribe(
        self, context: RequestContext, params: SubscribeRequestParams
    ) -> EmptyResult:
        """Tells an older client from now on when a resource holds something else."""
        with refusals(), missing(params.uri, context.protocol_version):
            await subscribe(self._service, context, params.uri)
        return EmptyResult()

    async def unsubscribe(
        self, context: RequestContext, params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Tells it no more; of what it did not follow it is not told anyway."""
        context.lifespan_context.end(context.session, params.uri)
        return EmptyResult()

    async def _read(
        self, context: RequestContext, params: ReadResourceRequestParams
    ) -> Held | InputRequiredResult:
        uri, caller, trace = params.uri, caller_of(context), trace_of(context)
        if own_resources.is_own(uri):
            held = await own_resources.read(self._service, caller, uri, trace=trace)
            if held.begin is None:
                return held
            # Begun only where no run goes on already, of which the client was asked something.
            ended = await self._follow(context, params, held.begin)
            if isinstance(ended, InputRequiredResult):
                return ended
            return own_resources.held(uri, output_of(self._service, ended))
        found = self._service.resources.find(caller, uri)
        ended = await self._follow(
            context, params, lambda: self._service.resources.read(caller, uri, trace=trace)
        )
        if isinstance(ended, InputRequiredResult):
            return ended
        return Held(contents_of(found, uri, output_of(self._service, ended)))


def resource_of(offer: shelf.ResourceOffer) -> Resource:
    """A resource as clients are offered it."""
    return Resource(
        uri=offer.uri,
        name=offer.name,
        title=offer.title or None,
        description=offer.description or None,
        mime_type=offer.mime or None,
        size=offer.size,
        icons=offered_icons(offer.icons),
        annotations=_annotations(offer),
        _meta=dict(offer.meta) or None,
    )


def _template_of(offer: shelf.ResourceOffer) -> ResourceTemplate:
    return ResourceTemplate(
        uri_template=offer.uri,
        name=offer.name,
        title=offer.title or None,
        description=offer.description or None,
        mime_type=offer.mime or None,
        icons=offered_icons(offer.icons),
        annotations=_annotations(offer),
        _meta=dict(offer.meta) or None,
    )


def _annotations(offer: shelf.ResourceOffer) -> Annotations | None:
    return Annotations.model_validate(dict(offer.annotations)) if offer.annotations else None


def _text_of(offer: ResourceTemplate) -> str:
    return offer.uri_template
