"""What one kind of caller is offered under a selection: made once, and kept as it goes over the wire.

A list is asked for by every client at every start, and again after each change. Making the answer
for a thousand tools takes fifty times what sending it takes, so it is made once for all who are offered the same.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from mcp_types import ListToolsResult, Tool
from mcp_types.methods import serialize_server_result

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Workflow
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell_mcp.meta_tools import META_TOOLS, definitions
from stepwell_mcp.offers import offered, reads_only
from stepwell_mcp.pages import cursor_of, read_cursor
from stepwell_mcp.run_tools import RUN_TOOLS
from stepwell_mcp.search import Index
from stepwell_mcp.selection import Kind, View

PAGE_SIZE: Final = 200
"""Tools on a page: few clients ask for a second one, and more than these are searched."""
MOST_KEPT: Final = 64
"""Catalogs that are kept."""
MOST_SEARCHED: Final = 8
"""Catalogs whose words are kept for the next search, which takes a megabyte for a thousand tools."""
MOST_WIRES: Final = 16_384
"""Tools that are kept as they go over the wire."""

Wire = dict[str, Any]
"""A tool as one revision of the protocol has it."""


class Catalog:
    """The tools that somebody may call, and those of them that he is shown."""

    def __init__(self, offers: Sequence[Tool], view: View, *, most_listed: int) -> None:
        """`offers` is everything, by name; `view` chooses of it."""
        self.tools = tuple(
            offer
            for offer in offers
            if view.admits(offer.name, reads_only=reads_only(offer), kind=kind_of(offer.name))
        )
        self.by_name: Mapping[str, Tool] = {tool.name: tool for tool in self.tools}
        """All that may be called, but for the meta tools."""
        chosen = [tool for tool in self.tools if tool.name not in RUN_TOOLS]
        self.is_searched = view.surface == "search" or (
            view.surface == "auto" and len(chosen) > most_listed
        )
        """Whether tools are found by searching, and not in the list."""
        self._listed = self.tools
        if self.is_searched:
            # What a run answers is seen when it does; its schema costs more than all the rest.
            brief = {"output_schema": None}
            follow = [t.model_copy(update=brief) for t in self.tools if t.name in RUN_TOOLS]
            shown = (*follow, *definitions(read_only=view.read_only))
            self._listed = tuple(sorted(shown, key=lambda tool: tool.name))
        self._chosen = chosen
        self._index: Index | None = None
        self._wires: dict[str, list[Wire]] = {}

    @property
    def index(self) -> Index:
        """What `search_tools` looks into: all but what follows runs."""
        if self._index is None:
            self._index = Index(self._chosen)
        return self._index

    @property
    def has_index(self) -> bool:
        """Whether the words of its tools are ready."""
        return self._index is not None

    def drop_index(self) -> None:
        """Lets the words go; the next search finds them again."""
        self._index = None

    def page(self, cursor: str | None, version: str) -> tuple[list[Wire], str | None]:
        """One page of the list, and the cursor of the next one; None after the last.

        Raises:
            InvalidRequest: INVALID_CURSOR, the cursor is not one that a page gave.
        """
        start = 0
        if cursor:
            start = bisect_right(self._listed, read_cursor(cursor), key=lambda tool: tool.name)
        end = start + PAGE_SIZE
        wires = self._wires.get(version)
        if wires is None:
            wires = self._wires[version] = wire(self._listed, version)
        more = end < len(wires)
        return wires[start:end], cursor_of(self._listed[end - 1].name) if more else None


class Catalogs:
    """The catalogs of a server, each made when somebody asks for it."""

    def __init__(self, service: Service, *, most_listed: int) -> None:
        self._service = service
        self._most_listed = most_listed
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    async def of(self, caller: Caller, view: View, *, any_root: bool) -> Catalog:
        """What a caller is offered now; `any_root` as in `offered`."""
        specs = await self._service.list_tools(caller)
        workflows = await self._service.list_workflows(caller)
        taken = self._service.tool_names(caller)
        # The specs are one tuple for as long as they are the same, and kept so that their id is theirs.
        named = tuple((each.name, each.version) for each in workflows if each.published)
        key = _Key(id(specs), id(taken), caller.namespace, named, view, any_root)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._make(specs, workflows, taken, view, any_root=any_root)
            self._kept[key] = kept
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        self._forget()
        return kept.catalog

    def _forget(self) -> None:
        """Lets the words go of all catalogs but those that were asked for last."""
        searched = [one.catalog for one in self._kept.values() if one.catalog.has_index]
        for catalog in searched[:-MOST_SEARCHED]:
            catalog.drop_index()

    def _make(
        self,
        specs: tuple[ToolSpec, ...],
        workflows: tuple[Workflow, ...],
        taken: frozenset[str],
        view: View,
        *,
        any_root: bool,
    ) -> "_Kept":
        offers = offered(specs, workflows, taken=taken, any_root=any_root)
        return _Kept(Catalog(offers, view, most_listed=self._most_listed), specs, taken)


class _Key(NamedTuple):
    """All that a catalog depends on."""

    specs: int
    taken: int
    namespace: str
    workflows: tuple[tuple[str, str], ...]
    view: View
    any_root: bool


class _Kept(NamedTuple):
    """A catalog, and what it was made of."""

    catalog: Catalog
    specs: tuple[ToolSpec, ...]
    taken: frozenset[str]


def kind_of(name: str) -> Kind:
    """Whether an offer is a tool to choose, or follows runs."""
    return "follow" if name in RUN_TOOLS or name in META_TOOLS else "tool"


_wires: dict[tuple[int, str], tuple[Tool, Wire]] = {}
"""What was made, by the identity of the offer and the revision; the offer is kept, so that it is its own.

An offer is in many catalogs, and is the same one in all of them.
"""


def wire(tools: Sequence[Tool], version: str) -> list[Wire]:
    """Tools as a revision of the protocol has them, which leaves out what it does not know."""
    keys = [(id(tool), version) for tool in tools]
    missing = [tool for tool, key in zip(tools, keys, strict=True) if key not in _wires]
    made = {id(tool): one for tool, one in zip(missing, _made(missing, version), strict=True)}
    wires = [
        made[id(t)] if id(t) in made else _wires[k][1] for t, k in zip(tools, keys, strict=True)
    ]
    while len(_wires) + len(missing) > MOST_WIRES and _wires:
        del _wires[next(iter(_wires))]
    _wires.update({(id(tool), version): (tool, made[id(tool)]) for tool in missing})
    return wires


def _made(tools: Sequence[Tool], version: str) -> list[Wire]:
    if not tools:
        return []
    result = ListToolsResult(tools=list(tools)).model_dump(
        by_alias=True, mode="json", exclude_none=True
    )
    shaped: list[Wire] = serialize_server_result(
        "tools/list", version, {"ttlMs": 0, "cacheScope": "private", **result}
    )["tools"]
    return shaped
