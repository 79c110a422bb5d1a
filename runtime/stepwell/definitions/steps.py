"""Makes what a step does: of an entry under `nodes:`, or of the `do` of a map or a loop.

What is made of a `do` has the id of its node. Its `needs` are the nodes that its expressions
refer to; the node around it needs them as well.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from stepwell.definitions.names import Names
from stepwell.definitions.outputs import output_schema
from stepwell.definitions.problems import Path
from stepwell.definitions.scope import Scope
from stepwell.definitions.sheet import Sheet
from stepwell.engine.expressions import Template
from stepwell.engine.graph import (
    DEFAULT_REPAIRS,
    DEFAULT_TURNS,
    FAIL,
    UNDO,
    Agent,
    AgentNode,
    ApprovalNode,
    LeafNode,
    Retry,
    SignalNode,
    ToolNode,
    WaitNode,
    WorkflowNode,
)
from stepwell.engine.values import Json

MODEL_RETRY = Retry(max=2)
"""Of an agent or llm node without `retry`: models fail now and then."""

UNDO_RETRY = Retry(max=3)
"""Of a `compensate` without `retry`: what could not be undone is left for a person."""

_NO_AGENT = Agent(name="", model="")


class StepMaker:
    """Makes the steps of one document."""

    def __init__(
        self, sheet: Sheet, scope: Scope, names: Names, agents: Mapping[str, Json]
    ) -> None:
        """`scope` is that of the document, `agents` the entries under `agents:`."""
        self._sheet = sheet
        self._scope = scope
        self._names = names
        self._agents = agents

    def make(self, id: str, entry: dict[str, Json], path: Path, scope: Scope) -> LeafNode:
        """The step of an entry, whose expressions see what is in `scope`."""
        if "agent" in entry:
            agent = self._agent(entry, path)
            return AgentNode(agent=agent, **self._effect(id, entry, path, scope, MODEL_RETRY))
        if "llm" in entry:
            agent = self._single_turn(id, entry, path)
            return AgentNode(agent=agent, **self._effect(id, entry, path, scope, MODEL_RETRY))
        if "tool" in entry:
            return self._tool(id, entry, path, scope, Retry())
        if "workflow" in entry:
            effect = self._effect(id, entry, path, scope, Retry())
            version = entry.get("version") or ""
            return WorkflowNode(workflow=entry["workflow"] or "", version=version, **effect)
        if "wait" in entry:
            return self._wait(id, entry, path, scope)
        if "signal" in entry:
            return SignalNode(signal=entry["signal"] or "", **self._common(id, entry))
        message = scope.template(entry["approval"], (*path, "approval")) or Template(None)
        return ApprovalNode(message=message, **self._common(id, entry, message.refs))

    def _common(
        self, id: str, entry: dict[str, Json], refs: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """What every step has. `refs` are the variables that its expressions read."""
        return {
            "id": id,
            "needs": tuple(sorted(refs & self._names.nodes.keys())),
            "timeout": entry.get("timeout") or None,
            "on_error": entry.get("on_error") or FAIL,
        }

    # --- steps with an effect on the world ------------------------------------------------

    def _effect(
        self, id: str, entry: dict[str, Json], path: Path, scope: Scope, retry: Retry
    ) -> dict[str, Any]:
        parameters = scope.template(entry.get("with") or {}, (*path, "with")) or Template({})
        undo = self._undo(id, entry, path, scope)
        refs = parameters.refs.union(undo.needs if undo else ())
        return self._common(id, entry, refs) | {
            "parameters": parameters,
            "retry": self._retry(entry, path, retry),
            "queue": entry.get("queue") or "",
            "compensate": undo,
        }

    def _tool(
        self, id: str, entry: dict[str, Json], path: Path, scope: Scope, retry: Retry
    ) -> ToolNode:
        tool = entry.get("tool") or ""
        if tool:
            self._names.require_tool(tool, (*path, "tool"), self._sheet)
        effect = self._effect(id, entry, path, scope, retry)
        return ToolNode(tool=tool, idempotent=entry.get("idempotent"), **effect)

    def _undo(self, id: str, entry: dict[str, Json], path: Path, scope: Scope) -> ToolNode | None:
        given = entry.get("compensate")
        if not isinstance(given, dict):
            return None
        scope = scope.undoing(id, output_schema(entry, self._agents))
        return self._tool(id + UNDO, given, (*path, "compensate"), scope, UNDO_RETRY)

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

    # --- models ---------------------------------------------------------------------------

    def _agent(self, entry: dict[str, Json], path: Path) -> Agent:
        name = entry["agent"]
        if name is UNSET or not self._names.require_agent(name, (*path, "agent"), self._sheet):
            return _NO_AGENT
        described = self._agents.get(name)
        agent = make_agent(name, described) if isinstance(described, dict) else _NO_AGENT
        hint = "put it into `message`, or give the agent the tool"
        self._check_with(agent, f"the agent `{agent.name}` has no tools", hint, entry, path)
        return agent

    def _single_turn(self, id: str, entry: dict[str, Json], path: Path) -> Agent:
        """The agent of an llm step: it has one turn, and no tools."""
        agent = Agent(
            name=id,
            model=entry["llm"] or "",
            instructions=entry.get("instructions") or "",
            output=entry.get("output") or None,
            turns=1,
            repairs=0,
        )
        hint = "put it into `message`, or let an agent do it"
        self._check_with(agent, "an llm node has no tools", hint, entry, path)
        return agent

    def _check_with(
        self, agent: Agent, why: str, hint: str, entry: dict[str, Json], path: Path
    ) -> None:
        """`why` is why an agent without tools cannot take more than a message."""
        given = entry.get("with")
        if not isinstance(given, dict):
            return
        path = (*path, "with")
        if "message" not in given:
            what = "the agent" if "agent" in entry else "the model"
            self._sheet.wrong(path, "`message` is missing", f"it is what {what} is asked")
        for key in given if not agent.tools else ():
            if key != "message":
                message = f"there is no argument to bind `{key}` to: {why}"
                self._sheet.wrong_key((*path, key), message, hint)

    # --- waiting --------------------------------------------------------------------------

    def _wait(self, id: str, entry: dict[str, Json], path: Path, scope: Scope) -> WaitNode:
        given = entry["wait"] or {}
        path = (*path, "wait")
        length = scope.template(given["for"], (*path, "for")) if given.get("for") else None
        until = scope.template(given["until"], (*path, "until")) if given.get("until") else None
        refs = frozenset[str]().union(*(t.refs for t in (length, until) if t is not None))
        return WaitNode(length=length, until=until, **self._common(id, entry, refs))


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
