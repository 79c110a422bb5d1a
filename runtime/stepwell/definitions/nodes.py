"""Makes nodes of the entries under `nodes:`: when each runs, and what it does.

A node is made of every entry that could be read, even where the report has a problem with
it: the order of the nodes is to be checked as well. A graph is only made when the report is
empty.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from stepwell.definitions.names import Names
from stepwell.definitions.outputs import output_schema
from stepwell.definitions.problems import Path
from stepwell.definitions.scope import INDEX, Scope
from stepwell.definitions.sheet import Sheet
from stepwell.definitions.steps import StepMaker
from stepwell.engine.expressions import Expression, Template
from stepwell.engine.graph import (
    CONTINUE,
    DEFAULT_CONCURRENCY,
    FAIL,
    Case,
    LeafNode,
    LoopNode,
    MapNode,
    Node,
    SwitchNode,
    ToolNode,
    TransformNode,
)
from stepwell.engine.values import Json

_NEVER = Expression("false", ())


class NodeMaker:
    """Makes the nodes of one document."""

    def __init__(
        self, sheet: Sheet, scope: Scope, names: Names, agents: Mapping[str, Json]
    ) -> None:
        """`agents` are the entries under `agents:` that could be read."""
        self._sheet = sheet
        self._scope = scope
        self._names = names
        self._agents = agents
        self._steps = StepMaker(sheet, scope, names, agents)

    def make(self, id: str, entry: dict[str, Json], path: Path) -> Node:
        """The node of an entry."""
        node = self._work(id, entry, path)
        condition = self._scope.condition(entry.get("if"), (*path, "if"))
        refs = {*node.needs, *(condition.refs if condition is not None else ())}
        return replace(
            node,
            condition=condition,
            needs=self._needs(id, entry, path, refs),
            on_error=self._on_error(entry, path),
        )

    # --- when it runs ---------------------------------------------------------------------

    def _needs(
        self, id: str, entry: dict[str, Json], path: Path, refs: Collection[str]
    ) -> tuple[str, ...]:
        needs = {
            need: None
            for index, need in enumerate(entry.get("needs") or ())
            if need is not UNSET
            and self._names.require_node(need, (*path, "needs", index), self._sheet)
        }
        needs |= {ref: None for ref in sorted(refs) if ref in self._names.nodes}
        if id in self._names.deciders:
            needs[self._names.deciders[id]] = None
        return tuple(needs)

    def _on_error(self, entry: dict[str, Json], path: Path) -> str:
        said: str = entry.get("on_error") or FAIL
        if said not in (FAIL, CONTINUE):
            self._names.require_handler(said, (*path, "on_error"), self._sheet)
        return said

    # --- what it does ---------------------------------------------------------------------

    def _work(self, id: str, entry: dict[str, Json], path: Path) -> Node:
        """The node with what it does; its `needs` are the variables that this reads."""
        if "transform" in entry:
            value = self._scope.template(entry["transform"], (*path, "transform"))
            value = value or Template(None)
            return TransformNode(id=id, value=value, needs=tuple(value.refs))
        if "switch" in entry:
            return self._switch(id, entry, path)
        if "map" in entry:
            return self._map(id, entry, path)
        if "loop" in entry:
            return self._loop(id, entry, path)
        return self._steps.make(id, entry, path, self._scope)

    def _switch(self, id: str, entry: dict[str, Json], path: Path) -> SwitchNode:
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
        return SwitchNode(id=id, cases=tuple(made), needs=tuple(refs))

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

    def _map(self, id: str, entry: dict[str, Json], path: Path) -> MapNode:
        items = self._scope.template(entry["map"] or [], (*path, "map")) or Template([])
        hint = "each step of a map sees its `item` and `index`"
        body = self._body(id, entry, path, self._scope.inside(id, hint, item={}, index=INDEX))
        return MapNode(
            items=items,
            body=body,
            concurrency=entry.get("concurrency") or DEFAULT_CONCURRENCY,
            **self._whole(id, entry, body, items.refs),
        )

    def _loop(self, id: str, entry: dict[str, Json], path: Path) -> LoopNode:
        last = output_schema(entry, self._agents)
        hint = "what a loop gave the time before is `last`"
        scope = self._scope.inside(id, hint, last=last, index=INDEX)
        given = entry["loop"] or {}
        again = scope.condition(given.get("while"), (*path, "loop", "while")) or _NEVER
        body = self._body(id, entry, path, scope)
        return LoopNode(
            again=again,
            body=body,
            max=given.get("max") or 1,
            **self._whole(id, entry, body, again.refs),
        )

    def _body(self, id: str, entry: dict[str, Json], path: Path, scope: Scope) -> LeafNode:
        given = entry.get("do")
        if not isinstance(given, dict):
            return ToolNode(id=id, tool="")
        return self._steps.make(id, given, (*path, "do"), scope)

    def _whole(
        self, id: str, entry: dict[str, Json], body: LeafNode, refs: frozenset[str]
    ) -> dict[str, Any]:
        """What a map and a loop have; `refs` are the variables that they read themselves."""
        return {
            "id": id,
            "needs": tuple(refs.union(body.needs)),
            "timeout": entry.get("timeout") or None,
        }
