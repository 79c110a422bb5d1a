"""How much one principal may ask over HTTP: so many requests a minute, so many of them open at a time.

Whoever asks for more is told at once when to come again, and costs nobody else anything.
"""

import asyncio
import math
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell.principals import LOCAL_AGENT, Caller
from stepwell_mcp.callers import CALLER

AT_ONCE: Final = 10.0
"""Seconds whose requests may come all at once."""
MOST_SESSIONS: Final = 1000
"""Sessions of one principal; ten of them can take all that there are."""
MOST_KNOWN: Final = 10_000
"""Principals that are kept in mind."""


class Limits:
    """What each principal has asked in this process. A `rate` of 0 is no limit."""

    def __init__(self, *, rate: int = 0, streams: int = 256, sessions: int = MOST_SESSIONS) -> None:
        self.sessions = sessions
        """How many one principal may have open."""
        self._rate = rate
        self._streams = streams
        self._interval = 60 / rate if rate else 0.0
        self._ahead = max(AT_ONCE - self._interval, 0.0)
        self._next: dict[tuple[str, str], float] = {}
        self._open: dict[tuple[str, str], int] = {}

    def turn(self, who: Caller, now: float) -> float:
        """0 when a request may be made at this time; else the seconds until one may.

        Who shows no credential is whoever is at this machine, and not counted.
        """
        if not self._interval or who == LOCAL_AGENT:
            return 0.0
        key = who.namespace, who.principal
        turn = max(self._next.get(key, 0.0), now - self._ahead)
        if turn > now:
            return turn - now
        if len(self._next) >= MOST_KNOWN:
            self._forget(now)
        self._next[key] = turn + self._interval
        return 0.0

    def enter(self, who: Caller) -> bool:
        """Whether one more request may be open; then `leave` has to follow."""
        key = who.namespace, who.principal
        there = self._open.get(key, 0)
        if there >= self._streams:
            return False
        self._open[key] = there + 1
        return True

    def leave(self, who: Caller) -> None:
        """A request has ended."""
        key = who.namespace, who.principal
        left = self._open.pop(key) - 1
        if left:
            self._open[key] = left

    def tell_rate(self) -> str:
        """What the limit of requests is, in words."""
        return f"at most {self._rate} requests a minute (mcp.rate)"

    def tell_streams(self) -> str:
        """What the limit of open requests is, in words."""
        return f"at most {self._streams} requests may be open at a time (mcp.streams)"

    def _forget(self, now: float) -> None:
        """Forgets those who might ask as much as anybody, and if there are none, everybody."""
        ahead = now - self._ahead
        self._next = {key: turn for key, turn in self._next.items() if turn > ahead}
        if len(self._next) >= MOST_KNOWN:
            self._next.clear()


class LimitGate:
    """Lets in who does not ask too much; behind the gate that knows who asks."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 429 with `Retry-After` to who asks too much."""
        who: Caller = scope[CALLER]
        wait = self._limits.turn(who, asyncio.get_running_loop().time())
        if wait:
            refusal = _too_much(self._limits.tell_rate(), wait)
            await refusal(scope, receive, send)
        elif not self._limits.enter(who):
            await _too_much(self._limits.tell_streams(), 1)(scope, receive, send)
        else:
            place = _Place(self._limits, who, send)
            try:
                await self._app(scope, receive, place.send)
            finally:
                place.leave()


class _Place:
    """One open request: over with its answer, lest the next one of its client come too early."""

    def __init__(self, limits: Limits, who: Caller, send: Send) -> None:
        self._limits = limits
        self._who = who
        self._send = send
        self._is_left = False

    async def send(self, message: Message) -> None:
        """Sends a part of the answer."""
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.leave()

    def leave(self) -> None:
        """Makes room, once."""
        if not self._is_left:
            self._is_left = True
            self._limits.leave(self._who)


def _too_much(limit: str, wait: float) -> PlainTextResponse:
    headers = {"retry-after": str(max(1, math.ceil(wait)))}
    return PlainTextResponse(f"too much at once: {limit}; try again later\n", 429, headers)
