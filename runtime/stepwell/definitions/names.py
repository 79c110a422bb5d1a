"""What a document declares, and whether the names that it uses are there."""

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

from stepwell.definitions.format import RESERVED_IDS
from stepwell.definitions.problems import Path
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json

_ID = re.compile("[a-z][a-z0-9_]{0,62}")


class Names(Struct, frozen=True):
    """The names of a document: nodes by id and agents, each with its path.

    `switches` has the switch of every node that is the target of one. `tools` are those that
    there are, None when that is not known.
    """

    nodes: dict[str, Path]
    agents: dict[str, Path]
    switches: dict[str, str]
    tools: Collection[str] | None

    def require_node(self, id: str, path: Path, sheet: Sheet) -> bool:
        """Whether there is such a node; a problem at `path` when there is not."""
        return _require(id, self.nodes, "node", path, sheet)

    def require_agent(self, name: str, path: Path, sheet: Sheet) -> bool:
        """Whether there is such an agent; a problem at `path` when there is not."""
        return _require(name, self.agents, "agent", path, sheet)

    def require_tool(self, name: str, path: Path, sheet: Sheet) -> None:
        """A problem at `path` when there is no such tool."""
        if self.tools is not None:
            _require(name, self.tools, "tool", path, sheet)


def _require(name: str, known: Collection[str], what: str, path: Path, sheet: Sheet) -> bool:
    if name in known:
        return True
    sheet.wrong(path, f"there is no {what} `{name}`", sheet.report.nearest(name, known))
    return False


def declared(sheet: Sheet, tools: Collection[str] | None) -> Names:
    """The names of a document; those that are there twice, or never used, are problems.

    They are read from the source itself: a node with a mistake in it is still a node.
    """
    document = sheet.document.value
    agents = document.get("agents")
    names = Names(
        _nodes(sheet),
        {name: ("agents", name) for name in agents} if isinstance(agents, dict) else {},
        _switches(sheet),
        tools,
    )
    used = {node["agent"] for _, node in _sources(document) if isinstance(node.get("agent"), str)}
    # A misspelt name is told where it is used; that nobody uses the right one follows from it.
    for name, path in names.agents.items() if used <= names.agents.keys() else ():
        if name not in used:
            hint = "use it in an agent node, or take it away"
            sheet.wrong_key(path, f"no node uses the agent `{name}`", hint)
    return names


def _nodes(sheet: Sheet) -> dict[str, Path]:
    nodes: dict[str, Path] = {}
    for path, node in _sources(sheet.document.value):
        id = node.get("id")
        if not isinstance(id, str) or not _ID.fullmatch(id) or id in RESERVED_IDS:
            continue
        if id in nodes:
            first = sheet.place((*nodes[id], "id")).line
            sheet.wrong((*path, "id"), f"the id `{id}` is taken by the node in line {first}")
        else:
            nodes[id] = path
    return nodes


def _switches(sheet: Sheet) -> dict[str, str]:
    """Who chooses a node. Two switches could disagree about it, so there may be only one."""
    switches: dict[str, str] = {}
    for path, node in _sources(sheet.document.value):
        switch, cases = node.get("id"), node.get("switch")
        if not isinstance(switch, str) or not isinstance(cases, list):
            continue
        for index, case in enumerate(cases):
            for key in ("then", "else"):
                target = case.get(key) if isinstance(case, dict) else None
                if not isinstance(target, str) or switches.setdefault(target, switch) == switch:
                    continue
                sheet.wrong(
                    (*path, "switch", index, key),
                    f"`{target}` is a target of the switch `{switches[target]}` already",
                    "let each switch have targets of its own",
                )
    return switches


def _sources(document: Json) -> Iterator[tuple[Path, dict[str, Json]]]:
    nodes = document.get("nodes")
    for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
        if isinstance(node, dict):
            yield ("nodes", index), node
