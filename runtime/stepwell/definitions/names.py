"""What a document declares, and whether the names that it uses are there."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from stepwell.definitions.problems import Path
from stepwell.definitions.sheet import Sheet
from stepwell.definitions.vocabulary import NEW_ID
from stepwell.engine.graph import CONTINUE, FAIL
from stepwell.engine.values import Json


class Names(Struct, frozen=True):
    """The names of a document: nodes by id and agents, each with its path.

    `deciders` says who decides whether a node runs: the switch whose target it is, or the node
    that it takes over from. `tools` are those that there are, None when that is not known.
    """

    nodes: dict[str, Path]
    agents: dict[str, Path]
    deciders: dict[str, str]
    tools: Collection[str] | None

    def require_node(self, id: str, path: Path, sheet: Sheet) -> bool:
        """Whether there is such a node; a problem at `path` when there is not."""
        return _require(id, self.nodes, "node", path, sheet)

    def require_handler(self, id: str, path: Path, sheet: Sheet) -> None:
        """A problem at `path` when there is no such node to take over."""
        if id not in self.nodes:
            hint = sheet.report.nearest(id, (*self.nodes, FAIL, CONTINUE))
            sheet.wrong(path, f"there is no node `{id}`", hint)

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
        _deciders(sheet),
        tools,
    )
    used = {step["agent"] for step in _steps(document) if isinstance(step.get("agent"), str)}
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
        if not isinstance(id, str) or NEW_ID.trouble(id):
            continue
        if id in nodes:
            first = sheet.place((*nodes[id], "id")).line
            sheet.wrong((*path, "id"), f"the id `{id}` is taken by the node in line {first}")
        else:
            nodes[id] = path
    return nodes


def _deciders(sheet: Sheet) -> dict[str, str]:
    """Who decides whether a node runs. Two could disagree about it, so there may be only one."""
    deciders: dict[str, str] = {}
    switches: set[str] = set()
    for path, node in _sources(sheet.document.value):
        id = node.get("id")
        if not isinstance(id, str):
            continue
        if "switch" in node:
            switches.add(id)
        for place, target in _decided(node, path):
            if target == id and place[-1] == "on_error":
                hint = "say fail, continue or the id of another node"
                sheet.wrong(place, "a node cannot take over from itself", hint)
            elif (first := deciders.setdefault(target, id)) != id:
                already = "is a target of the switch" if first in switches else "takes over from"
                sheet.wrong(place, f"`{target}` {already} `{first}` already", _ONE_DECIDER)
    return deciders


_ONE_DECIDER = "only one node may decide whether another runs; add another one for this"


def _decided(node: dict[str, Json], path: Path) -> Iterator[tuple[Path, str]]:
    """The nodes of which a node decides whether they run, each with its place."""
    cases, handler = node.get("switch"), node.get("on_error")
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        for key in ("then", "else"):
            target = case.get(key) if isinstance(case, dict) else None
            if isinstance(target, str):
                yield (*path, "switch", index, key), target
    if isinstance(handler, str) and handler not in (FAIL, CONTINUE):
        yield (*path, "on_error"), handler


def _steps(document: Json) -> Iterator[dict[str, Json]]:
    """Whatever does something: nodes, and the `do` of those that repeat one."""
    for _, node in _sources(document):
        yield node
        if isinstance(body := node.get("do"), dict):
            yield body


def _sources(document: Json) -> Iterator[tuple[Path, dict[str, Json]]]:
    nodes = document.get("nodes")
    for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
        if isinstance(node, dict):
            yield ("nodes", index), node
