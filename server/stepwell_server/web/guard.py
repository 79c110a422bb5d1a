"""What stands before every page: names we go by, where a form may come from, and what a browser may do."""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell_mcp.callers import LOOPBACK_HOSTS, allowed_hosts, host_name

READING: Final = ("GET", "HEAD")

HEADERS: Final = {
    "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it browsers say that our own forms come from nowhere.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), "
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests under another name, and forms of other sites; adds the headers to the rest.

    The first is what stops DNS rebinding: a page of another site whose name points to us since a
    moment ago is same-origin with itself, but it still calls us by its own name.
    """

    def __init__(self, app: ASGIApp, *, origin: str) -> None:
        self._app = app
        self._origin = origin
        self._hosts = allowed_hosts(origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        headers = Headers(scope=scope)
        if host_name(headers) not in self._hosts:
            await PlainTextResponse("Invalid host\n", 421)(scope, receive, self._marked(send))
        elif scope["method"] not in READING and not self._is_ours(headers):
            response = PlainTextResponse("This form does not come from this page.\n", 403)
            await response(scope, receive, self._marked(send))
        else:
            await self._app(scope, receive, self._marked(send))

    def _is_ours(self, headers: Headers) -> bool:
        """Whether the browser says that the form is of this very origin; one that says nothing does not."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        is_local = host_name(headers) in LOOPBACK_HOSTS
        mine = {self._origin, f"http://{host}"} if is_local else {self._origin}
        return (
            origin in mine
            and urlsplit(origin).netloc.lower() == host.lower()
            and headers.get("sec-fetch-site", "same-origin") == "same-origin"
        )

    def _marked(self, send: Send) -> Send:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_marked
