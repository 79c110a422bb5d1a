"""One event as one line for people."""

from typing import Any

import msgspec

from stepwell.client import Event
from stepwell.engine import events as facts
from stepwell.engine.values import Data, Failure

LONGEST = 100
"""Characters of a value; the whole of it is in `--json`."""


def event_line(event: Event) -> str:
    """The number, the kind and what matters of the event."""
    return f"{event.sequence:>4}  {event.kind:<20} {_about(event.fact)}".rstrip()


def _about(fact: Any) -> str:
    match fact:
        case facts.RunStarted():
            return f"{fact.workflow} {_value(fact.input)}"
        case facts.RunCompleted():
            return _value(fact.output)
        case facts.RunCancelled():
            return fact.reason
        case facts.LlmCall():
            return f"{fact.step}: {fact.model}{_failed(fact.failure)} {_asked(fact.tools)}".rstrip()
        case facts.ToolCall():
            return (
                f"{fact.step}: {fact.tool}({_value(fact.arguments)}){_failed(fact.failure)}"
                f" [{fact.decision}]"
            )
        case facts.ToolCallStarted():
            return f"{fact.step}: {fact.tool}({_value(fact.arguments)})"
        case facts.StepRetryScheduled():
            return f"{fact.step}: attempt {fact.attempt} follows{_failed(fact.failure)}"
        case facts.RunFailed() | facts.StepFailed():
            return f"{fact.step}{_failed(fact.failure)}"
        case facts.StepCompleted():
            return f"{fact.step}: {_value(fact.output)}"
        case facts.StepSkipped():
            return f"{fact.step}: {fact.reason}"
        case facts.PolicyDecided():
            return f"{fact.step}: {fact.effect} {fact.action} {fact.resource} {fact.reason}"
        case facts.Custom():
            return f"{fact.type} {_value(fact.payload)}"
        case _:
            return str(getattr(fact, "step", ""))


def _asked(tools: Data) -> str:
    """What a model asked for, if it asked for tools."""
    wanted = tools.value if isinstance(tools.value, list) else []
    return "-> " + ", ".join(str(tool.get("name")) for tool in wanted) if wanted else ""


def _failed(failure: Failure | None) -> str:
    return f" failed: {failure.reason}: {failure.message}" if failure else ""


def _value(data: Data) -> str:
    if data.blob is not None:
        label = data.blob.label or data.sealed
        return f"<{data.blob.size} bytes{', ' + label if label else ''}>"
    if data.value is None or data.value is msgspec.UNSET:
        return ""
    text = msgspec.json.encode(data.value).decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
