"""A run that is told sense and nonsense, of every kind, in any order: the laws of the engine hold."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.property.indexes import contradiction
from tests.property.strategies import (
    any_data,
    child_outcomes,
    jitters,
    model_outcomes,
    tool_outcomes,
)
from tests.property.test_engine import RUN, fold, through_the_log
from tests.simulation import documents
from tests.simulation.ledger import Ledger
from tests.simulation.pictures import picture

from stepwell.engine import codec
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
)
from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.events import NAMES, Event, StepScheduled
from stepwell.engine.graph import UNDO
from stepwell.engine.inputs import (
    Admitted,
    AnswerQuestion,
    Asked,
    AskExpired,
    AskQuestions,
    CallDenied,
    CallHeld,
    CallLost,
    CallThrottled,
    Cancel,
    ChildEnded,
    ChildStarted,
    Expire,
    Fired,
    Fork,
    Input,
    ModelAnswered,
    Pause,
    Publish,
    QuestionExpired,
    Resolve,
    Resume,
    RetryStep,
    Signal,
    Start,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.objections import objection
from stepwell.engine.state import RunPhase, RunState
from stepwell.engine.values import NOTHING, Data
from stepwell.orchestrator.asked import take_rows
from stepwell_storage.records import Append, Blob, Record

nodes = [f"n{index}" for index in range(documents.MOST_NODES)]
steps = st.sampled_from([*nodes, "n0[0]", "n1[1]", "n2[0]", "n0.undo", "n1[0].undo", "", "x/1"])
attempts = st.integers(-1, 4)
calls = st.sampled_from(["", "1.0", "1.1", "1.2", "2.0", "0.0", "9.9", "x"])
names = st.sampled_from(["ready", "go0", "go1", "go2", "hurried0", "hurried1", "nobody"])
verdicts = st.sampled_from(["approve", "deny", "done", "retry", "fail"])
seldom = st.integers(0, 15)


class Telling(RuleBasedStateMachine):
    """A run in one pair of hands. `decide` must take whatever it is told."""

    @initialize(number=st.integers(0, documents.COUNT - 1), n=st.integers(0, 99), queued=seldom)
    def start(self, number: int, n: int, queued: int) -> None:
        self.graph = documents.graph(number)
        self.now = 0
        self.forks = 0
        self.state = RunState(RUN, self.graph)
        self.history: list[Event] = []
        self.own: list[Event] = []
        self.ledger = Ledger(number, on_commit=lambda run, events: None)
        self.ledger.open(RUN, self.graph)
        self.handed: set[str] = set()
        given = Data(value={"n": n})
        queue = "" if queued else "slow"
        self.tell(Start(at=0, principal="user:ann", input=given, queue=queue))

    # --- telling --------------------------------------------------------------------------

    def tell(self, given: Input) -> list[Event]:
        before = whole_of(self.state)
        events = decide(self.state, given)
        assert whole_of(self.state) == before, "decide changes nothing"
        if events and not isinstance(given, Start):
            assert objection(self.state, given) is None, "what stands against it is not decided"
        after = len(self.own)
        fold(self.state, events)
        self.history += events
        self.own += events
        if events:
            append = committed(self.state.run, events, after)
            append = msgspec.structs.replace(append, approvals=take_rows(self.state))
            self.ledger.committed(append, self.state)
        if not isinstance(given, Publish | Fork) and not (
            isinstance(given, Signal) and not given.id
        ):
            assert decide(self.state, given) == [], "what is told again teaches nothing"
        self.look()
        return events

    def look(self) -> list[Command]:
        self.handed &= self.state.open.keys()
        commands = due(self.state, self.now)
        for command in commands:
            if not isinstance(command, Stop | WakeAt):
                assert command.id not in self.handed, "each command is handed out once per fold"
                assert self.state.open[command.id] == command
                self.handed.add(command.id)
        return commands

    # --- what is asked --------------------------------------------------------------------

    @rule(data=st.data(), tool=tool_outcomes, model=model_outcomes, jitter=jitters)
    def answer_what_is_asked(
        self, data: st.DataObject, tool: Any, model: Any, jitter: float
    ) -> None:
        asked = [self.state.open[id] for id in sorted(self.handed)]
        if not asked:
            return
        command = data.draw(st.sampled_from(asked), label="command")
        match command:
            case CallTool():
                report = ToolAnswered(at=self.now, jitter=jitter, **place_of(command), **tool)
                self.tell(report)
            case CallModel():
                self.tell(self.model(place_of(command), jitter, **model))
            case JudgeLost(call=call):
                self.tell(CallLost(at=self.now, **place_of(call)))
            case EnterQueue(step=step):
                self.tell(Admitted(at=self.now, step=step))
            case FireTimer(step=step, attempt=attempt):
                self.tell(Fired(at=self.now, step=step, attempt=attempt))
            case ExpireAsk(step=step, attempt=attempt, call=call, at=until):
                where: dict[str, Any] = {"step": step, "attempt": attempt, "call": call}
                self.tell(AskExpired(at=self.now, until=until, **where))
            case ExpireQuestion(step=step, attempt=attempt, question=id, at=until):
                place: dict[str, Any] = {"step": step, "attempt": attempt, "question": id}
                self.tell(QuestionExpired(at=self.now, until=until, **place))
            case ExpireStep(step=step, attempt=attempt):
                self.tell(Expire(at=self.now, step=step, attempt=attempt, jitter=jitter))
            case _:
                pass

    @rule(data=st.data(), outcome=child_outcomes, ends=st.booleans(), jitter=jitters)
    def tell_of_a_child(self, data: st.DataObject, outcome: Any, ends: bool, jitter: float) -> None:
        asked = [it for it in self.state.open.values() if isinstance(it, StartChild)]
        if not asked:
            return
        it = data.draw(st.sampled_from(sorted(asked, key=lambda it: it.id)), label="child")
        place: dict[str, Any] = {"at": self.now, "step": it.step, "attempt": it.attempt}
        if ends:
            self.tell(ChildEnded(jitter=jitter, **place, **outcome))
        else:
            child = child_run(self.state.run, it.step, it.attempt)
            self.tell(ChildStarted(child=child, **place))

    @rule(data=st.data())
    def begin_a_call_that_may_not_be_repeated(self, data: st.DataObject) -> None:
        asked = [it for it in self.state.open.values() if isinstance(it, CallTool)]
        if asked:
            call = data.draw(st.sampled_from(sorted(asked, key=lambda it: it.id)), label="call")
            self.tell(ToolBegun(at=self.now, **place_of(call)))

    @rule(
        data=st.data(),
        kind=st.sampled_from(["hold", "hold", "hold", "put off", "deny"]),
        is_stale=st.integers(0, 4),
        seconds=st.sampled_from([0.01, 1, 60]),
    )
    def decide_on_a_call(
        self, data: st.DataObject, kind: str, is_stale: int, seconds: float
    ) -> None:
        asked = [it for it in self.state.open.values() if isinstance(it, CallTool)]
        if not asked:
            return
        call = data.draw(st.sampled_from(sorted(asked, key=lambda it: it.id)), label="call")
        withheld = call.withheld if is_stale else call.withheld - 1
        values: dict[str, Any] = {"at": self.now, "withheld": withheld, **place_of(call)}
        until = self.now + round(seconds * 1e6)
        match kind:
            case "hold":
                subject = f"{self.state.run}/{len(self.history)}"
                self.tell(CallHeld(subject=subject, nonce="n", expires_at=until, **values))
            case "put off":
                if self.tell(CallThrottled(until=until, **values)):
                    self.handed.discard(call.id)  # it will be asked for again
            case _:
                self.tell(CallDenied(**values))

    @rule(
        data=st.data(),
        keys=st.sets(st.sampled_from(["a", "b", "c"]), min_size=1),
        question=any_data,
        expires=st.booleans(),
    )
    def ask_for_a_call(
        self, data: st.DataObject, keys: set[str], question: Data, expires: bool
    ) -> None:
        asked = [it for it in self.state.open.values() if isinstance(it, CallTool | JudgeLost)]
        if not asked:
            return
        it = data.draw(st.sampled_from(sorted(asked, key=lambda it: it.id)), label="call")
        call = it.call if isinstance(it, JudgeLost) else it
        questions = tuple(
            Asked(
                key=key,
                id=f"{len(self.history)}/{key}",
                question=question,
                expires_at=self.now + 10**6 if expires else None,
            )
            for key in sorted(keys)
        )
        self.tell(AskQuestions(at=self.now, questions=questions, **place_of(call)))

    @rule(
        data=st.data(),
        action=st.sampled_from(["accept", "accept", "decline", "cancel"]),
        content=any_data,
        step=steps,
    )
    def answer_a_question(self, data: st.DataObject, action: str, content: Data, step: str) -> None:
        """One that is open, where there is one; else one that nobody has asked."""
        asked = [
            (id, it.asked.id)
            for id in self.state.questioning
            for it in self.state.steps[id].questions.values()
        ]
        where, id = data.draw(st.sampled_from([*asked, *asked, (step, "q")]), label="question")
        given = AnswerQuestion(
            at=self.now,
            principal="user:bob",
            step=where,
            question=id,
            action=action,
            content=content,
        )
        self.tell(given)

    @precondition(lambda self: self.state.asking)
    @rule(
        data=st.data(),
        verdict=verdicts,
        value=any_data,
        names_call=st.booleans(),
        who=st.sampled_from(["user:bob", "user:bob", "user:ann"]),
    )
    def answer_for_a_person(
        self, data: st.DataObject, verdict: str, value: Data, names_call: bool, who: str
    ) -> None:
        step = data.draw(st.sampled_from(sorted(self.state.asking)), label="step")
        call = min(self.state.steps[step].asks) if names_call else None
        asked = [ask.asked.subject for ask in self.state.steps[step].asks.values()]
        subject = data.draw(st.sampled_from([*asked, *asked, *asked, "s"]), label="subject")
        self.tell(
            Resolve(
                at=self.now,
                principal=who,
                step=step,
                verdict=verdict,
                call=call,
                value=value,
                subject=subject,
            )
        )

    @rule(name=names, payload=any_data, id=st.sampled_from(["", "", "m1", "m2"]))
    def send_a_message(self, name: str, payload: Data, id: str) -> None:
        self.tell(Signal(at=self.now, name=name, payload=payload, id=id))

    # --- what nobody asked ----------------------------------------------------------------

    @rule(step=steps, attempt=attempts, call=calls, outcome=tool_outcomes, jitter=jitters)
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

    @rule(
        kind=st.sampled_from([Expire, Fired, ChildEnded]),
        step=steps,
        attempt=attempts,
        jitter=jitters,
    )
    def say_something_of_an_attempt(
        self, kind: Any, step: str, attempt: int, jitter: float
    ) -> None:
        self.tell(kind(at=self.now, step=step, attempt=attempt, jitter=jitter))

    @rule(step=steps, verdict=verdicts, call=st.none() | calls)
    def answer_what_nobody_asked(self, step: str, verdict: str, call: str | None) -> None:
        self.tell(Resolve(at=self.now, step=step, verdict=verdict, call=call))

    @rule(step=steps)
    def admit_anybody(self, step: str) -> None:
        self.tell(Admitted(at=self.now, step=step))

    @rule()
    def start_again(self) -> None:
        self.tell(Start(at=self.now, input=NOTHING))

    # --- what people do with the whole run ------------------------------------------------

    @rule(payload=any_data)
    def publish(self, payload: Data) -> None:
        self.tell(Publish(at=self.now, type="note", payload=payload))

    @rule(kind=st.sampled_from([Pause, Resume, Resume]))
    def pause_or_resume(self, kind: Any) -> None:
        self.tell(kind(at=self.now, reason="lunch"))

    @rule(really=seldom)
    def cancel(self, really: int) -> None:
        if not really:
            self.tell(Cancel(at=self.now, reason="enough"))

    @rule(step=steps)
    def try_a_step_again(self, step: str) -> None:
        self.tell(RetryStep(at=self.now, step=step))

    @precondition(lambda self: self.state.phase is RunPhase.FAILED)
    @rule()
    def try_again_what_failed(self) -> None:
        self.tell(RetryStep(at=self.now, step=self.state.failed_step))

    @rule(data=st.data(), edited=st.booleans(), given=any_data)
    def fork(self, data: st.DataObject, edited: bool, given: Data) -> None:
        """Goes on with a run that is where this one was before it scheduled a step."""
        places = [at for at, it in enumerate(self.own) if isinstance(it, StepScheduled)]
        if not places or self.forks >= 3:
            return
        until = data.draw(st.sampled_from(places), label="until")
        scheduled = self.own[until]
        assert isinstance(scheduled, StepScheduled)
        self.forks += 1
        before = self.history[: len(self.history) - len(self.own) + until]
        other = fold(RunState(f"{RUN[:-1]}{self.forks}", self.graph), through_the_log(before))
        fork = Fork(
            at=self.now,
            principal="user:bob",
            run=self.state.run,
            sequence=until,
            step=scheduled.step,
            edited=edited,
            input=given if edited else NOTHING,
        )
        if objection(other, fork) is not None:
            return
        assert not scheduled.step.endswith(UNDO)
        other.ask_changes.clear()
        self.state, self.history, self.own, self.handed = other, before, [], set()
        self.tell(fork)

    # --- time, and other owners -----------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 1, 60]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)
        self.look()

    @rule()
    def hand_over(self) -> None:
        """Another owner folds the log, and is handed all that is open."""
        again = fold(RunState(self.state.run, self.graph), through_the_log(self.history))
        assert picture(again) == picture(self.state)
        again.ask_changes.clear()
        self.state, self.handed = again, set()
        self.look()

    # --- laws -----------------------------------------------------------------------------

    @invariant()
    def a_run_that_has_not_ended_waits_for_something(self) -> None:
        if getattr(self, "own", None):
            state = self.state
            waits = state.open or state.asking or any(state.listening.values())
            assert bool(waits) or state.has_ended
            assert not (state.open and state.has_ended)

    @invariant()
    def its_indexes_say_what_its_steps_say(self) -> None:
        if getattr(self, "own", None):
            assert not contradiction(self.state)

    def teardown(self) -> None:
        """In the end everything that is open was handed out once."""
        if getattr(self, "own", None):
            self.tell(Resume(at=self.now))
            self.now += 10**13
            self.look()
            if self.state.is_admitted:
                assert self.state.open.keys() - self.state.dormant <= self.handed

    def model(self, place: Any, jitter: float, **outcome: Any) -> ModelAnswered:
        return ModelAnswered(
            at=self.now, jitter=jitter, model="fake", messages=NOTHING, **place, **outcome
        )


def place_of(call: CallTool | CallModel) -> dict[str, Any]:
    """Which call of which attempt of which step."""
    return {"step": call.step, "attempt": call.attempt, "call": call.call}


def committed(run: str, events: list[Event], after: int) -> Append:
    """What the store is given."""
    records: list[Record] = []
    blobs: list[Blob] = []
    for sequence, event in enumerate(events, after + 1):
        body, parts = codec.encode(event, 100)
        records.append(Record(sequence, NAMES[type(event)], "user:ann", body))
        blobs.extend(parts)
    return Append("default", run, 1, after, tuple(records), tuple(blobs))


def whole_of(state: RunState) -> bytes:
    """Every bit of a state but its graph."""
    parts = [getattr(state, name) for name in state.__struct_fields__ if name != "graph"]
    return msgspec.msgpack.encode(parts, enc_hook=str)


TestTelling = Telling.TestCase
TestTelling.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
