"""How a run moves on through its graph: which nodes start, are skipped, or end at once.

A node is ready when every node that it needs has ended. Then it is skipped when its `if` is
false, when a switch that it hangs on chose another, when the node that it takes over from did
not fail, or when everything that it needs was skipped. `transform` and `switch` have no effect
on the world, so they end here and now; so does a `signal` whose message is there already. A map
or a loop is a step that makes steps: as many as may be in flight, and another when one has ended.
"""

from collections.abc import Mapping

from stepwell.engine.events import (
    ApprovalRequested,
    Event,
    RunCompleted,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepSkipped,
)
from stepwell.engine.expressions import ExpressionError
from stepwell.engine.fans import FanView, child_step, listed, view_of
from stepwell.engine.graph import (
    FAIL,
    AgentNode,
    ApprovalNode,
    LeafNode,
    LoopNode,
    MapNode,
    Node,
    SignalNode,
    SwitchNode,
    ToolNode,
    TransformNode,
    WaitNode,
    WorkflowNode,
)
from stepwell.engine.instants import FARTHEST, instant, instant_text, length
from stepwell.engine.sealing import said_of
from stepwell.engine.sight import SKIPPED, Ended, Sight
from stepwell.engine.state import RunState, StepPhase, StepState, subject_of
from stepwell.engine.undoing import end_badly
from stepwell.engine.values import NOTHING, Data, Failure


class Progress:
    """One decision's walk through the graph, seen over a state that does not change."""

    __slots__ = (
        "_at",
        "_begins",
        "_done",
        "_events",
        "_fans",
        "_given",
        "_growing",
        "_has_failed",
        "_ready",
        "_sight",
        "_state",
        "_subject",
        "_taken",
        "_waiting",
    )

    def __init__(
        self,
        state: RunState,
        at: int,
        given: Data | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """`given` and `labels` are those of a run that is just being started."""
        self._state = state
        self._subject = state.subject if labels is None else subject_of(labels, state.subject_label)
        self._at = at
        self._begins = given is not None
        self._sight = Sight(state, given)
        self._events: list[Event] = []
        self._waiting: dict[str, int] = {}
        self._ready: list[str] = []
        self._fans: dict[str, FanView] = {}
        self._growing: list[FanView] = []
        self._taken: dict[str, int] = {}
        self._given: dict[str, Data] = {}
        self._done: tuple[StepState, Data] | None = None
        self._has_failed = False

    # --- what it is asked -----------------------------------------------------------------

    def begin(self) -> list[Event]:
        """What follows from the start of the run."""
        self._ready.extend(id for id, node in self._state.graph.nodes.items() if not node.needs)
        return self._walk()

    def after(self, step: StepState, output: Data) -> list[Event]:
        """What follows when a step has ended with `output`."""
        self._done = step, output
        self._end_step(step, Ended(output))
        return self._walk()

    def after_failure(self, step: StepState, failure: Failure, handled: str) -> list[Event]:
        """What follows when a step has failed and the run goes on."""
        self._end_step(step, Ended(failure=failure, handled=handled))
        return self._walk()

    def again(self, step: str, given: Data | None) -> list[Event]:
        """What follows where a run is forked; `step` is given `given` instead of its own input."""
        if given is not None:
            self._given[step] = given
        state = self._state
        self._ready.extend(
            id for id in state.graph.nodes if id not in state.steps and not state.waiting.get(id, 0)
        )
        for active in state.steps.values():
            if active.phase is StepPhase.ACTIVE and active.fan is not None:
                self._growing.append(self._fan(active.id))
        return self._walk()

    # --- the walk -------------------------------------------------------------------------

    def _walk(self) -> list[Event]:
        while (self._ready or self._growing) and not self._has_failed:
            if self._growing:
                self._grow(self._growing.pop(0))
            else:
                self._start(self._state.graph.nodes[self._ready.pop(0)])
        if not self._has_failed and self._state.ended + self._sight.added == len(
            self._state.graph.nodes
        ):
            self._finish()
        return self._events

    def _end_step(self, step: StepState, ended: Ended) -> None:
        if step.owner:
            fan = self._fan(step.owner)
            fan.end(step.index, ended.output)
            self._growing.append(fan)
        else:
            self._end(step.node, ended)

    def _end(self, node: str, ended: Ended) -> None:
        self._sight.add(node, ended)
        graph, state = self._state.graph, self._state
        for dependent in graph.dependents[node]:
            left = self._waiting.get(dependent)
            if left is None:
                needs = graph.nodes[dependent].needs
                left = len(needs) if self._begins else state.waiting[dependent]
            self._waiting[dependent] = left - 1
            if left == 1:
                self._ready.append(dependent)

    def _start(self, node: Node) -> None:
        """Starts or skips one node."""
        try:
            reason = self._skip_reason(node)
            if reason:
                skipped = StepSkipped(at=self._at, step=node.id, node=node.id, reason=reason)
                self._events.append(skipped)
                self._end(node.id, SKIPPED)
                return
            match node:
                case TransformNode():
                    self._end_at_once(node, self._sight.render(node.value))
                case SwitchNode():
                    self._end_at_once(node, self._choose(node))
                case MapNode() | LoopNode():
                    self._spread(node)
                case _:
                    output = self._schedule(node.id, node.id, node, None)
                    if output is not None:
                        self._end(node.id, Ended(output))
        except ExpressionError as error:
            self._fail(node, error)

    def _end_at_once(self, node: Node, output: Data) -> None:
        self._events += (
            StepScheduled(at=self._at, step=node.id, node=node.id),
            StepCompleted(at=self._at, step=node.id, output=output),
        )
        self._end(node.id, Ended(output))

    def _skip_reason(self, node: Node) -> str:
        takes_over, goes_on = False, not node.needs
        for need in node.needs:
            other, ended = self._state.graph.nodes[need], self._sight.of(need)
            if other.on_error == node.id:
                takes_over = ended.handled == node.id
                if not takes_over:
                    return "on_error"
            if isinstance(other, SwitchNode) and _has_passed_over(other, ended, node.id):
                return "switch"
            goes_on = goes_on or not ended.is_passed_over
        if not (goes_on or takes_over):
            return "needs"
        condition = node.condition
        if condition is not None and not condition.holds(self._sight.see(condition.refs)):
            return "condition"
        return ""

    def _choose(self, node: SwitchNode) -> Data:
        for case in node.cases:
            if case.condition is None or case.condition.holds(self._sight.see(case.condition.refs)):
                return Data(value=case.target)
        return NOTHING

    # --- steps ----------------------------------------------------------------------------

    def _schedule(
        self, step: str, node: str, spec: LeafNode, beside: dict[str, Data] | None
    ) -> Data | None:
        """Schedules a step; its output where it has one at once.

        Raises:
            ExpressionError: what it is given has no value.
        """
        given = self._given.get(step) or self._input_of(spec, beside)
        self._events.append(StepScheduled(at=self._at, step=step, node=node, input=given))
        match spec:
            case ToolNode() | AgentNode() | WorkflowNode() | WaitNode():
                return None
            case ApprovalNode():
                ask = ApprovalRequested(at=self._at, step=step, message=given)
                self._events.append(ask)
                return None
            case SignalNode():
                return self._take_message(step, spec.signal)

    def _take_message(self, step: str, name: str) -> Data | None:
        kept, taken = self._state.signals.get(name, ()), self._taken.get(name, 0)
        if len(kept) <= taken:
            return None
        output = kept[taken]
        self._taken[name] = taken + 1
        self._events.append(StepCompleted(at=self._at, step=step, output=output))
        return output

    def _input_of(self, spec: LeafNode, beside: dict[str, Data] | None) -> Data:
        match spec:
            case AgentNode() | ToolNode() | WorkflowNode():
                return self._sight.render(spec.parameters, beside)
            case ApprovalNode():
                return self._sight.render(spec.message, beside)
            case WaitNode():
                return self._until(spec, beside)
            case SignalNode():
                return NOTHING

    def _until(self, spec: WaitNode, beside: dict[str, Data] | None) -> Data:
        if spec.until is not None:
            given = self._sight.render(spec.until, beside)
            until = instant(given.value)
        else:
            given = self._sight.render(spec.length, beside)
            until = self._at + length(given.value)
        return Data(value={"until": instant_text(min(until, FARTHEST))}, sealed=given.sealed)

    # --- maps and loops -------------------------------------------------------------------

    def _spread(self, node: MapNode | LoopNode) -> None:
        given = NOTHING
        if isinstance(node, MapNode):
            given = listed(self._given.get(node.id) or self._sight.render(node.items))
        self._events.append(StepScheduled(at=self._at, step=node.id, node=node.id, input=given))
        fan = self._fans[node.id] = FanView(node.id, node, given, None)
        self._growing.append(fan)

    def _fan(self, owner: str) -> FanView:
        fan = self._fans.get(owner)
        if fan is None:
            fan = self._fans[owner] = view_of(self._state.steps[owner])
        return fan

    def _grow(self, fan: FanView) -> None:
        """Schedules as many steps of a map or a loop as may be in flight, or ends it."""
        node, body = fan.node, fan.node.body
        try:
            while fan.may_begin(self._sight):
                index = fan.begin()
                step = child_step(fan.owner, index)
                output = self._schedule(step, node.id, body, fan.beside(index))
                if output is not None:
                    fan.end(index, output)
        except ExpressionError as error:
            self._fail(node, error)
            return
        if fan.has_ended:
            output = fan.output()
            attempt = self._attempt(node)
            done = StepCompleted(at=self._at, step=node.id, attempt=attempt, output=output)
            self._events.append(done)
            self._end(node.id, Ended(output))

    def _attempt(self, node: Node) -> int:
        """Which attempt of a node goes on: a map whose time was over may be tried again."""
        step = self._state.steps.get(node.id)
        return 1 if step is None else step.attempt

    # --- ends -----------------------------------------------------------------------------

    def _finish(self) -> None:
        try:
            output = self._sight.render(self._state.graph.output)
        except ExpressionError as error:
            seal = self._sight.seal(("input", *self._state.graph.nodes))
            failure = said_of(error, "the output of the workflow", seal, self._subject)
            self._end_run_badly(failure, "")
        else:
            self._events.append(RunCompleted(at=self._at, output=output))

    def _fail(self, node: Node, error: ExpressionError) -> None:
        """An expression of a node has no value: it fails like any other step."""
        seal = self._sight.seal(("input", *node.needs))
        failure = said_of(error, f"node {node.id}", seal, self._subject)
        handled = "" if node.on_error == FAIL else node.on_error
        self._events.append(
            StepFailed(
                at=self._at,
                step=node.id,
                attempt=self._attempt(node),
                failure=failure,
                handled=handled,
            )
        )
        if handled:
            self._end(node.id, Ended(failure=failure, handled=handled))
        else:
            self._end_run_badly(failure, node.id)

    def _end_run_badly(self, failure: Failure, step: str) -> None:
        self._has_failed = True
        self._events += end_badly(
            self._state, self._sight, self._at, failure, step, also=self._done
        )


def _has_passed_over(switch: SwitchNode, ended: Ended, node: str) -> bool:
    """Whether a node is one of a switch's targets, and not the one that was chosen."""
    return ended.output.value != node and any(case.target == node for case in switch.cases)
