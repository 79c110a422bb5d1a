"""What clients may read and be prompted with: resources, templates of resources, prompts.

They stand beside the tools. Whatever is read or got is a call of a read-only tool, which `tool`
names: so it is in the log, and policy decides it like any other call.
"""

import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import AlreadyExists
from stepwell.tools.icons import Icon
from stepwell.tools.uris import Template

Completer: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Sequence[str]]]
"""Values for an argument, by what was typed of it, and the other arguments."""
Change: TypeAlias = Literal["resources", "prompts"]
Listener: TypeAlias = Callable[[Change], None]
Follower: TypeAlias = Callable[[str], None]
_L = TypeVar("_L")

OURS: Final = "stepwell"
"""The scheme of the resources that Stepwell has of itself."""

_shelves: "weakref.WeakSet[Shelf]" = weakref.WeakSet()


class Offer(Struct, frozen=True, kw_only=True):
    """Something on the shelf: what clients see of it, and the tool by which they get it.

    `owner` is the wrapped server that it is of, whose tool takes what was asked as it is; "" when
    it is the user's own, and the tool takes the values of the variables, or the arguments.
    """

    name: str
    tool: str
    title: str = ""
    description: str = ""
    icons: tuple[Icon, ...] = ()
    owner: str = ""
    meta: Mapping[str, Json] = {}
    complete: Mapping[str, Completer] = {}


class ResourceOffer(Offer, frozen=True, kw_only=True):
    """A resource, or with a `template` many of them."""

    uri: str
    mime: str = ""
    size: int | None = None
    template: Template | None = None
    annotations: Mapping[str, Json] = {}


class Argument(Struct, frozen=True, kw_only=True):
    """An argument of a prompt. It travels as text, whatever its type."""

    name: str
    title: str = ""
    description: str = ""
    required: bool = False


class PromptOffer(Offer, frozen=True, kw_only=True):
    """A prompt; `upstream` is its name at its owner."""

    upstream: str = ""
    arguments: tuple[Argument, ...] = ()


class Found(Struct, frozen=True):
    """The resource that a URI names, and the values of its variables."""

    offer: ResourceOffer
    values: Mapping[str, str]


class Shelf:
    """Every resource and prompt of a runtime. They may come, change and go while it runs."""

    def __init__(self) -> None:
        self._resources: dict[str, ResourceOffer] = {}
        self._prompts: dict[str, PromptOffer] = {}
        self._listeners: dict[object, Listener] = {}
        self._followers: dict[object, Follower] = {}
        _shelves.add(self)

    # --- what there is --------------------------------------------------------------------

    def resources(self) -> tuple[ResourceOffer, ...]:
        """The resources that have one URI, by it."""
        return tuple(one for _, one in sorted(self._resources.items()) if one.template is None)

    def templates(self) -> tuple[ResourceOffer, ...]:
        """The templates, by their text."""
        return tuple(one for _, one in sorted(self._resources.items()) if one.template is not None)

    def prompts(self) -> tuple[PromptOffer, ...]:
        """The prompts, by name."""
        return tuple(one for _, one in sorted(self._prompts.items()))

    def find(self, uri: str) -> Found | None:
        """The resource of this URI: itself, or by the first template that it fits, of the user's own first."""
        exact = self._resources.get(uri)
        if exact is not None and exact.template is None:
            return Found(exact, {})
        for one in sorted(self.templates(), key=lambda offer: bool(offer.owner)):
            assert one.template is not None
            values = one.template.match(uri)
            if values is not None:
                return Found(one, values)
        return None

    def template(self, text: str) -> ResourceOffer | None:
        """The resource, or the template, that is written so."""
        return self._resources.get(text)

    def prompt(self, name: str) -> PromptOffer | None:
        """The prompt of this name."""
        return self._prompts.get(name)

    # --- changes --------------------------------------------------------------------------

    def add(self, offer: Offer) -> None:
        """Adds a resource or a prompt.

        Raises:
            AlreadyExists: there is one of this URI, or of this name.
        """
        if self._kept(offer) is not None:
            what = f"resources are at {offer.uri}" if isinstance(offer, ResourceOffer) else ""
            raise AlreadyExists(
                f"two {what or f'prompts are named {offer.name}'}; give one of them another"
            )
        self._put([offer])

    def stock(self, owner: str, offers: Iterable[Offer]) -> tuple[Offer, ...]:
        """Puts these in the place of everything of an owner; answers what was left out.

        Nobody takes the URI or the name of another's, a URI that a template of another's has, or one
        of Stepwell's own.
        """
        wanted: list[Offer] = []
        left_out: list[Offer] = []
        for one in offers:
            known = self._kept(one)
            is_taken = known is not None and known.owner != owner
            if isinstance(one, ResourceOffer):
                is_taken |= one.uri.lower().startswith(f"{OURS}:") or self._is_in_template(
                    one, owner
                )
            (left_out if is_taken else wanted).append(one)
        self._put(wanted, instead_of=owner)
        return tuple(left_out)

    def changed(self, uri: str) -> None:
        """Tells those that follow it that what the resource of this URI holds is another now."""
        for follower in tuple(self._followers.values()):
            follower(uri)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` when a list changes, until what is answered is called."""
        return _registered(self._listeners, listener)

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Calls `follower` with each URI that is said to have changed, until the answer is called."""
        return _registered(self._followers, follower)

    # --- inside ---------------------------------------------------------------------------

    def _kept(self, offer: Offer) -> Offer | None:
        if isinstance(offer, ResourceOffer):
            return self._resources.get(offer.uri)
        return self._prompts.get(offer.name)

    def _is_in_template(self, offer: ResourceOffer, owner: str) -> bool:
        """Whether a template of somebody else has the URI of an offer that has only one."""
        return offer.template is None and any(
            one.template is not None and one.owner != owner and one.template.match(offer.uri)
            for one in self._resources.values()
        )

    def _put(self, offers: Sequence[Offer], *, instead_of: str | None = None) -> None:
        resources = {
            uri: one for uri, one in self._resources.items() if one.owner != instead_of
        } | {one.uri: one for one in offers if isinstance(one, ResourceOffer)}
        prompts = {name: one for name, one in self._prompts.items() if one.owner != instead_of} | {
            one.name: one for one in offers if isinstance(one, PromptOffer)
        }
        has_resources = resources != self._resources
        has_prompts = prompts != self._prompts
        self._resources, self._prompts = resources, prompts
        if has_resources:
            self._tell("resources")
        if has_prompts:
            self._tell("prompts")

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners.values()):
            listener(change)


def is_ours(uri: str) -> bool:
    """Whether a URI is in the scheme of Stepwell's own resources, in whatever case."""
    return uri.lower().startswith(f"{OURS}:")


def resource_changed(uri: str) -> None:
    """Tells the clients that have subscribed to a resource of a tools file that it has changed.

    Call it from an async function: one that is not runs in a process of its own, which no client
    is connected to.

    Raises:
        RuntimeError: nobody serves resources in this process.
    """
    if not _shelves:
        raise RuntimeError(
            "resource_changed: no client can be told in this process; call it from an async function"
        )
    for shelf in tuple(_shelves):
        shelf.changed(uri)


def _registered(where: dict[object, _L], one: _L) -> Callable[[], None]:
    token = object()
    where[token] = one

    def leave() -> None:
        where.pop(token, None)

    return leave
