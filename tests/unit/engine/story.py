"""A run under the test's own hand: tell it something, see the events and what is due."""

from typing import Any, TypeVar

from tests.property.indexes import contradiction

from stepwell.definitions.compile import compile_definition
from stepwell.engine import codec
from stepwell.engine.commands import CallTool, Command, Stop
from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.events import NAMES, Event
from stepwell.engine.evolve import evolve
from stepwell.engine.inputs import (
    Answer,
    Input,
    ModelAnswered,
    Resolve,
    Signal,
    Start,
    ToolAnswered,
)
from stepwell.engine.messages import ToolRequest
from stepwell.engine.objections import objection
from stepwell.engine.state import Conversation, RunState
from stepwell.engine.values import NOTHING, Data, Failure

E = TypeVar("E", bound=Event)

RUN = "01930000-0000-7000-8000-000000000000"


class Story:
    """A run, its log, and what is in flight. Time is given by hand, in microseconds."""

    def __init__(self, source: str, *, run: str = RUN) -> None:
        self.source = source
        self.graph = compile_definition(source.encode(), tools=None)
        self.state = RunState(run, self.graph)
        self.log: list[Event] = []
        self.stopped: list[str] = []
        self.due: list[Command] = []
        self.now = 0

    def give(self, given: Input) -> list[Event]:
        """The events that follow; what is due afterwards is in `due`."""
        self.now = max(self.now, given.at)
        events = decide(self.state, given)
        for event in events:
            evolve(self.state, event)
        self.log += events
        self.due = due(self.state, self.now)
        self.stopped += [command.id for command in self.due if isinstance(command, Stop)]
        assert not contradiction(self.state)
        return events

    def fold(self, events: list[Event]) -> None:
        """What is in the log already."""
        for event in events:
            evolve(self.state, event)
        self.log += events

    def start(self, input: Any = None) -> list[Event]:
        return self.give(Start(at=self.now, principal="user:ann", input=Data(value=input or {})))

    def tool(self, step: str, result: Any = None, *, sealed: str = "", **given: Any) -> list[Event]:
        """A tool call came back, well unless `failure` says otherwise."""
        failed = "failure" in given
        values = {"at": self.now, "step": step, "attempt": 1, "call": "", **given}
        answer = None if failed else Data(value=result, sealed=sealed)
        return self.give(ToolAnswered(result=answer, **values))

    def signal(self, name: str, payload: Any, *, id: str = "") -> list[Event]:
        """A message comes."""
        return self.give(Signal(at=self.now, name=name, payload=plain(payload), id=id))

    def answer(self, step: str, verdict: str, **given: Any) -> Resolve:
        """What a person says to what a step asks."""
        value = plain(given.pop("value", None))
        values = {"at": self.now, "principal": "user:ann", "step": step, **given}
        return Resolve(verdict=verdict, value=value, **values)

    def resolve(self, step: str, verdict: str, **given: Any) -> list[Event]:
        """A person answers."""
        return self.give(self.answer(step, verdict, **given))

    def objection_to(self, step: str, verdict: str, **given: Any) -> str:
        """What stands against such an answer."""
        found = objection(self.state, self.answer(step, verdict, **given))
        assert found is not None
        return found.message

    def model(self, step: str, call: int, **said: Any) -> list[Event]:
        """A model answered: `tools`, `final` or `problem`; or it failed: `failure`."""
        failure: Failure | None = said.pop("failure", None)
        attempt = said.pop("attempt", 1)
        answer = None if failure else Answer(text=Data(value="..."), **said)
        return self.give(
            ModelAnswered(
                at=self.now,
                step=step,
                attempt=attempt,
                call=call,
                model="fake",
                messages=NOTHING,
                answer=answer,
                failure=failure,
            )
        )

    def fold_again(self) -> RunState:
        """What another owner sees who reads the log, written and read back."""
        state = RunState(self.state.run, self.graph)
        for event in self.log:
            body, _ = codec.encode(event, 1 << 20)
            evolve(state, codec.decode(NAMES[type(event)], body))
        return state

    def last(self, kind: type[E]) -> E:
        """The newest event, which is of this kind."""
        event = self.log[-1]
        assert isinstance(event, kind)
        return event

    def talk(self, step: str) -> Conversation:
        """An agent's conversation so far."""
        talk = self.state.steps[step].conversation
        assert talk is not None
        return talk

    @property
    def failure(self) -> Failure:
        """Why the run failed."""
        assert self.state.failure is not None
        return self.state.failure

    @property
    def calls(self) -> list[CallTool]:
        """The tool calls that are due."""
        return [command for command in self.due if isinstance(command, CallTool)]

    @property
    def kinds(self) -> list[str]:
        return [NAMES[type(event)] for event in self.log]


def plain(value: Any) -> Data:
    """Data that is not sealed."""
    return Data(value=value)


def wish(id: str, name: str = "look", **arguments: Any) -> ToolRequest:
    """A model's wish to call a tool."""
    return ToolRequest(id, name, arguments)
