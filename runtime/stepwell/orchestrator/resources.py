"""What callers may read of tools files and of wrapped servers. Reading is a call of a read-only tool."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import Code, NotFound
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller
from stepwell.tools.completion import parsed
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import Found, Offer, PromptOffer, ResourceOffer, Shelf

OfferT = TypeVar("OfferT", ResourceOffer, PromptOffer)

MOST_VALUES: Final = 100
"""Values that one completion has."""


class CallTool(Protocol):
    """Begins a call, as `Service.call_tool` does."""

    def __call__(
        self, caller: Caller, tool: str, arguments: Mapping[str, Json], *, trace: str = ""
    ) -> Awaitable[Run]:
        """Calls a tool, as a run."""
        ...


Hidden = Callable[[Caller, Sequence[str]], frozenset[str]]
"""Which of these tools policy denies the caller whatever he asks."""
DemandScopes = Callable[[Caller, str], None]
"""Refuses an access token that does not cover the use of a tool."""


class Values(Struct, frozen=True):
    """What an argument may be; `total` is how many values there are, as far as that is known."""

    values: tuple[str, ...] = ()
    total: int = 0
    has_more: bool = False


class Lending(Struct, frozen=True):
    """What is on the shelf, and how and to whom it is given: for resources and prompts alike."""

    shelf: Shelf
    registry: ToolRegistry
    call_tool: CallTool
    hidden: Hidden
    demand_scopes: DemandScopes

    def shown(self, caller: Caller, offers: tuple[OfferT, ...]) -> tuple[OfferT, ...]:
        """The offers that a caller may ask for."""
        withheld = self.hidden(caller, [offer.tool for offer in offers])
        return tuple(it for it in offers if it.tool not in withheld) if withheld else offers


class Resources:
    """What a caller may ask about resources. Every method takes the caller first."""

    def __init__(self, lending: Lending) -> None:
        self._shelf = lending.shelf
        self._lending = lending

    async def list_resources(self, caller: Caller) -> tuple[ResourceOffer, ...]:
        """Those that have one URI, by it, but for what policy denies the caller in any case."""
        return self._lending.shown(caller, self._shelf.resources())

    async def list_templates(self, caller: Caller) -> tuple[ResourceOffer, ...]:
        """The templates, by their text, but for what policy denies the caller in any case."""
        return self._lending.shown(caller, self._shelf.templates())

    def find(self, caller: Caller, uri: str) -> Found:
        """The resource of a URI.

        Raises:
            NotFound: RESOURCE_NOT_FOUND.
        """
        found = self._shelf.find(uri)
        if found is None:
            raise no_resource(uri)
        return found

    def follow(self, caller: Caller, uri: str) -> None:
        """Whether a caller may be told of changes of the resource of a URI.

        Raises:
            NotFound: RESOURCE_NOT_FOUND, also where policy denies him to read it whatever he asks.
            InsufficientScope: his access token does not cover it.
        """
        self._check(caller, self.find(caller, uri).offer, uri)

    def reader(self, uri: str) -> str:
        """The name of the tool that reads a URI; "" where there is none."""
        found = self._shelf.find(uri)
        return "" if found is None else found.offer.tool

    async def read(self, caller: Caller, uri: str, *, trace: str = "") -> Run:
        """Begins to read a resource; the output of the run is what `contents_of` takes.

        Raises:
            NotFound: RESOURCE_NOT_FOUND.
            InvalidRequest: INVALID_ARGUMENTS, the URI does not fit what the resource takes.
            FailedPrecondition: TOOL_SUSPENDED.
        """
        offer, values = (found := self.find(caller, uri)).offer, found.values
        tool = self._lending.registry.get(offer.tool)
        if tool is None:
            raise no_resource(uri)
        given = {"uri": uri} if offer.owner else parsed(tool.spec.input_schema, values)
        return await self._lending.call_tool(caller, offer.tool, given, trace=trace)

    async def complete(
        self, caller: Caller, uri: str, variable: str, typed: str, others: Mapping[str, str]
    ) -> Values:
        """What a variable of a template may be; nothing where that is not known.

        Raises:
            NotFound: RESOURCE_NOT_FOUND, there is no such template, or policy denies the caller to
                read any of it.
            InsufficientScope: his access token does not cover it.
        """
        offer = self._shelf.template(uri)
        if offer is None:
            raise no_resource(uri)
        self._check(caller, offer, uri)
        return await completed(offer, variable, typed, others)

    def on_changed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after each change of the lists, until what is answered is called."""
        return self._shelf.listen(lambda change: listener() if change == "resources" else None)

    def on_updated(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls `listener` with each URI of which another content is told, until the answer is called."""
        return self._shelf.follow(listener)

    def _check(self, caller: Caller, offer: ResourceOffer, uri: str) -> None:
        if not self._lending.shown(caller, (offer,)):
            raise no_resource(uri)
        self._lending.demand_scopes(caller, offer.tool)


def contents_of(found: Found, uri: str, output: Json) -> list[dict[str, Any]]:
    """What was read, with the URI and the type where the resource did not say them itself."""
    named: dict[str, Any] = {"uri": uri}
    if found.offer.mime:
        named["mimeType"] = found.offer.mime
    contents: list[dict[str, Any]] = output["contents"]
    return [{**named, **part} for part in contents]


async def completed(offer: Offer, name: str, typed: str, others: Mapping[str, str]) -> Values:
    """What an argument of an offer may be."""
    complete = offer.complete.get(name)
    if complete is None:
        return Values()
    return values_of(await complete(typed, others))


def values_of(found: Sequence[str]) -> Values:
    """As many of the values as one answer has."""
    return Values(tuple(found[:MOST_VALUES]), len(found), len(found) > MOST_VALUES)


def no_resource(uri: str) -> NotFound:
    """There is nothing at a URI."""
    return NotFound(
        f"there is no resource {uri!r}; resources/list and resources/templates/list name those that "
        "there are",
        code=Code.RESOURCE_NOT_FOUND,
        detail={"uri": uri},
    )
