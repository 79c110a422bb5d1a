"""The resources and prompts of a server, on our shelf, and the tools by which they are got.

`resource.SERVER` reads any of its resources, `prompt.SERVER` gets any of its prompts. They are ours: what
policy says of them is said of all that the server has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import mcp_types
import msgspec
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    GetPromptRequest,
    GetPromptResult,
    InputRequiredResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequest,
    ReadResourceResult,
    ResourceTemplateReference,
)
from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from stepwell.engine.values import Data, Json
from stepwell.engine.wording import bounded
from stepwell.errors import Code, StepwellError
from stepwell.tools.mcp.calls import Wanted
from stepwell.tools.mcp.describe import MOST_NAME, prefix_of, seen, shown_icons
from stepwell.tools.mcp.tool import Host, McpTool
from stepwell.tools.outcomes import described
from stepwell.tools.port import ToolFailed, ToolSpec
from stepwell.tools.rate import Rate
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import (
    Argument,
    Completer,
    Offer,
    PromptOffer,
    ResourceOffer,
    Shelf,
    is_ours,
)
from stepwell.tools.uris import MOST_CHARACTERS, is_uri, template

MOST_OFFERS: Final = 1000
"""Resources, templates or prompts of one server that are offered."""
PATIENCE: Final = 5.0
"""Seconds that a server has to list what it has, or to complete an argument."""

Reference: TypeAlias = ResourceTemplateReference | PromptReference
_READING: Final = TypeAdapter[Any](ReadResourceResult | InputRequiredResult)
_PROMPT: Final = TypeAdapter[Any](GetPromptResult | InputRequiredResult)

_logger = logging.getLogger(__name__)


class Listed(Struct, frozen=True):
    """What a server has besides tools, as far as it is offered, and what is to be said of the rest."""

    resources: Sequence[mcp_types.Resource] = ()
    templates: Sequence[mcp_types.ResourceTemplate] = ()
    prompts: Sequence[mcp_types.Prompt] = ()
    troubles: tuple[str, ...] = ()


async def listed(client: Client) -> Listed:
    """Everything that a server says it has besides tools."""
    can, session = client.server_capabilities, client.session
    troubles: list[str] = []

    async def every(what: str, ask: Callable[..., Awaitable[Any]], field: str) -> list[Any]:
        found: list[Any] = []
        cursor: str | None = ""
        try:
            async with asyncio.timeout(PATIENCE):
                while cursor is not None and len(found) <= MOST_OFFERS:
                    page = await ask(params=PaginatedRequestParams(cursor=cursor or None))
                    found += getattr(page, field)
                    cursor = page.next_cursor or None
        except (MCPError, ValidationError, TimeoutError) as error:
            troubles.append(f"its {what} cannot be listed: {described(error)}")
        if len(found) > MOST_OFFERS:
            troubles.append(f"the server has more than {MOST_OFFERS} {what}, which are all offered")
        return found[:MOST_OFFERS]

    has_resources, has_prompts = can.resources is not None, can.prompts is not None
    return Listed(
        await every("resources", session.list_resources, "resources") if has_resources else (),
        await every("templates", session.list_resource_templates, "resource_templates")
        if has_resources
        else (),
        await every("prompts", session.list_prompts, "prompts") if has_prompts else (),
        tuple(troubles),
    )


class Shelved:
    """What one server has on the shelf."""

    def __init__(
        self,
        server: str,
        host: Host,
        *,
        shelf: Shelf,
        registry: ToolRegistry,
        rate: int,
        timeout: int,
        labels: frozenset[str],
        keeps_names: bool,
    ) -> None:
        self._server = server
        self._host = host
        self._shelf = shelf
        self._registry = registry
        self._prefix = "" if keeps_names else prefix_of(server)
        place = prefix_of(server)[:-1]
        common = {"timeout": timeout, "labels": labels}
        self._reader = McpTool(
            reader := _spec("resource", place, f"Reads a resource of {server}.", common),
            host,
            rate=Rate(rate),
            wanted=partial(_reading_of, reader),
        )
        self._prompter = McpTool(
            prompter := _spec("prompt", place, f"Gets a prompt of {server}.", common),
            host,
            rate=Rate(rate),
            wanted=partial(_prompt_of, prompter),
        )

    def put(self, found: Listed, *, completes: bool) -> tuple[str, ...]:
        """Puts what the server has now on the shelf, and takes off what it has left; tells troubles.

        `completes` tells whether it completes arguments.
        """
        troubles = list(found.troubles)
        offers: list[Offer] = []
        for tool, made in (
            (self._reader, self._resources(found, troubles, completes=completes)),
            (self._prompter, self._prompts(found, completes=completes)),
        ):
            if made and self._is_registered(tool, troubles):
                offers += made
        left_out = self._shelf.stock(self._server, offers)
        troubles += [f"{_named(one)} is another's already" for one in left_out]
        return tuple(bounded(seen(one), 300) for one in troubles)

    def updated(self, uri: str) -> None:
        """Tells who follows it that a resource has changed."""
        found = self._shelf.find(uri)
        if found is not None and found.offer.owner == self._server:
            self._shelf.changed(uri)

    def _is_registered(self, tool: McpTool, troubles: list[str]) -> bool:
        there = self._registry.get(tool.spec.name)
        if there is None:
            try:
                self._registry.add(tool)
            except StepwellError as error:
                troubles.append(error.message)
                return False
        elif there is not tool:
            troubles.append(f"another tool is named {tool.spec.name}, which reads them; rename it")
            return False
        return True

    def _resources(
        self, found: Listed, troubles: list[str], *, completes: bool
    ) -> list[ResourceOffer]:
        offers: dict[str, ResourceOffer] = {}
        for one in found.resources:
            if not is_uri(one.uri) or len(one.uri) > MOST_CHARACTERS:
                troubles.append(f"{one.uri!r} is no URI of a resource")
                continue
            offers[one.uri] = ResourceOffer(
                uri=one.uri, size=one.size, **self._said_of_resource(one)
            )
        for pattern in found.templates:
            try:
                parts = template(pattern.uri_template)
            except ValueError as error:
                troubles.append(str(error))
                continue
            ref = ResourceTemplateReference(uri=pattern.uri_template)
            offers[parts.text] = ResourceOffer(
                uri=parts.text,
                template=parts if parts.variables else None,
                complete=self._completers(ref, parts.variables) if completes else {},
                **self._said_of_resource(pattern),
            )
        return list(offers.values())

    def _said_of_resource(self, one: mcp_types.Resource | mcp_types.ResourceTemplate) -> Any:
        notes = one.annotations
        return {
            **self._said(one),
            "name": bounded(seen(one.name), MOST_NAME),
            "tool": self._reader.spec.name,
            "mime": bounded(seen(one.mime_type or ""), MOST_NAME),
            "annotations": {}
            if notes is None
            else notes.model_dump(mode="json", by_alias=True, exclude_none=True),
        }

    def _prompts(self, found: Listed, *, completes: bool) -> list[PromptOffer]:
        offers: dict[str, PromptOffer] = {}
        for one in found.prompts:
            arguments = (one.arguments or [])[:MOST_NAME]
            name = self._prefix + bounded(seen(one.name), MOST_NAME)
            ref = PromptReference(name=one.name)
            offers[name] = PromptOffer(
                **self._said(one),
                name=name,
                tool=self._prompter.spec.name,
                upstream=one.name,
                arguments=tuple(map(_argument_of, arguments)),
                complete=self._completers(ref, [argument.name for argument in arguments])
                if completes
                else {},
            )
        return list(offers.values())

    def _said(
        self, one: mcp_types.Resource | mcp_types.ResourceTemplate | mcp_types.Prompt
    ) -> dict[str, Any]:
        return {
            "title": seen(one.title or ""),
            "description": seen(one.description or ""),
            "icons": shown_icons(one.icons or ()),
            "owner": self._server,
        }

    def _completers(self, ref: Reference, names: Iterable[str]) -> Mapping[str, Completer]:
        return {name: partial(self._complete, ref, name) for name in names}

    async def _complete(
        self, ref: Reference, name: str, typed: str, others: Mapping[str, str]
    ) -> Sequence[str]:
        """What the server says that an argument may be; nothing when it does not say so in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                client = await self._host.session(self._reader.spec.name)
                found = await client.session.complete(
                    ref, {"name": name, "value": typed}, dict(others) or None
                )
        except (MCPError, TimeoutError, ToolFailed) as error:
            _logger.info("the MCP server %s completes nothing: %s", self._server, error)
            return ()
        return tuple(seen(value) for value in found.completion.values)


# --- what is asked for --------------------------------------------------------------------


def _spec(role: Any, place: str, description: str, common: dict[str, Any]) -> ToolSpec:
    """What reads the resources, or gets the prompts, of a server."""
    text = {"type": "string"}
    properties: dict[str, Any] = (
        {"uri": text}
        if role == "resource"
        else {"name": text, "arguments": {"type": "object", "additionalProperties": text}}
    )
    return ToolSpec(
        name=f"{role}.{place}",
        description=description,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
        read_only=True,
        idempotent=True,
        destructive=False,
        kind="mcp",
        role=role,
        **common,
    )


def _reading_of(spec: ToolSpec, arguments: dict[str, Json]) -> Wanted:
    def request(more: dict[str, Any]) -> ReadResourceRequest:
        return ReadResourceRequest.model_validate({"params": {**arguments, **more}})

    def value(result: ReadResourceResult, limit: int) -> Data:
        asked, contents = arguments["uri"], _wire(result)["contents"]
        # Nobody else speaks for a resource of ours.
        own = [{**part, "uri": asked} if is_ours(part["uri"]) else part for part in contents]
        return _whole(asked, {"contents": own}, limit)

    return Wanted(spec=spec, name=arguments["uri"], request=request, answer=_READING, value=value)


def _prompt_of(spec: ToolSpec, arguments: dict[str, Json]) -> Wanted:
    def request(more: dict[str, Any]) -> GetPromptRequest:
        return GetPromptRequest.model_validate({"params": {**arguments, **more}})

    def value(result: GetPromptResult, limit: int) -> Data:
        found = _wire(result)
        said = {"description": seen(result.description)} if result.description else {}
        return _whole(arguments["name"], {**said, "messages": found["messages"]}, limit)

    return Wanted(spec=spec, name=arguments["name"], request=request, answer=_PROMPT, value=value)


def _wire(result: ReadResourceResult | GetPromptResult) -> dict[str, Any]:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


def _whole(name: str, value: Json, limit: int) -> Data:
    """A value as long as it may be; half of it would be of no use."""
    size = len(msgspec.json.encode(value))
    if size > limit:
        raise ToolFailed(
            f"{name} has {size} bytes, and {limit} are taken from its server; `max_result` in "
            "config.toml allows more",
            code=Code.INVALID_RESULT,
            retryable=False,
        )
    return Data(value)


# --- what is said of it -------------------------------------------------------------------


def _argument_of(argument: mcp_types.PromptArgument) -> Argument:
    return Argument(
        name=bounded(seen(argument.name), MOST_NAME),
        title=seen(argument.title or ""),
        description=seen(argument.description or ""),
        required=bool(argument.required),
    )


def _named(offer: Offer) -> str:
    return offer.uri if isinstance(offer, ResourceOffer) else f"the prompt {offer.name}"
