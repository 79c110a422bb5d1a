"""Makes nodes of the entries under `nodes:`.

A node is made of every entry that could be read, even where the report has a problem with
it: the order of the nodes is to be checked as well. A graph is only made when the report is
empty.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from stepwell.definitions.names import Names
from stepwell.definitions.problems import Path
from stepwell.definitions.scope import Scope
from stepwell.definitions.sheet import Sheet
from stepwell.engine.expressions import Expression, Template
from stepwell.engine.graph import (
    DEFAULT_REPAIRS,
    DEFAULT_TURNS,
    Agent,
    AgentNode,
    Case,
    Node,
    Retry,
    SwitchNode,
    ToolNode,
    TransformNode,
)
from stepwell.engine.values import Json

AGENT_RETRY = Retry(max=2)
"""Of an agent node without `retry`: models fail now and then."""


def make_agent(name: str, entry: dict[str, Json]) -> Agent:
    """An agent of an entry under `agents:`, as far as it could be read."""
    limits = entry.get("limits") or {}
    return Agent(
        name=name,
        model=entry.get("model") or "",
        instructions=entry.get("instructions") or "",
        tools=tuple(tool for tool in entry.get("tools") or () if tool is not UNSET),
        output=entry.get("output") or None,
        turns=limits.get("turns") or DEFAULT_TURNS,
        repairs=limits.get("repairs", DEFAULT_REPAIRS),
    )


class NodeMaker:
    """Makes the nodes of one document."""

    def __init__(
        self, sheet: Sheet, scope: Scope, names: Names, agents: Mapping[str, Agent]
    ) -> None:
        self._sheet = sheet
        self._scope = scope
        self._names = names
        self._agents = agents

    def make(self, id: str, entry: dict[str, Json], path: Path) -> Node:
        """The node of an entry."""
        if "agent" in entry:
            return self._agent_node(id, entry, path)
        if "tool" in entry:
            return self._tool_node(id, entry, path)
        if "transform" in entry:
            value = self._scope.template(entry["transform"], (*path, "transform"))
            value = value or Template(None)
            return TransformNode(value=value, **self._base(id, entry, path, value.refs))
        return self._switch_node(id, entry, path)

    def _base(
        self, id: str, entry: dict[str, Json], path: Path, refs: frozenset[str]
    ) -> dict[str, Any]:
        """What every node has. `refs` are the variables that its own expressions read."""
        condition = self._scope.condition(entry.get("if"), (*path, "if"))
        if condition is not None:
            refs |= condition.refs
        return {
            "id": id,
            "condition": condition,
            "needs": self._needs(id, entry, path, refs),
            "timeout": entry.get("timeout") or None,
        }

    def _needs(
        self, id: str, entry: dict[str, Json], path: Path, refs: frozenset[str]
    ) -> tuple[str, ...]:
        needs = {
            need: None
            for index, need in enumerate(entry.get("needs") or ())
            if need is not UNSET
            and self._names.require_node(need, (*path, "needs", index), self._sheet)
        }
        needs |= {ref: None for ref in sorted(refs) if ref in self._names.nodes}
        if id in self._names.switches:
            needs[self._names.switches[id]] = None
        return tuple(needs)

    def _parameters(self, entry: dict[str, Json], path: Path) -> Template:
        template = self._scope.template(entry.get("with") or {}, (*path, "with"))
        return template or Template({})

    def _agent_node(self, id: str, entry: dict[str, Json], path: Path) -> AgentNode:
        parameters = self._parameters(entry, path)
        agent = Agent(name="", model="")
        name = entry["agent"]
        if name is not UNSET and self._names.require_agent(name, (*path, "agent"), self._sheet):
            agent = self._agents.get(name, agent)
            self._check_with(agent, entry, path)
        return AgentNode(
            agent=agent,
            parameters=parameters,
            retry=self._retry(entry, path, AGENT_RETRY),
            **self._base(id, entry, path, parameters.refs),
        )

    def _check_with(self, agent: Agent, entry: dict[str, Json], path: Path) -> None:
        given = entry.get("with")
        if not isinstance(given, dict):
            return
        path = (*path, "with")
        if "message" not in given:
            self._sheet.wrong(path, "`message` is missing", "it is what the agent is asked")
        for key in given if not agent.tools else ():
            if key != "message":
                self._sheet.wrong_key(
                    (*path, key),
                    f"there is no argument to bind `{key}` to: the agent `{agent.name}` has no "
                    "tools",
                    "put it into `message`, or give the agent the tool",
                )

    def _tool_node(self, id: str, entry: dict[str, Json], path: Path) -> ToolNode:
        tool = entry["tool"] or ""
        if tool:
            self._names.require_tool(tool, (*path, "tool"), self._sheet)
        parameters = self._parameters(entry, path)
        return ToolNode(
            tool=tool,
            parameters=parameters,
            idempotent=entry.get("idempotent"),
            retry=self._retry(entry, path, Retry()),
            **self._base(id, entry, path, parameters.refs),
        )

    def _retry(self, entry: dict[str, Json], path: Path, default: Retry) -> Retry:
        given = {key: value for key, value in (entry.get("retry") or {}).items() if value}
        if not given:
            return Retry() if "retry" in entry else default
        initial, ceiling = given.get("initial", default.initial), given.get("ceiling")
        if ceiling is not None and ceiling < initial:
            place = (*path, "retry", "ceiling")
            self._sheet.wrong(place, "the ceiling is lower than the first wait", "raise it")
        given["ceiling"] = ceiling or max(initial, default.ceiling)
        return Retry(**given)

    def _switch_node(self, id: str, entry: dict[str, Json], path: Path) -> SwitchNode:
        path_of_cases = (*path, "switch")
        cases = entry["switch"] or []
        made = [
            self._case(case, (*path_of_cases, index), is_last=index == len(cases) - 1)
            for index, case in enumerate(cases)
            if case is not UNSET
        ]
        if cases and all(case is not UNSET and "else" in case for case in cases):
            self._sheet.wrong(path_of_cases, "a switch has at least one case with `if` and `then`")
        refs = frozenset[str]().union(
            *(case.condition.refs for case in made if case.condition is not None)
        )
        return SwitchNode(cases=tuple(made), **self._base(id, entry, path, refs))

    def _case(self, case: dict[str, Json], path: Path, *, is_last: bool) -> Case:
        key = "then" if "then" in case else "else"
        if key == "else" and not is_last:
            self._sheet.wrong_key(
                (*path, "else"), "`else` is not the last case", "put it at the end, once"
            )
        target = case[key]
        if target is not UNSET:
            self._names.require_node(target, (*path, key), self._sheet)
        condition: Expression | None = None
        if "if" in case:
            condition = self._scope.condition(case["if"], (*path, "if"))
        return Case(target or "", condition)
