"""Inputs on their way to a run that somebody else may own, or nobody at the moment.

A letter is kept by the store until the run has taken it, in the transaction that writes what it
taught. The same thing said twice has the same id, so it arrives once.
"""

from typing import Final, TypeAlias

import msgspec

from stepwell.engine.events import (
    ApprovalDecided,
    BudgetRaised,
    Custom,
    Event,
    QuestionAnswered,
    RunCancelled,
    RunPaused,
    RunResumed,
    SignalReceived,
)
from stepwell.engine.inputs import (
    Admitted,
    AnswerQuestion,
    Cancel,
    ChildEnded,
    Input,
    Pause,
    Publish,
    RaiseBudget,
    Resolve,
    Resume,
    Signal,
)
from stepwell.engine.state import RunState
from stepwell_storage.records import Letter

Control: TypeAlias = (
    Cancel | Pause | Resume | Signal | Resolve | AnswerQuestion | Publish | RaiseBudget
)
"""What callers tell a run."""

CANCEL: Final = "cancel"
"""The kind of the letters that end a run, whatever else they say."""
_KINDS: dict[str, type[Input]] = {
    CANCEL: Cancel,
    "pause": Pause,
    "resume": Resume,
    "signal": Signal,
    "resolve": Resolve,
    "answer": AnswerQuestion,
    "publish": Publish,
    "raise_budget": RaiseBudget,
    "child_ended": ChildEnded,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
ADMITTED = "admitted"
"""The kind of the store's own letters: its body is the name of a step that has its place."""


def letter_to(run: str, id: str, given: Control) -> Letter:
    """What a caller tells a run."""
    body = msgspec.json.encode(given)
    return Letter(id, run, _NAMES[type(given)], given.principal, body, given.at)


def is_taught_by(given: Control, event: Event) -> bool:
    """Whether an event of the run is what a caller asked for."""
    match given, event:
        case (Cancel(), RunCancelled()) | (Pause(), RunPaused()) | (Resume(), RunResumed()):
            return True
        case Signal(), SignalReceived():
            return (given.name, given.id) == (event.name, event.id)
        case Resolve(), ApprovalDecided():
            is_ours = given.call in (None, event.call) and event.by in ("", given.principal)
            return is_ours and (given.step, given.verdict) == (event.step, event.decision)
        case AnswerQuestion(), QuestionAnswered():
            if event.by not in ("", given.principal):
                return False
            # The same person may answer twice at once, in two ways: one of them was too late.
            said = given.question, given.action, given.content.value
            return said == (event.id, event.action, event.content.value)
        case RaiseBudget(), BudgetRaised():
            return True
        case Publish(), Custom():
            return given.type == event.type
        case _:
            return False


def cancel_child(child: str, parent: RunState, at: int) -> Letter:
    """A child whose step has ended is to stop."""
    given = Cancel(at=at, principal=parent.principal, reason=f"its parent {parent.run} went on")
    if parent.has_ended:
        given = Cancel(
            at=at, principal=parent.principal, reason=f"its parent {parent.run} {parent.phase}"
        )
    return letter_to(child, f"orphan/{child}", given)


def child_ended(child: RunState, at: int) -> Letter:
    """A parent is told that its child has ended. How, it reads from the child itself."""
    assert child.parent is not None, f"{child.run} is nobody's child"
    parent = child.parent
    given = ChildEnded(
        at=at,
        principal=child.principal,
        step=parent.step,
        attempt=parent.attempt,
        called=tuple(sorted(child.calls)),
    )
    body = msgspec.json.encode(given)
    return Letter(
        f"child/{child.run}/{child.sequence}", parent.run, "child_ended", child.principal, body, at
    )


def child_of(letter: Letter) -> str:
    """The child that such a letter is about."""
    return letter.id.split("/")[1]


def read(letter: Letter, at: int) -> Input:
    """What a letter says, as it is told now.

    Raises:
        LookupError, msgspec.DecodeError: this version does not know it.
    """
    if letter.kind == ADMITTED:
        return Admitted(at=at, step=letter.body.decode())
    given: Input = msgspec.json.decode(letter.body, type=_KINDS[letter.kind])
    return msgspec.structs.replace(given, at=at)
