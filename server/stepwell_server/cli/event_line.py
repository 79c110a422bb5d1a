"""Events for people: one line each."""

from typing import Any

import msgspec

from stepwell.client import Event
from stepwell.engine import events as facts
from stepwell.engine.budgets import USD_MICROS, amount_text, exhausted_words
from stepwell.engine.graph import CONTINUE
from stepwell.engine.values import Data, Failure
from stepwell_server.cli.times import instant, time_of_day

LONGEST = 100
"""Characters of a value; the whole of it is in `--json`."""


class EventLines:
    """The lines of one log: the number, the time, the kind and what matters of each event.

    A failure that goes on from a call to its step and its run is told once.
    """

    def __init__(self) -> None:
        self._told: Failure | None = None

    def line(self, event: Event) -> str:
        """The line of the next event."""
        failure: Failure | None = getattr(event.fact, "failure", None)
        about = _about(event.fact, self._why(failure), event.principal)
        when = time_of_day(event.at)
        return f"{event.sequence:>4}  {when}  {event.kind:<20} {about}".rstrip()

    def _why(self, failure: Failure | None) -> str:
        if failure is None:
            return ""
        told, self._told = self._told, failure
        if told and (told.reason, told.message) == (failure.reason, failure.message):
            return f"{failure.reason} (as above)"
        return f"{failure.reason}: {failure.message}"


def _about(fact: Any, why: str, principal: str) -> str:
    failed = f" failed: {why}" if why else ""
    match fact:
        case facts.RunStarted():
            return f"{fact.workflow} {value_text(fact.input)}"
        case facts.RunCompleted():
            return value_text(fact.output)
        case facts.RunForked():
            given = f" with {value_text(fact.input)}" if fact.edited else ""
            return f"{fact.workflow} from {fact.run} at {fact.step}{given}"
        case facts.RunCancelled() | facts.RunPaused() | facts.RunResumed():
            return fact.reason
        case facts.LlmCall():
            cost = "" if fact.cost is None else f" [{amount_text(USD_MICROS, fact.cost)}]"
            return f"{fact.step}: {fact.model}{failed} {_asked(fact.tools)}".rstrip() + cost
        case facts.ToolCall():
            decision = f" [{fact.decision}]" if fact.decision else ""
            return f"{fact.step}: {fact.tool}({value_text(fact.arguments)}){failed}{decision}"
        case facts.ToolCallStarted():
            decision = f" [{fact.decision}]" if fact.decision else ""
            return f"{fact.step}: {fact.tool}({value_text(fact.arguments)}){decision}"
        case facts.StepRetryScheduled():
            return f"{fact.step}: attempt {fact.attempt} follows: {why}"
        case facts.StepStarted():
            return f"{fact.step}: run {fact.child}" if fact.child else fact.step
        case facts.StepFailed(handled=handled) if handled:
            goes_on = "the run goes on" if handled == CONTINUE else f"{handled} takes over"
            return f"{fact.step}{failed}; {goes_on}"
        case facts.RunFailed() | facts.RunCompensating() | facts.StepFailed():
            return f"{fact.step}{failed}"
        case facts.StepCompleted():
            return f"{fact.step}: {value_text(fact.output)}"
        case facts.StepSkipped():
            return f"{fact.step}: {fact.reason}"
        case facts.PolicyDecided():
            why = f"{fact.reason}; {fact.remedy}" if fact.remedy else fact.reason
            rules = f" [{', '.join(fact.rules)}]" if fact.rules else ""
            again = f" until {time_of_day(instant(fact.retry_at))}" if fact.retry_at else ""
            said = f"{fact.effect} {fact.action} {fact.resource}{again} {why}".rstrip()
            return f"{fact.step}: {said}{rules}"
        case facts.SignalReceived():
            return f"{fact.name} {value_text(fact.payload)}"
        case facts.ApprovalRequested(about="call"):
            return f"{fact.step}: {held_text(fact.tool, fact.rules, fact.reason)}"
        case facts.ApprovalRequested():
            return f"{fact.step}: {beginning(message_text(fact.message))}"
        case facts.ApprovalDecided():
            said = f": {fact.reason}" if fact.reason else ""
            return f"{fact.step}: {fact.decision} by {principal}{said}"
        case facts.QuestionAsked():
            return f"{fact.step}: {fact.tool} asks: {beginning(message_text(fact.question))}"
        case facts.QuestionAnswered():
            by = f" by {principal}" if fact.by else ", as nobody answered in time"
            return f"{fact.step}: {fact.action}{by} {value_text(fact.content)}".rstrip()
        case facts.BudgetExhausted():
            return f"{fact.step}: {exhausted_words(fact)}"
        case facts.BudgetRaised():
            limits = ", ".join(amount_text(unit, it) for unit, it in fact.limits.items())
            return f"{limits or fact.scope} by {principal}"
        case facts.Custom():
            return f"{fact.type} {value_text(fact.payload)}"
        case _:
            return str(getattr(fact, "step", ""))


def _asked(tools: Data) -> str:
    """What a model asked for, if it asked for tools."""
    wanted = tools.value if isinstance(tools.value, list) else []
    return "-> " + ", ".join(str(tool.get("name")) for tool in wanted) if wanted else ""


def held_text(tool: str, rules: tuple[str, ...], reason: str) -> str:
    """That a call waits for a person, and why."""
    by = f" by {', '.join(rules)}" if rules else ""
    return f"the call of {tool} is held{by}" + (f": {reason}" if reason else "")


def message_text(message: Data) -> str:
    """What a person is told, as text: all of it."""
    match message.value:
        case str(text) | {"text": str(text)} | {"message": str(text)}:
            return text
        case _:
            return value_text(message)


def value_text(data: Data) -> str:
    """The value, or the beginning of a long one, or what is known of one that is kept elsewhere."""
    if data.blob is not None:
        label = data.blob.label or data.sealed
        return f"<{data.blob.size} bytes{', ' + label if label else ''}>"
    if data.value is None or data.value is msgspec.UNSET:
        return ""
    return beginning(msgspec.json.encode(data.value).decode())


def beginning(text: str) -> str:
    """The text, cut where it is long."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
