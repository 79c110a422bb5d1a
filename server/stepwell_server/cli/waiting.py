"""What a run waits for, and the commands that answer it."""

import json
import shlex
from collections.abc import Iterable, Iterator

from stepwell.client import Event, Run, RunStatus, Step, Waiting, WaitingOn
from stepwell.engine.budgets import USD_MICROS, exhausted_words
from stepwell.engine.events import ApprovalRequested, BudgetExhausted, QuestionAsked
from stepwell.engine.subjects import approval_id
from stepwell.engine.values import Data
from stepwell_server.cli.event_line import held_text, message_text
from stepwell_server.cli.output import Output
from stepwell_server.cli.times import day_and_time

MOST = 20
"""Things that are named; a map may wait for as many as it has items."""

ANSWERS = {"approval": ("approve", "deny"), "outcome": ("done --value JSON", "retry", "fail")}


def waits_of(run: Run, steps: Iterable[Step], flag: str) -> Iterator[tuple[str, str]]:
    """What a run that has not ended waits for, each with a heading, and how to answer it."""
    for one in run.waiting_for:
        if one.on is WaitingOn.BUDGET:
            first, second = waiting_lines(run.id, one, flag)
            yield "paused", first
            yield "", second
            return
    if run.status is RunStatus.PAUSED:
        yield "paused", f"it goes on with: stepwell resume {run.id}{flag}"
    waits = [one for one in run.waiting_for if not one.step]
    waits += (one for step in steps for one in step.waiting_for)
    for one in waits[:MOST]:
        first, *more = waiting_lines(run.id, one, flag)
        yield "waits", first
        yield from (("", line) for line in more)
    if len(waits) > MOST:
        yield "", f"and for {len(waits) - MOST} more"


def waiting_lines(run: str, one: Waiting, flag: str) -> tuple[str, ...]:
    """One thing that a run waits for: a sentence, and the commands that answer it."""
    match one.on:
        case WaitingOn.HUMAN:
            return _asked(run, one, flag)
        case WaitingOn.INPUT:
            return _questioned(run, one, flag)
        case WaitingOn.SIGNAL:
            payload = shlex.quote('{"any": "JSON"}')
            return (
                f"{one.step} waits for the message {one.about}",
                f"stepwell signal {run} {one.about} {payload}{flag}",
            )
        case WaitingOn.TIMER:
            until = f"until {day_and_time(one.until)}" if one.until else "for a time that is sealed"
            return (f"{one.step} waits {until}",)
        case WaitingOn.QUEUE:
            return (
                f"{one.step or 'the run'} waits for a place in the queue {one.about}",
                f"stepwell queues show {one.about}{flag}",
            )
        case WaitingOn.BUDGET:
            return f"budget: {one.reason}", f"it goes on with: {_more(one)}{flag}"
        case _:
            return (f"{one.step} waits for something that this version does not know",)


def _more(one: Waiting) -> str:
    """The command that lets more be spent."""
    unit = one.rules[0] if one.rules else USD_MICROS
    more = "--usd DOLLARS" if unit == USD_MICROS else f"--{unit} N"
    if one.about.startswith("run:"):
        return f"stepwell budget raise {one.about.removeprefix('run:')} {more}"
    return f"stepwell budget set {shlex.quote(one.about)} {more}"


class Asked:
    """Tells the person at the terminal what a run asks from `since` on (UTC microseconds)."""

    def __init__(self, output: Output, flag: str, *, since: int) -> None:
        self._output = output
        self._flag = flag
        self._since = since

    def see(self, event: Event) -> None:
        """An event that may ask something."""
        if event.fact is None or event.fact.at < self._since:
            return
        one = _asked_in(event)
        if one is not None:
            for line in waiting_lines(event.run, one, self._flag):
                self._output.note(line)


def _asked_in(event: Event) -> Waiting | None:
    match event.fact:
        case ApprovalRequested():
            return _asked_by(event.run, event.fact)
        case QuestionAsked():
            return _questioned_by(event.fact)
        case BudgetExhausted(step=step, scope=scope, unit=unit):
            reason = exhausted_words(event.fact)
            return Waiting(
                step=step, on=WaitingOn.BUDGET, about=scope, rules=(unit,), reason=reason
            )
        case _:
            return None


def _asked_by(run: str, event: ApprovalRequested) -> Waiting:
    told = event.message
    return Waiting(
        step=event.step,
        on=WaitingOn.HUMAN,
        about=event.about,
        call=event.call,
        message=None if told.blob else told.value,
        message_ref=told.blob,
        approval=approval_id(run, event) if event.about == "call" else "",
        tool=event.tool,
        rules=event.rules,
        reason=event.reason,
    )


def _questioned_by(event: QuestionAsked) -> Waiting:
    told = event.question
    return Waiting(
        step=event.step,
        on=WaitingOn.INPUT,
        about=event.kind,
        call=event.call,
        message=None if told.blob else told.value,
        message_ref=told.blob,
        tool=event.tool,
        question=event.id,
    )


def _questioned(run: str, one: Waiting, flag: str) -> tuple[str, ...]:
    """What a tool asks; what only an MCP client answers cannot be answered here."""
    told = Data(blob=one.message_ref) if one.message_ref else Data(value=one.message)
    said = message_text(told)
    if one.about in ("sampling", "roots"):
        return (f"{one.step}: the tool {one.tool} asks the MCP client for its {one.about}",)
    url = one.message.get("url", "") if isinstance(one.message, dict) else ""
    fields = shlex.quote(_filled_in(one.message))
    command = f"stepwell answer {run} {one.question}"
    return (
        f"{one.step}: the tool {one.tool} asks: {said} {url}".rstrip(),
        f"{command} --accept {fields}{flag}",
        f"{command} --decline{flag}",
    )


def _filled_in(message: object) -> str:
    """The answer to a form with a value of each field's type, to be written over; null for a mere yes."""
    schema = message.get("schema") if isinstance(message, dict) else None
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(fields, dict) or not fields:
        return "null"
    return json.dumps({name: _example(field) for name, field in fields.items()})


def _example(field: object) -> object:
    """What a field may hold: its default, the first of its choices, or something of its type."""
    match field:
        case {"default": value} | {"enum": [value, *_]} | {"oneOf": [{"const": value}, *_]}:
            return value
        case {"type": "integer" | "number"}:
            return 0
        case {"type": "boolean"}:
            return True
        case {"type": "array"}:
            return []
        case _:
            return "..."


def _asked(run: str, one: Waiting, flag: str) -> tuple[str, ...]:
    if one.about == "call":
        return (
            f"{one.step}: {held_text(one.tool, one.rules, one.reason)}",
            f"stepwell approvals approve {one.approval}{flag}",
            f"stepwell approvals deny {one.approval}{flag}",
        )
    told = Data(blob=one.message_ref) if one.message_ref else Data(value=one.message)
    call = f" --call {one.call}" if one.call else ""
    step = shlex.quote(one.step)
    return (
        f"{one.step} asks a person: {message_text(told)}",
        *(
            f"stepwell resolve {run} {step} {answer}{call}{flag}"
            for answer in ANSWERS.get(one.about, ())
        ),
    )
