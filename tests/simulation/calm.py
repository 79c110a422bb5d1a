"""A run that nothing disturbs: no loop, no store, no worker, only the rules and a clock.

People answer as they do in every world, places in queues are free, and the runs that it has as
steps are undisturbed as well.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from tests.simulation import documents
from tests.simulation.effects import (
    PlannedDefect,
    begun_report,
    model_report,
    questions_of,
    tool_report,
)
from tests.simulation.governor import withheld
from tests.simulation.script import Reaction, Script

from stepwell.agents.requests import new_messages
from stepwell.engine.commands import (
    CallModel,
    CallTool,
    Command,
    EnterQueue,
    ExpireAsk,
    ExpireQuestion,
    ExpireStep,
    FireTimer,
    JudgeLost,
    StartChild,
    Stop,
    WakeAt,
    child_run,
    tool_call_id,
)
from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.events import (
    ApprovalRequested,
    Event,
    Parent,
    QuestionAnswered,
    QuestionAsked,
    StepScheduled,
)
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph, SignalNode
from stepwell.engine.inputs import (
    Admitted,
    AnswerQuestion,
    AskExpired,
    ChildEnded,
    ChildStarted,
    Expire,
    Fired,
    Input,
    QuestionExpired,
    Resolve,
    Signal,
    Start,
)
from stepwell.engine.state import RunPhase, RunState
from stepwell.engine.values import Data, Failure
from stepwell.errors import StepwellError
from stepwell.orchestrator.effects import broken
from stepwell.orchestrator.intake import check_input
from stepwell.orchestrator.peers import failure_of_child, too_deep
from stepwell.orchestrator.standing import run_of_state
from stepwell.tools.registry import ToolRegistry

PERSON = "user:bob"
"""Who answers."""
BECAUSE = "so it is"
"""Why."""


def undisturbed(run: str, graph: Graph, start: Start, script: Script) -> "Calm":
    """The run when every report comes at its time and only once."""
    calm = Calm(RunState(run, graph), script)
    calm.begin(start)
    calm.go_on()
    return calm


class Calm:
    """A run under this one owner that never dies. It has `state`, `events` and `children`."""

    def __init__(self, state: RunState, script: Script) -> None:
        self.state = state
        self.events: list[Event] = []
        self.children: dict[str, Calm] = {}
        self._script = script
        self._now = 0
        self._count = count()
        self._asking: dict[str, CallTool] = {}
        """Calls that wait for answers, by the id of their command."""
        self._coming: list[tuple[int, int, Input | None]] = []
        """A heap of what will be given, None to look at the clock only."""

    @property
    def family(self) -> "Iterator[Calm]":
        """It, and all runs below it."""
        yield self
        for child in self.children.values():
            yield from child.family

    def begin(self, start: Start) -> None:
        """Starts the run at its own time."""
        self._now = start.at
        self.give(start)

    def give(self, given: Input) -> None:
        """Tells the run something."""
        events = decide(self.state, given)
        for event in events:
            evolve(self.state, event)
            self.events.append(event)
        for event in events:
            self._ask_people(event)
        for command in due(self.state, self._now):
            self._perform(command)

    def go_on(self) -> None:
        """Gives what comes, in the order of time, until the run has ended."""
        while self._coming and not self.state.has_ended:
            self._now, _, given = heappop(self._coming)
            if given is not None:
                self.give(given)
            else:
                for command in due(self.state, self._now):
                    self._perform(command)
        assert self.state.has_ended, "nothing is coming, and the run has not ended"

    # --- what is asked --------------------------------------------------------------------

    def _ask_people(self, event: Event) -> None:
        match event:
            case ApprovalRequested(step=id):
                self._ask_person(id, event)
            case StepScheduled(step=id) if id in self.state.steps:
                node = self.state.steps[id].spec
                if isinstance(node, SignalNode) and id in self.state.listening[node.signal]:
                    said = self._script.message(self.state.run, node)
                    if said is not None:
                        at = self._at(said.delay)
                        payload = Data(value=said.value)
                        self._expect(Signal(at=at, name=node.signal, payload=payload))
            case QuestionAsked():
                self._ask_for_input(event)
            case QuestionAnswered():
                self._go_on_with(event)
            case _:
                pass

    def _ask_for_input(self, event: QuestionAsked) -> None:
        call = f"{event.step}/{event.call}" if event.call else event.step
        said = self._script.reply(self.state.run, call, event.key)
        if said is not None:
            self._expect(reply(event, said, self._at(said.delay)))

    def _go_on_with(self, event: QuestionAnswered) -> None:
        """A call has the last of its answers, and acts."""
        id = tool_call_id(event.step, event.attempt, event.call)
        command = self._asking.get(id)
        if command is not None and not self.state.steps[event.step].asks_in(event.call):
            del self._asking[id]
            self._act(command)

    def _ask_person(self, id: str, event: ApprovalRequested) -> None:
        step = self.state.steps[id]
        ask = step.asks[event.call]
        said: Reaction | None
        if ask.call is None:
            said = self._script.approval(self.state.run, step)
        elif ask.about == "call":
            said = self._script.consent(self.state.run, ask.call)
        else:
            said = self._script.outcome(self.state.run, step, ask.call)
        if said is not None:
            self._expect(answer(id, event.call, said, self._at(said.delay), event.subject))

    def _perform(self, command: Command) -> None:
        now = self._now
        match command:
            case CallModel(step=step):
                plan = self._script.model(self.state.run, self.state, command)
                messages = new_messages(self.state.steps[step])
                self._expect(model_report(command, plan, messages, self._at(plan.delay)))
            case CallTool():
                self._call(command)
            case StartChild():
                self._start(command)
            case EnterQueue(step=step):
                self.give(Admitted(at=now, step=step))
            case ExpireStep(step=step, attempt=attempt):
                self.give(Expire(at=now, step=step, attempt=attempt))
            case ExpireAsk(step=step, attempt=attempt, call=call, at=until):
                self.give(AskExpired(at=now, step=step, attempt=attempt, call=call, until=until))
            case ExpireQuestion(step=step, attempt=attempt, question=id, at=until):
                given = QuestionExpired(
                    at=now, step=step, attempt=attempt, question=id, until=until
                )
                self.give(given)
            case FireTimer(step=step, attempt=attempt):
                self.give(Fired(at=now, step=step, attempt=attempt))
            case WakeAt():
                heappush(self._coming, (command.at, next(self._count), None))
            case Stop():
                pass  # what comes of it is stale
            case JudgeLost():
                raise AssertionError("nothing is lost where nobody dies")

    def _call(self, command: CallTool) -> None:
        plan = self._script.tool(self.state.run, command)
        put_off = withheld(self._script, self.state, command, plan, self._now)
        if put_off is not None:
            self.give(put_off)
            return
        is_called = not plan.is_denied and (plan.result is not None or plan.delay > 0)
        if not plan.may_repeat:
            self.give(begun_report(command, self._now))
        if plan.asks and is_called:
            self._asking[command.id] = command
            self.give(questions_of(self.state.run, command, plan, self._now))
            if self.state.steps[command.step].asks_in(command.call):
                return
            self._asking.pop(command.id, None)
        self._act(command)

    def _act(self, command: CallTool) -> None:
        plan = self._script.tool(self.state.run, command)
        if plan.asks and not plan.may_repeat:
            self.give(begun_report(command, self._now))
        at = self._at(plan.delay)
        if plan.breaks:
            self._expect(broken(command, PlannedDefect(), at))
        else:
            self._expect(tool_report(command, plan, at))

    # --- children -------------------------------------------------------------------------

    def _start(self, command: StartChild) -> None:
        id = child_run(self.state.run, command.step, command.attempt)
        depth = self.state.parent.depth + 1 if self.state.parent else 1
        graph = documents.graph_of(command.workflow)
        if depth > documents.MAX_DEPTH:
            self.give(self._ended(command, self._now, failure=too_deep(documents.MAX_DEPTH)))
            return
        try:
            check_input(graph, command.input.value, ToolRegistry())
        except StepwellError as error:
            why = Failure(error.code, error.message, detail=dict(error.detail))
            self.give(self._ended(command, self._now, failure=why))
            return
        parent = Parent(self.state.run, command.step, command.attempt, depth)
        principal = self.state.principal
        start = Start(at=self._now, principal=principal, input=command.input, parent=parent)
        child = self.children[id] = undisturbed(id, graph, start, self._script)
        step, attempt = command.step, command.attempt
        self.give(ChildStarted(at=self._now, step=step, attempt=attempt, child=id))
        self._expect(self._outcome(command, child.state))

    def _outcome(self, command: StartChild, child: RunState) -> ChildEnded:
        assert child.ended_at is not None, "it has run to its end"
        if child.phase is RunPhase.COMPLETED:
            return self._ended(command, child.ended_at, output=child.output)
        why = failure_of_child(run_of_state(child))
        return self._ended(command, child.ended_at, failure=why)

    def _ended(
        self,
        command: StartChild,
        at: int,
        *,
        output: Data | None = None,
        failure: Failure | None = None,
    ) -> ChildEnded:
        step, attempt = command.step, command.attempt
        return ChildEnded(at=at, step=step, attempt=attempt, output=output, failure=failure)

    def _at(self, delay: float) -> int:
        return self._now + round(delay * 1e6)

    def _expect(self, given: Input) -> None:
        heappush(self._coming, (given.at, next(self._count), given))


def reply(asked: QuestionAsked, said: Reaction, at: int) -> AnswerQuestion:
    """What a person says to the question of a tool."""
    value = said.value if said.verdict == "accept" else None
    return AnswerQuestion(
        at=at,
        principal=PERSON,
        step=asked.step,
        question=asked.id,
        action=said.verdict,
        content=Data(value=value),
    )


def answer(step: str, call: str, said: Reaction, at: int, subject: str) -> Resolve:
    """What a person says to a run."""
    return Resolve(
        at=at,
        principal=PERSON,
        step=step,
        verdict=said.verdict,
        call=call,
        reason=BECAUSE,
        value=Data(value=said.value),
        subject=subject,
    )
