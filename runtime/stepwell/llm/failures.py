"""One taxonomy of what goes wrong with a provider.

Each adapter owns the table from its provider's own codes to these kinds; what HTTP says by
itself is the same everywhere and stands here. `retryable` tells whether the same request may
succeed later: waiting and trying again is the engine's work, never an adapter's.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

from stepwell.durations import format_duration
from stepwell.errors import Code
from stepwell.llm.port import ModelError
from stepwell.llm.provider import Endpoint

_LONGEST = 500
"""Characters of a provider's own words that are passed on; a gateway may send a whole page."""


class Kind(Struct, frozen=True):
    """A way to fail; `advice` tells an operator what to do about it."""

    code: Code
    retryable: bool
    advice: str = ""


RATE_LIMITED: Final = Kind(Code.MODEL_RATE_LIMITED, retryable=True)
QUOTA_USED_UP: Final = Kind(
    Code.MODEL_RATE_LIMITED,
    retryable=False,
    advice="the account's quota or credit is used up: raise it with the provider",
)
UNAVAILABLE: Final = Kind(Code.MODEL_UNAVAILABLE, retryable=True)
REFUSED: Final = Kind(Code.MODEL_REFUSED, retryable=False)
CONTEXT_EXCEEDED: Final = Kind(
    Code.MODEL_CONTEXT_EXCEEDED,
    retryable=False,
    advice="the conversation is longer than the model can read: shorten it, or bind the class "
    "to a model with a larger context",
)
KEY_REFUSED: Final = Kind(Code.MODEL_NOT_CONFIGURED, retryable=False, advice="check the key")
NO_SUCH_MODEL: Final = Kind(
    Code.MODEL_NOT_CONFIGURED,
    retryable=False,
    advice="check the model's name and the provider's base_url",
)
BAD_REQUEST: Final = Kind(Code.MODEL_ERROR, retryable=False)
UNUSABLE: Final = Kind(Code.MODEL_ERROR, retryable=True)
"""The call went well and the answer is of no use; another try may give a better one."""

_BY_STATUS: Final = {
    401: KEY_REFUSED,
    402: QUOTA_USED_UP,
    403: KEY_REFUSED,
    404: NO_SUCH_MODEL,
    408: UNAVAILABLE,
    413: CONTEXT_EXCEEDED,
    429: RATE_LIMITED,
}

_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|prompt is too long|maximum number of tokens", re.IGNORECASE
)


def by_status(status: int, message: str) -> Kind:
    """What an HTTP status means where the provider gave no code that says it better.

    Several providers tell a context overflow by the text of a 400 alone, so it is read.
    """
    if status == 400 and _TOO_LONG.search(message):
        return CONTEXT_EXCEEDED
    return _BY_STATUS.get(status, UNAVAILABLE if status >= 500 else BAD_REQUEST)


def failure(
    kind: Kind,
    endpoint: Endpoint,
    message: str,
    *,
    retry_after: float | None = None,
) -> ModelError:
    """The error for a failure of this kind; the key never shows in its message."""
    text = " ".join(message.split())[:_LONGEST] or "no reason was given"
    if endpoint.api_key:
        text = text.replace(endpoint.api_key, "***")
    advice = kind.advice
    if kind is KEY_REFUSED and endpoint.key_variable:
        advice += f" in {endpoint.key_variable}"
    return ModelError(
        f"{endpoint.name}: {text}" + (f"; {advice}" if advice else ""),
        code=kind.code,
        retryable=kind.retryable,
        detail={} if retry_after is None else {"retry_after": f"{retry_after:g}"},
    )


def timed_out(endpoint: Endpoint) -> ModelError:
    """The provider did not answer in time."""
    wait = format_duration(endpoint.timeout)
    return failure(
        UNAVAILABLE, endpoint, f"no answer within {wait} (providers.{endpoint.name}.timeout)"
    )


def unreachable(endpoint: Endpoint, cause: BaseException) -> ModelError:
    """There is no connection, or it broke."""
    where = f" to {endpoint.base_url}" if endpoint.base_url else ""
    return failure(UNAVAILABLE, endpoint, f"the connection{where} failed: {cause}")


def unusable(endpoint: Endpoint, problem: str) -> ModelError:
    """The provider answered, and the answer is not one."""
    return failure(UNUSABLE, endpoint, f"the answer cannot be used: {problem}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as the provider's headers say; None where they do not.

    A date is taken against the response's own `Date`: our clock may differ.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    try:
        until = parsedate_to_datetime(headers["retry-after"])
        return max(0.0, (until - parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
