"""What is said about sealed data may quote it, so it is sealed as well.

A failure stands in the clear in the log, and its message often repeats what it is about. Where
that was sealed the log says so instead, and the words themselves are kept as sealed data.

The data of a subject may be erased, and what the log says in the clear stays. What we say
ourselves about such data quotes none of it; what tools and people say is theirs.
"""

from stepwell.engine.expressions import ExpressionError
from stepwell.engine.values import Data, Failure
from stepwell.errors import Code

_QUOTING = frozenset(
    {
        str(Code.INVALID_ARGUMENTS),
        str(Code.INVALID_INPUT),
        str(Code.INVALID_RESULT),
        str(Code.MODEL_REFUSED),
    }
)
"""Why a call fails, in words of ours that quote what it was given or gave."""

_KEPT = frozenset({"retry_after"})
"""Details that say nothing of the data."""


def withheld(failure: Failure, label: str) -> Failure:
    """The failure as the log may hold it; `label` is the seal of what it is about."""
    if not label:
        return failure
    detail = {name: text for name, text in failure.detail.items() if name in _KEPT}
    message = f"what was said may quote data of {label}, so it is sealed"
    return Failure(failure.reason, message, failure.retryable, detail)


def said_of(error: ExpressionError, about: str, label: str, subject: str) -> Failure:
    """Why an expression has no value, as the log may hold it."""
    message = error.unquoted if subject else error.message
    return withheld(Failure(error.code, f"{about}: {message}"), label)


def quoted(failure: Failure, subject: str) -> str:
    """The subject whose data a failure may quote in words of ours; "" where it quotes none."""
    return subject if failure.reason in _QUOTING else ""


def words(failure: Failure, label: str) -> Data:
    """What was said, as sealed data beside the failure that is withheld."""
    return Data(value=failure.message, sealed=label)


def sealed_by(data: Data, label: str) -> Data:
    """Data that was computed from something with this seal."""
    return data if data.sealed or not label else Data(value=data.value, sealed=label)
