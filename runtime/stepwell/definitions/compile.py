"""From a document to a graph: the one validator, whichever way a definition comes in.

The table in `stepwell.definitions.format` says what a document may hold. Here is what no
table can say: names must exist, expressions must compile, nodes must not wait for each
other. Every problem is found in one pass; what one problem makes unreadable is left out, so
that it does not cause others.

A node needs the nodes in its `needs`, the nodes that its expressions refer to, the switch
whose target it is, and the node that it takes over from. It starts when all of them have
ended. It is skipped when its `if` is false, when its switch chose another node, when what it
takes over from did not fail, or when everything that it needs was skipped; the output of a
skipped node is null.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from msgspec import UNSET

from stepwell.definitions.format import WORKFLOW
from stepwell.definitions.loader import load
from stepwell.definitions.names import Names, declared
from stepwell.definitions.nodes import NodeMaker
from stepwell.definitions.outputs import output_schema
from stepwell.definitions.problems import InvalidDefinition, Problem
from stepwell.definitions.scope import RUN, Schema, Scope, ended_node
from stepwell.definitions.sheet import Sheet
from stepwell.definitions.version import version_of
from stepwell.engine.budgets import USD_MICROS
from stepwell.engine.expressions import Expression, Template
from stepwell.engine.graph import AgentNode, Graph, LoopNode, MapNode, Node, SignalNode, ToolNode
from stepwell.engine.values import Json

NO_INPUT: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
"""The input of a workflow that describes none."""


def compile_definition(source: bytes, *, tools: Collection[str] | None = None) -> Graph:
    """Compiles a definition in YAML or JSON. `tools` are those that there are; None is any.

    Raises:
        InvalidDefinition: with every problem, in the order of the source.
    """
    graph, problems = _examine(source, tools)
    if graph is None:
        raise InvalidDefinition(problems)
    return graph


def check_definition(source: bytes, *, tools: Collection[str] | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong with a definition; () when `compile_definition` takes it."""
    return _examine(source, tools)[1]


def _examine(
    source: bytes, tools: Collection[str] | None
) -> tuple[Graph | None, tuple[Problem, ...]]:
    sheet = Sheet(load(source))
    parsed = WORKFLOW.read(sheet.document.value, (), sheet)
    graph = None if parsed is UNSET else _compile(sheet, parsed, declared(sheet, tools))
    return graph, sheet.report.problems()


def _compile(sheet: Sheet, parsed: dict[str, Json], names: Names) -> Graph | None:
    """The graph, or None with problems in the report."""
    agents = _agents(sheet, parsed, names)
    entries = _entries(parsed, names)
    scope = Scope(sheet, _variables(parsed, entries, agents))
    maker = NodeMaker(sheet, scope, names, agents)
    nodes = {id: maker.make(id, entry, names.nodes[id]) for id, entry in entries.items() if entry}
    output = _default_output(nodes)
    if "output" in parsed:
        output = scope.template(parsed["output"], ("output",)) or output
    order = _order(nodes, names, sheet)
    if sheet.report:
        return None
    return Graph(
        name=parsed["workflow"],
        version=version_of(sheet.document.value),
        nodes={id: nodes[id] for id in order},
        dependents=_dependents(nodes),
        output=output,
        description=parsed.get("description", ""),
        input_schema=parsed.get("input", NO_INPUT),
        tools=frozenset(_tools(nodes.values())),
        signals=frozenset(_signals(nodes.values())),
        published=parsed.get("publish", True),
        queue=parsed.get("queue", ""),
        limits=_limits(parsed.get("limits") or {}),
    )


def _limits(given: dict[str, Json]) -> dict[str, int]:
    """What a run may spend, by the unit of the engine."""
    return {USD_MICROS if unit == "usd" else unit: amount for unit, amount in given.items()}


def _agents(sheet: Sheet, parsed: dict[str, Json], names: Names) -> dict[str, dict[str, Json]]:
    """The entries under `agents:` that could be read."""
    agents = {
        name: entry
        for name, entry in (parsed.get("agents") or {}).items()
        if isinstance(entry, dict)
    }
    for name, entry in agents.items():
        for index, tool in enumerate(entry.get("tools") or ()):
            if tool is not UNSET:
                names.require_tool(tool, ("agents", name, "tools", index), sheet)
    return agents


def _entries(parsed: dict[str, Json], names: Names) -> dict[str, dict[str, Json]]:
    """The entries under `nodes:` by id; {} for one that could not be read."""
    nodes = parsed.get("nodes") or ()
    return {
        id: nodes[path[-1]] if nodes and isinstance(nodes[path[-1]], dict) else {}
        for id, path in names.nodes.items()
    }


def _variables(
    parsed: dict[str, Json],
    entries: Mapping[str, dict[str, Json]],
    agents: Mapping[str, dict[str, Json]],
) -> dict[str, Schema]:
    """What expressions see, with what is known of it before the run."""
    given = parsed.get("input", NO_INPUT)
    variables = {"input": {} if given is UNSET else given, "run": RUN}
    for id, entry in entries.items():
        variables[id] = ended_node(output_schema(entry, agents))
    return variables


# --- the graph ----------------------------------------------------------------------------


def _default_output(nodes: Mapping[str, Node]) -> Template:
    """The outputs of the nodes on which no other node depends, by id."""
    needed = {need for node in nodes.values() for need in node.needs}
    last = [id for id in nodes if id not in needed]
    return Template({id: Expression(f"{id}.output", last) for id in last})


def _order(nodes: Mapping[str, Node], names: Names, sheet: Sheet) -> list[str]:
    """The ids, each after those that it needs; every cycle is a problem."""
    needs = {id: [need for need in node.needs if need in nodes] for id, node in nodes.items()}
    while True:
        try:
            return list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            cycle: list[str] = error.args[1][1:]
            _report_cycle(cycle, list(nodes), names, sheet)
            needs = {
                id: [need for need in needed if need not in cycle]
                for id, needed in needs.items()
                if id not in cycle
            }


def _report_cycle(cycle: list[str], ids: list[str], names: Names, sheet: Sheet) -> None:
    """`cycle` has every node before the one that needs it; we tell who needs whom."""
    first = min(cycle, key=ids.index)
    start = cycle.index(first)
    chain = [first, *reversed(cycle[:start]), *reversed(cycle[start + 1 :]), first]
    if len(chain) > 12:
        chain[6:-5] = ["…"]
    told = " needs ".join(f"`{id}`" for id in chain)
    sheet.wrong(
        (*names.nodes[first], "id"),
        f"nodes wait for each other: {told}" if len(chain) > 2 else f"`{first}` needs itself",
        "an expression that refers to a node, a switch with a target, and `on_error` with a node "
        "count as needs",
    )


def _dependents(nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    dependents: dict[str, list[str]] = {id: [] for id in nodes}
    for id, node in nodes.items():
        for need in node.needs:
            dependents[need].append(id)
    return {id: tuple(them) for id, them in dependents.items()}


def _tools(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ToolNode(tool=str(tool)):
                yield tool
            case AgentNode():
                yield from node.agent.tools
            case MapNode() | LoopNode():
                yield from _tools([node.body])
            case _:
                pass
        if node.compensate is not None:
            yield from _tools([node.compensate])


def _signals(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        body = node.body if isinstance(node, MapNode | LoopNode) else node
        if isinstance(body, SignalNode):
            yield body.signal
