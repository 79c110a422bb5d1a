"""How a run moves on through its graph: which nodes start, are skipped, or end at once.

A node is ready when every node that it needs has ended. Then it is skipped when its `if` is
false, when a switch that it hangs on chose another, or when everything that it needs was
skipped. `transform` and `switch` have no effect on the world, so they end here and now.
"""

from collections import deque
from collections.abc import Iterable

from stepwell.engine.events import (
    Event,
    RunCompleted,
    RunFailed,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepSkipped,
)
from stepwell.engine.expressions import ExpressionError, Template
from stepwell.engine.graph import AgentNode, Node, SwitchNode, ToolNode, TransformNode
from stepwell.engine.sealing import withheld
from stepwell.engine.state import RunState, StepPhase
from stepwell.engine.values import NOTHING, Data, Failure, Json

_SKIPPED = Data(value=None)


class Progress:
    """One decision's walk through the graph, seen over a state that does not change."""

    def __init__(self, state: RunState, at: int, given: Data | None = None) -> None:
        """`given` is the input of a run that is just being started."""
        self._state = state
        self._at = at
        self._input = state.input if given is None else given
        self._begins = given is not None
        self._events: list[Event] = []
        self._ended: dict[str, Data] = {}
        self._waiting: dict[str, int] = {}
        self._queue: deque[str] = deque()

    def begin(self) -> list[Event]:
        """What follows from the start of the run."""
        self._queue.extend(id for id, node in self._state.graph.nodes.items() if not node.needs)
        return self._walk()

    def after(self, node: str, output: Data) -> list[Event]:
        """What follows when `node` has ended with `output`."""
        self._end(node, output)
        return self._walk()

    def _walk(self) -> list[Event]:
        while self._queue:
            if not self._start(self._state.graph.nodes[self._queue.popleft()]):
                return self._events
        if self._state.ended + len(self._ended) == len(self._state.graph.nodes):
            self._finish()
        return self._events

    def _end(self, node: str, output: Data) -> None:
        self._ended[node] = output
        graph, state = self._state.graph, self._state
        for dependent in graph.dependents.get(node, ()):
            left = self._waiting.get(dependent)
            if left is None:
                left = (
                    len(graph.nodes[dependent].needs) if self._begins else state.waiting[dependent]
                )
            self._waiting[dependent] = left - 1
            if left == 1:
                self._queue.append(dependent)

    def _start(self, node: Node) -> bool:
        """Starts or skips one node; False when that failed, and the run with it."""
        try:
            reason = self._skip_reason(node)
            if reason:
                self._events.append(
                    StepSkipped(at=self._at, step=node.id, node=node.id, reason=reason)
                )
                self._end(node.id, _SKIPPED)
                return True
            given, output = self._evaluate(node)
        except ExpressionError as error:
            self._fail(node, error)
            return False
        self._events.append(StepScheduled(at=self._at, step=node.id, node=node.id, input=given))
        if output is not None:
            self._events.append(StepCompleted(at=self._at, step=node.id, attempt=1, output=output))
            self._end(node.id, output)
        return True

    def _skip_reason(self, node: Node) -> str:
        needs = node.needs
        if needs and all(self._is_skipped(need) for need in needs):
            return "needs"
        for need in needs:
            switch = self._state.graph.nodes[need]
            if (
                isinstance(switch, SwitchNode)
                and any(case.target == node.id for case in switch.cases)
                and self._output(need).value != node.id
            ):
                return "switch"
        if node.condition is not None and not node.condition.holds(self._see(node.condition.refs)):
            return "condition"
        return ""

    def _evaluate(self, node: Node) -> tuple[Data, Data | None]:
        """What a node is given, and its output where it has one at once."""
        match node:
            case AgentNode() | ToolNode():
                return self._render(node.parameters), None
            case TransformNode():
                return NOTHING, self._render(node.value)
            case SwitchNode():
                return NOTHING, self._choose(node)

    def _choose(self, node: SwitchNode) -> Data:
        for case in node.cases:
            if case.condition is None or case.condition.holds(self._see(case.condition.refs)):
                return Data(value=case.target)
        return NOTHING

    def _finish(self) -> None:
        try:
            output = self._render(self._state.graph.output)
        except ExpressionError as error:
            said = Failure(error.code, f"the output of the workflow: {error.message}")
            failure = withheld(said, self._seal(("input", *self._state.graph.nodes)))
            self._events.append(RunFailed(at=self._at, failure=failure))
        else:
            self._events.append(RunCompleted(at=self._at, output=output))

    def _fail(self, node: Node, error: ExpressionError) -> None:
        said = Failure(error.code, f"node {node.id}: {error.message}")
        failure = withheld(said, self._seal(("input", *node.needs)))
        self._events += [
            StepFailed(at=self._at, step=node.id, attempt=1, failure=failure),
            RunFailed(at=self._at, step=node.id, failure=failure),
        ]

    # --- what expressions see -------------------------------------------------------------

    def _render(self, template: Template | None) -> Data:
        if template is None:
            return NOTHING
        value = template.render(self._see(template.refs))
        return Data(value=value, sealed=self._seal(template.refs))

    def _see(self, refs: Iterable[str]) -> dict[str, Json]:
        return {name: self._variable(name) for name in refs}

    def _variable(self, name: str) -> Json:
        if name == "input":
            return self._input.value
        if name == "run":
            return {"id": self._state.run, "workflow": self._state.graph.name}
        return {"output": self._output(name).value}

    def _seal(self, refs: Iterable[str]) -> str:
        """What is computed from sealed data is sealed."""
        for name in sorted(refs):
            data = self._input if name == "input" else NOTHING
            if name not in ("input", "run"):
                data = self._output(name)
            if data.sealed:
                return data.sealed
        return ""

    def _output(self, node: str) -> Data:
        output = self._ended.get(node)
        return self._state.steps[node].output if output is None else output

    def _is_skipped(self, node: str) -> bool:
        output = self._ended.get(node)
        if output is not None:
            return output is _SKIPPED
        return self._state.steps[node].phase is StepPhase.SKIPPED
