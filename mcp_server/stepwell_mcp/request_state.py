"""What a newer client carries from one round of its call to the next, sealed: nobody reads it or makes one.

It is bound to its caller, the tool and the arguments, and is good for a while. That an answer counts once is
kept by the run, not here.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.clock import Clock, SystemClock
from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest
from stepwell.principals import Caller
from stepwell.vault.boxes import Boxes, NotOpened
from stepwell_mcp.errors import protocol_error

TTL: Final = timedelta(minutes=10)
"""How long a state is good for."""
PURPOSE: Final = "mcp request state"
MOST_BYTES: Final = 64 * 1024
"""More than any state of ours has."""


class State(Struct, frozen=True, omit_defaults=True):
    """The run that a call goes on with, what was `asked` by key, and the approvals whose page was `shown`."""

    at: int
    run: str = ""
    asked: dict[str, str] = {}
    shown: tuple[str, ...] = ()


class RequestStates:
    """Seals states, and opens them."""

    def __init__(self, boxes: Boxes, *, clock: Clock | None = None) -> None:
        self._boxes = boxes
        self._clock = clock or SystemClock()

    def seal(
        self,
        about: tuple[str, ...],
        *,
        run: str = "",
        asked: Mapping[str, str] = {},
        shown: tuple[str, ...] = (),
    ) -> str:
        """A state that opens for what it is `about` alone (`bound`)."""
        state = State(self._clock.now(), run, dict(asked), shown)
        box = self._boxes.lock(msgspec.json.encode(state), PURPOSE, *about)
        return base64.urlsafe_b64encode(box).decode()

    def open(self, about: tuple[str, ...], text: str) -> State:
        """What was sealed.

        Raises:
            MCPError: it was not sealed here, or was changed; it is of another caller, tool or
                arguments; its time is over.
        """
        try:
            box = base64.b64decode(text[:MOST_BYTES], altchars=b"-_", validate=True)
            state = msgspec.json.decode(self._boxes.open(box, PURPOSE, *about), type=State)
        except (NotOpened, binascii.Error, ValueError) as error:
            raise refused(
                "this requestState is not the one that this call was answered with; call the tool "
                "again without it"
            ) from error
        if self._clock.now() - state.at > TTL // timedelta(microseconds=1):
            run = f"; the call goes on as the run {state.run}" if state.run else ""
            raise refused(f"the time to answer with this requestState is over{run}")
        return state


def bound(caller: Caller, what: str, given: Mapping[str, Json]) -> tuple[str, ...]:
    """What a state is bound to: who asks, what for, and what is given with it."""
    digest = hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest()
    return caller.namespace, caller.principal, what, digest


def refused(why: str) -> Exception:
    """The protocol error for a state, or an answer, that is not taken."""
    return protocol_error(InvalidRequest(why))
