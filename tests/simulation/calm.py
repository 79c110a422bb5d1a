"""A run that nothing disturbs: no loop, no store, no worker, only the rules and a clock."""

from heapq import heappop, heappush

from tests.simulation.effects import PlannedDefect, begun_report, model_report, tool_report
from tests.simulation.script import Script

from stepwell.agents.requests import new_messages
from stepwell.engine.commands import (
    CallModel,
    CallTool,
    Command,
    ExpireStep,
    JudgeLost,
    Stop,
    WakeAt,
)
from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.events import Event
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Expire, Input, Start
from stepwell.engine.state import RunState
from stepwell.orchestrator.effects import broken


def undisturbed(run: str, graph: Graph, start: Start, script: Script) -> "Calm":
    """The run when every report comes at its time and only once."""
    calm = Calm(RunState(run, graph), script)
    calm.begin(start)
    calm.go_on()
    return calm


class Calm:
    """A run under this one owner that never dies. It has `state` and `events`."""

    def __init__(self, state: RunState, script: Script) -> None:
        self.state = state
        self.events: list[Event] = []
        self._script = script
        self._now = 0
        self._count = 0
        self._coming: list[tuple[int, int, Input | None]] = []
        """A heap of what will be given, None to look at the clock only."""

    def begin(self, start: Start) -> None:
        """Starts the run at its own time."""
        self._now = start.at
        self.give(start)

    def give(self, given: Input) -> None:
        """Tells the run something."""
        for event in decide(self.state, given):
            evolve(self.state, event)
            self.events.append(event)
        self._carry_out()

    def go_on(self) -> None:
        """Gives what comes, in the order of time, until the run has ended."""
        while self._coming and not self.state.has_ended:
            self._now, _, given = heappop(self._coming)
            if given is None:
                self._carry_out()
            else:
                self.give(given)
        assert self.state.has_ended, "nothing is coming, and the run has not ended"

    def _carry_out(self) -> None:
        for command in due(self.state, self._now):
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case CallModel():
                plan = self._script.model(self.state.run, self.state, command)
                at = self._now + round(plan.delay * 1e6)
                messages = new_messages(self.state.steps[command.step])
                self._expect(at, model_report(command, plan, messages, at))
            case CallTool():
                self._call(command)
            case ExpireStep():
                self.give(Expire(at=self._now, step=command.step, attempt=command.attempt))
            case WakeAt():
                self._expect(command.at, None)
            case Stop():
                pass  # what comes of it is stale
            case JudgeLost():
                raise AssertionError("nothing is lost where nobody dies")

    def _call(self, command: CallTool) -> None:
        plan = self._script.tool(self.state.run, command)
        at = self._now + round(plan.delay * 1e6)
        if not plan.may_repeat:
            self.give(begun_report(command, self._now))
        if plan.breaks:
            self._expect(at, broken(command, PlannedDefect(), at))
        else:
            self._expect(at, tool_report(command, plan, at))

    def _expect(self, at: int, given: Input | None) -> None:
        self._count += 1
        heappush(self._coming, (at, self._count, given))
