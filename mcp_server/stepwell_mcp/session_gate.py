"""How many sessions one principal may have over HTTP, so that nobody takes all that there are.

Only older clients have sessions. One is over when its client says so, or when nothing was asked in it for
`IDLE`; a client that forgets to say so would otherwise lock others out for that long.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell.principals import Caller
from stepwell_mcp.callers import CALLER, headers_of

IDLE: Final = timedelta(minutes=30)


class _Session:
    """One session, as far as it is seen here."""

    def __init__(self) -> None:
        self.requests = 0
        self.used_at = 0.0


class SessionGate:
    """Lets one more session begin as long as its principal has not too many."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._open: dict[tuple[str, str], dict[object, _Session]] = {}
        self._swept_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 429 to who has too many; what is asked in a session, or without any, passes."""
        who: Caller = scope[CALLER]
        headers = headers_of(scope)
        named = headers.get(MCP_SESSION_ID_HEADER)
        own = self._open.get((who.namespace, who.principal), {})
        if named is not None and named in own:
            await self._go_on(own, named, scope, receive, send)
        elif named is None and _may_begin(headers):
            await self._begin(who, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _begin(self, who: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        self._sweep(who)
        own = self._open.setdefault((who.namespace, who.principal), {})
        if len(own) >= self._most:
            await _too_many(self._most)(scope, receive, send)
            return
        session, place, seen = _Session(), object(), _Seen(send)
        own[place] = session
        try:
            await self._asked(session, scope, receive, seen)
        finally:
            del own[place]
            if seen.session and seen.status < 400:
                own[seen.session] = session

    async def _go_on(
        self, own: dict[object, _Session], named: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        seen = _Seen(send)
        await self._asked(own[named], scope, receive, seen)
        if seen.status == 404 or (scope["method"] == "DELETE" and seen.status < 400):
            own.pop(named, None)

    async def _asked(
        self, session: _Session, scope: Scope, receive: Receive, seen: "_Seen"
    ) -> None:
        session.requests += 1
        try:
            await self._app(scope, receive, seen.send)
        finally:
            session.requests -= 1
            session.used_at = _now()

    def _sweep(self, who: Caller) -> None:
        """Forgets sessions that are over: those of whoever asks, and now and then everybody's."""
        now, own = _now(), (who.namespace, who.principal)
        before = now - IDLE.total_seconds()
        everybody = self._swept_at < before
        if everybody:
            self._swept_at = now
        for key in [*self._open] if everybody else [own]:
            left = self._open.get(key, {})
            for name in [n for n, it in left.items() if not it.requests and it.used_at < before]:
                del left[name]
            if not left and key != own:
                del self._open[key]


class _Seen:
    """What is answered, and noted on its way: the status, and the session that begins with it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500
        self.session = ""

    async def send(self, message: Message) -> None:
        """Sends a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.session = Headers(raw=message["headers"]).get(MCP_SESSION_ID_HEADER, "")
        await self._send(message)


def _may_begin(headers: Mapping[str, str]) -> bool:
    """Whether a request without a session may begin one: newer clients have none."""
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _too_many(most: int) -> PlainTextResponse:
    return PlainTextResponse(
        f"too many sessions: at most {most} may be open at a time; end those that you do not need with "
        f"DELETE, each ends by itself {IDLE // timedelta(minutes=1)} minutes after its last request\n",
        429,
        {"retry-after": "60"},
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
