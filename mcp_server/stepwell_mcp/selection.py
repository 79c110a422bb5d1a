"""What of the tools a client has chosen: by its URL, by headers, or by the flags of `stepwell mcp`.

A choice narrows, and never widens: what a URL leaves out no header brings back. It is made anew for
every request, since newer clients have no session, and it holds for calls as it does for lists.
"""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from msgspec import Struct

from stepwell.config import Settings, Surface, ToolsetSettings
from stepwell.errors import Code, InvalidRequest, SetupError
from stepwell.principals import LOCAL_AGENT
from stepwell_mcp.callers import CALLER, RequestContext
from stepwell_mcp.choice import HEADERS, READONLY, TOOLS, TOOLSETS

_RAW: Final = tuple(name.encode() for name in HEADERS)

ALL: Final = "all"
"""The toolset of everything; no other may have its name."""
MOST_NAMED: Final = 1000
"""Toolsets and tools that one request may name."""
LONGEST: Final = 16 * 1024
"""Characters of one header."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TRUTH: Final[Mapping[str, bool]] = {
    "": False,
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

Kind: TypeAlias = Literal["tool", "follow"]
"""Whether something is a tool to choose, or follows what others began, and comes with any of them."""


class Choice(Struct, frozen=True):
    """Tools that one place names: those of any of the toolsets, and single ones."""

    toolsets: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


class Selection(Struct, frozen=True):
    """What a request asks for; `surface` is "" where it does not say. Each choice narrows."""

    choices: tuple[Choice, ...] = ()
    read_only: bool = False
    surface: Surface | Literal[""] = ""


EVERYTHING: Final = Selection()


class Grant(Struct, frozen=True):
    """Some tools, by name or by the pattern of names; where there is neither, all of them.

    `read_only` leaves out those that may change something.
    """

    names: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None
    read_only: bool = False

    def admits(self, name: str, kind: Kind, *, reads_only: bool) -> bool:
        """Whether it holds a tool."""
        if self.read_only and not reads_only:
            return False
        if self.pattern is not None:
            return kind == "follow" or self.pattern.fullmatch(name) is not None
        return not self.names or kind == "follow" or name in self.names


class View(Struct, frozen=True):
    """A selection as it decides; the same object for the same selection."""

    selection: Selection
    narrowing: tuple[tuple[Grant, ...], ...] = ()
    surface: Surface = "auto"

    @property
    def read_only(self) -> bool:
        """Whether nothing may be called that does more than read."""
        return self.selection.read_only

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.narrowing and not self.read_only

    def admits(self, name: str, *, reads_only: bool, kind: Kind = "tool") -> bool:
        """Whether a tool is in it. One that follows runs is, unless it changes what may only be read."""
        return (reads_only or not self.read_only) and all(
            any(grant.admits(name, kind, reads_only=reads_only) for grant in grants)
            for grants in self.narrowing
        )


SELECTION: Final = "stepwell.selection"
"""Where a request's scope has what it has chosen, once that was read."""


class Offering:
    """The toolsets that there are, and what is shown to who chooses none."""

    def __init__(
        self,
        toolsets: Mapping[str, ToolsetSettings] | None = None,
        *,
        surface: Surface = "auto",
        most_listed: int = 128,
    ) -> None:
        """A surface `auto` is `search` above `most_listed` tools.

        Raises:
            SetupError: INVALID_CONFIG, a toolset has a name that no URL or header can say.
        """
        self.toolsets = dict(toolsets or {})
        self.most_listed = most_listed
        self._surface: Surface = surface
        self._grants = {name: _grant(settings) for name, settings in self.toolsets.items()}
        self.view = lru_cache(maxsize=256)(self._view)
        for name in self.toolsets:
            if not _NAME.fullmatch(name) or name == ALL:
                raise SetupError(
                    f"{name!r} cannot be the name of a toolset: 1 to 64 letters, digits, _ . and -, "
                    f"and not {ALL!r}, which is everything; rename it in config.toml",
                    code=Code.INVALID_CONFIG,
                )

    @classmethod
    def of(cls, settings: Settings) -> "Offering":
        """What the settings say.

        Raises:
            SetupError: as `Offering`.
        """
        mcp = settings.mcp
        return cls(settings.toolsets, surface=mcp.surface, most_listed=mcp.most_listed)

    def _view(self, selection: Selection) -> View:
        """How a selection decides.

        Raises:
            InvalidRequest: a toolset is not there; the nearest one is named.
        """
        narrowing = tuple(
            grants for choice in selection.choices if (grants := self._chosen(choice)) is not None
        )
        return View(selection, narrowing, self._surface_of(selection))

    def _chosen(self, choice: Choice) -> tuple[Grant, ...] | None:
        """What a choice holds; None where that is everything."""
        grants = [self._named(name) for name in choice.toolsets]
        if choice.tools:
            grants.append(Grant(frozenset(choice.tools)))
        return None if not grants or Grant() in grants else tuple(grants)

    def _named(self, name: str) -> Grant:
        if name == ALL:
            return Grant()
        if (grant := self._grants.get(name)) is not None:
            return grant
        raise InvalidRequest(
            f"there is no toolset {name[:80]!r}; {_nearest(name, (*self.toolsets, ALL))}"
            "`stepwell toolset list` shows those that there are",
            detail={"toolset": name[:80]},
        )

    def _surface_of(self, selection: Selection) -> Surface:
        if selection.surface:
            return selection.surface
        named = [name for choice in selection.choices for name in choice.toolsets if name != ALL]
        for name in named:
            if said := self.toolsets[name].surface:
                return said
        return self._surface


def selection_of(context: RequestContext) -> Selection:
    """What a request has chosen, as its URL and headers say, or the first line of its connection.

    Raises:
        InvalidRequest: a header says nothing that it may say.
    """
    if context.request is None:
        return EVERYTHING
    scope = context.request.scope
    known: Selection | None = scope.get(SELECTION)  # a request is asked more than once
    if known is None:
        known = scope[SELECTION] = selected(scope)
    return known


def selected(scope: Mapping[str, Any]) -> Selection:
    """What the scope of a request says that is chosen.

    Raises:
        InvalidRequest: as `selection_of`.
    """
    given = [(name, text) for name, text in scope["headers"] if name in _RAW]
    path: Mapping[str, str] = scope.get("path_params") or {}
    if not given and not path:
        return EVERYTHING
    said = dict(given)
    if len(said) < len(given):
        raise InvalidRequest(f"each of {', '.join(HEADERS)} may be there once; a list has commas")
    texts = (said.get(name, b"").decode("latin-1") for name in _RAW)
    return _read(path.get("toolsets", ""), path.get("readonly", ""), *texts)


@lru_cache(maxsize=1024)
def _read(
    toolsets_of_url: str,
    readonly_of_url: str,
    toolsets: str,
    tools: str,
    readonly: str,
    surface: str,
) -> Selection:
    choices = (
        Choice(_listed("the URL", toolsets_of_url)),
        Choice(_listed(TOOLSETS, toolsets), _listed(TOOLS, tools)),
    )
    return Selection(
        tuple(choice for choice in choices if choice != Choice()),
        bool(readonly_of_url) or _truth(readonly),
        _surface(surface),
    )


def _listed(place: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if len(text) > LONGEST or len(names) > MOST_NAMED:
        raise InvalidRequest(
            f"{place} names more than {MOST_NAMED} toolsets or tools; make a toolset of them"
        )
    if text.strip() and not names:
        raise InvalidRequest(f"{place} names nothing; leave it out, or name what you want")
    return names


def _truth(text: str) -> bool:
    found = _TRUTH.get(text.strip().lower())
    if found is None:
        raise InvalidRequest(f"{READONLY} must be true or false, it is {text[:40]!r}")
    return found


def _surface(text: str) -> Surface | Literal[""]:
    word = text.strip().lower()
    if word and word not in get_args(Surface):
        raise InvalidRequest(
            f"the surface must be one of {', '.join(get_args(Surface))}, it is {text[:40]!r}"
        )
    return cast("Surface | Literal['']", word)


def _grant(settings: ToolsetSettings) -> Grant:
    pattern = re.compile("|".join(map(fnmatch.translate, settings.tools)))
    return Grant(pattern=pattern if settings.tools else None, read_only=settings.read_only)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


class LocalRequest:
    """What stands for the request where none comes by HTTP: its scope says what is chosen."""

    def __init__(self, chosen: Mapping[str, str]) -> None:
        headers = [
            (name.encode(), text.encode("latin-1", "replace")) for name, text in chosen.items()
        ]
        self.scope: dict[str, Any] = {"headers": headers, CALLER: LOCAL_AGENT}


def local_request(chosen: Mapping[str, str]) -> LocalRequest | None:
    """The request of a client on a socket or a pipe; None when it has chosen nothing."""
    return LocalRequest(chosen) if chosen else None
