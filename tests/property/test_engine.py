"""What holds of the engine for every event, every history, and whatever it is told."""

from typing import Any, get_type_hints

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.simulation import documents
from tests.simulation.calm import undisturbed
from tests.simulation.ledger import Ledger, picture
from tests.simulation.script import Script

from stepwell.engine import codec
from stepwell.engine.commands import CallModel, CallTool, Command, JudgeLost, Stop, WakeAt
from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.events import KINDS, NAMES, Event
from stepwell.engine.evolve import evolve
from stepwell.engine.inputs import (
    Answer,
    CallDenied,
    CallLost,
    Cancel,
    Expire,
    Input,
    ModelAnswered,
    Publish,
    Start,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.messages import Opaque, ToolRequest, Usage
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.errors import Code
from stepwell_storage.records import Append, Blob, Record

RUN = "01930000-0000-7000-8000-000000000000"
MARK = "row-of-a-customer"
"""Stands for what no event body may hold."""

# --- events and the log -------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
plain_data = st.builds(Data, value=json_values)
sealed_data = st.builds(
    lambda value, seal: Data(value=[MARK, value], sealed=seal),
    json_values,
    st.sampled_from(["datasource:shop", "datasource:other"]),
)
failures = st.builds(
    Failure,
    reason=st.sampled_from([str(code) for code in Code]),
    message=words,
    retryable=st.booleans(),
    detail=st.dictionaries(words, words, max_size=2),
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: whole,
    str: words,
    Data: plain_data | sealed_data,
    Failure: failures,
    Failure | None: st.none() | failures,
    Usage: st.builds(Usage, input=whole, output=whole, cache_read=whole),
    dict[str, str]: st.dictionaries(words, words, max_size=3),
    tuple[str, ...]: st.lists(words, max_size=3).map(tuple),
}


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(kind)
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: BY_TYPE[hints[field.name]] for field in fields})


every_event = st.one_of([events_of(kind) for kind in KINDS.values()])
limits = st.sampled_from([0, 40, 200, 16 * 1024])


@given(every_event, limits)
def test_an_event_comes_back_from_the_log_as_it_went_in(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    stored = codec.decode(NAMES[type(event)], body)
    kept = {blob.digest: blob for blob in blobs}
    assert set(codec.references(stored)) == kept.keys()
    assert _without_references(codec.fill(stored, kept)) == event


@given(every_event, limits)
def test_no_body_holds_sealed_data(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    assert MARK.encode() not in body
    for blob in blobs:
        assert (MARK.encode() in blob.data) == bool(blob.label)


@given(every_event, limits)
def test_what_is_larger_than_the_limit_is_beside_the_log(event: Event, limit: int) -> None:
    stored = codec.decode(NAMES[type(event)], codec.encode(event, limit)[0])
    for name in stored.__struct_fields__:
        data = getattr(stored, name)
        if isinstance(data, Data) and data.blob is None:
            assert codec.size(data.value) <= max(limit, codec.size(None))


@given(every_event, limits)
def test_an_event_that_was_read_is_written_as_before(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    kept = {blob.digest: blob for blob in blobs}
    read = codec.fill(codec.decode(NAMES[type(event)], body), kept)
    again, _ = codec.encode(_without_references(read), limit)
    assert again == body


def _without_references(event: Event) -> Event:
    data = {name: getattr(event, name) for name in event.__struct_fields__}
    found = {
        name: msgspec.structs.replace(value, blob=None)
        for name, value in data.items()
        if isinstance(value, Data)
    }
    return msgspec.structs.replace(event, **found)


# --- histories ----------------------------------------------------------------------------

seeds = st.integers(0, 10_000)


def fold(state: RunState, events: list[Event]) -> RunState:
    for event in events:
        evolve(state, event)
    return state


def through_the_log(events: list[Event]) -> list[Event]:
    return [_read(event) for event in events]


def _read(event: Event) -> Event:
    body, blobs = codec.encode(event, 100)
    return codec.fill(codec.decode(NAMES[type(event)], body), {b.digest: b for b in blobs})


@given(seeds, st.floats(0, 1))
@settings(deadline=None)
def test_a_fold_may_stop_anywhere_and_go_on_from_the_log(seed: int, where: float) -> None:
    graph = documents.graph(seed % 200)
    start = Start(at=0, principal="user:ann", input=Data(value={"n": seed}))
    calm = undisturbed(RUN, graph, start, Script(seed))
    cut = int(where * len(calm.events))
    state = fold(RunState(RUN, graph), through_the_log(calm.events[:cut]))
    assert picture(fold(state, calm.events[cut:])) == picture(calm.state)


# --- whatever a run is told ---------------------------------------------------------------

steps = st.sampled_from([f"n{index}" for index in range(documents.MOST_NODES)] + ["", "x/1"])
attempts = st.integers(-1, 4)
calls = st.sampled_from(["", "1.0", "1.1", "1.2", "2.0", "0.0", "9.9", "x"])
requests = st.builds(
    ToolRequest,
    id=words,
    name=st.sampled_from(documents.TOOLS),
    arguments=st.dictionaries(words, json_values, max_size=2),
    problem=st.just("") | words,
)
answers = st.one_of(
    st.builds(
        Answer,
        text=BY_TYPE[Data],
        tools=st.lists(requests, min_size=1, max_size=3).map(tuple),
        opaque=st.lists(st.builds(Opaque, words, json_values), max_size=1).map(tuple),
    ),
    st.builds(Answer, text=BY_TYPE[Data], final=BY_TYPE[Data]),
    st.builds(Answer, text=BY_TYPE[Data], problem=words.filter(bool)),
)
outcomes = st.one_of(
    st.builds(lambda result: {"result": result}, BY_TYPE[Data]),
    st.builds(lambda failure: {"failure": failure}, failures),
)
model_outcomes = st.one_of(
    st.builds(lambda answer: {"answer": answer}, answers),
    st.builds(lambda failure: {"failure": failure}, failures),
)
jitters = st.floats(0, 1, exclude_max=True)


class Telling(RuleBasedStateMachine):
    """A run that is told sense and nonsense. `decide` must take all of it."""

    @initialize(number=st.integers(0, 400), n=st.integers(0, 99))
    def start(self, number: int, n: int) -> None:
        self.graph = documents.graph(number)
        self.now = 0
        self.log: list[Event] = []
        self.state = RunState(RUN, self.graph)
        self.ledger = Ledger(number, on_end=lambda: None)
        self.ledger.open(RUN, self.graph)
        self.handed: set[str] = set()
        self.tell(Start(at=0, principal="user:ann", input=Data(value={"n": n})))

    def tell(self, given: Input) -> None:
        before = whole_of(self.state)
        events = decide(self.state, given)
        assert whole_of(self.state) == before, "decide changes nothing"
        after = self.state.sequence
        for event in events:
            evolve(self.state, event)
        self.log += events
        if events:
            self.ledger.committed(committed(events, after), self.state)
        self.look()

    def look(self) -> list[Command]:
        commands = due(self.state, self.now)
        for command in commands:
            if not isinstance(command, Stop | WakeAt):
                assert command.id not in self.handed, "each command is handed out once per fold"
                assert self.state.open[command.id] == command
                self.handed.add(command.id)
        return commands

    @rule(data=st.data(), outcome=outcomes, model=model_outcomes, jitter=jitters)
    def answer_what_is_asked(
        self, data: st.DataObject, outcome: Any, model: Any, jitter: float
    ) -> None:
        asked = [self.state.open[id] for id in sorted(self.handed & self.state.open.keys())]
        if not asked:
            return
        command = data.draw(st.sampled_from(asked), label="command")
        match command:
            case CallTool():
                report = ToolAnswered(at=self.now, jitter=jitter, **place_of(command), **outcome)
                self.tell(report)
            case CallModel():
                self.tell(self.model(place_of(command), jitter, **model))
            case JudgeLost(call=call):
                self.tell(CallLost(at=self.now, **place_of(call)))
            case _:
                pass

    @rule(data=st.data())
    def begin_a_call_that_may_not_be_repeated(self, data: st.DataObject) -> None:
        asked = [it for it in self.state.open.values() if isinstance(it, CallTool)]
        if asked:
            call = data.draw(st.sampled_from(sorted(asked, key=lambda it: it.id)), label="call")
            self.tell(ToolBegun(at=self.now, **place_of(call)))

    @rule(step=steps, attempt=attempts, call=calls, outcome=outcomes, jitter=jitters)
    def answer_a_tool_that_nobody_asked(
        self, step: str, attempt: int, call: str, outcome: Any, jitter: float
    ) -> None:
        place: dict[str, Any] = {"step": step, "attempt": attempt, "call": call}
        self.tell(ToolAnswered(at=self.now, jitter=jitter, **place, **outcome))

    @rule(step=steps, attempt=attempts, call=st.integers(-1, 4), outcome=model_outcomes)
    def answer_for_a_model_that_nobody_asked(
        self, step: str, attempt: int, call: int, outcome: Any
    ) -> None:
        self.tell(self.model({"step": step, "attempt": attempt, "call": call}, 0.5, **outcome))

    @rule(
        kind=st.sampled_from([CallDenied, CallLost, ToolBegun]),
        step=steps,
        attempt=attempts,
        call=calls,
    )
    def say_something_of_a_call(self, kind: Any, step: str, attempt: int, call: str) -> None:
        self.tell(kind(at=self.now, step=step, attempt=attempt, call=call))

    @rule(step=steps, attempt=attempts, jitter=jitters)
    def say_that_time_is_over(self, step: str, attempt: int, jitter: float) -> None:
        self.tell(Expire(at=self.now, step=step, attempt=attempt, jitter=jitter))

    @rule(payload=BY_TYPE[Data])
    def publish(self, payload: Data) -> None:
        self.tell(Publish(at=self.now, type="note", payload=payload))

    @rule()
    def start_again(self) -> None:
        self.tell(Start(at=self.now, input=NOTHING))

    @rule(really=st.integers(0, 20))
    def cancel(self, really: int) -> None:
        if not really:
            self.tell(Cancel(at=self.now, reason="enough"))

    @rule(seconds=st.sampled_from([0.01, 1, 60]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)
        self.look()

    @rule()
    def hand_over(self) -> None:
        """Another owner folds the log, and is handed all that is open."""
        again = fold(RunState(RUN, self.graph), through_the_log(self.log))
        assert picture(again) == picture(self.state)
        self.state, self.handed = again, set()
        self.look()

    @invariant()
    def a_run_that_has_not_ended_waits_for_something(self) -> None:
        if getattr(self, "log", None):
            assert self.state.has_ended != bool(self.state.open)

    def teardown(self) -> None:
        """In the end everything that is open was handed out once."""
        if getattr(self, "log", None):
            self.now += 10**12
            self.look()
            assert self.state.open.keys() <= self.handed

    def model(self, place: Any, jitter: float, **outcome: Any) -> ModelAnswered:
        return ModelAnswered(
            at=self.now, jitter=jitter, model="fake", messages=NOTHING, **place, **outcome
        )


def place_of(call: CallTool | CallModel) -> dict[str, Any]:
    """Which call of which attempt of which step."""
    return {"step": call.step, "attempt": call.attempt, "call": call.call}


def committed(events: list[Event], after: int) -> Append:
    """What the store is given."""
    records: list[Record] = []
    blobs: list[Blob] = []
    for sequence, event in enumerate(events, after + 1):
        body, parts = codec.encode(event, 100)
        records.append(Record(sequence, NAMES[type(event)], "user:ann", body))
        blobs.extend(parts)
    return Append("default", RUN, 1, after, tuple(records), tuple(blobs))


def whole_of(state: RunState) -> bytes:
    """Every bit of a state but its graph."""
    parts = [getattr(state, name) for name in state.__struct_fields__ if name != "graph"]
    return msgspec.msgpack.encode(parts, enc_hook=str)


TestTelling = Telling.TestCase
TestTelling.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
