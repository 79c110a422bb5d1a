"""The gates that find out who asks over HTTP, and whether his credential covers what he asks.

Behind them the credential is gone from the request: nothing there could log it, or pass it on.
"""

import asyncio
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell.errors import StepwellError
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.orchestrator.resource_server import ResourceServer
from stepwell.orchestrator.scopes import InsufficientScope
from stepwell.principals import Caller
from stepwell_mcp.bodies import BodyTooLarge, read_body
from stepwell_mcp.called import Called
from stepwell_mcp.callers import CALLER, admit, headers_of, is_local
from stepwell_mcp.challenges import insufficient, unauthenticated

LOOK_AGAIN: Final = 30.0
"""Seconds for which an answer goes on before the credential is looked at again."""


class CredentialGate:
    """Lets in who shows a right credential; whoever does not is told so, and nothing else.

    Without `keyless` everybody needs one, on this machine too. An answer that goes on and on ends
    with the credential that it was asked with.
    """

    def __init__(
        self,
        app: ASGIApp,
        authentication: Authentication,
        *,
        oauth: ResourceServer | None = None,
        called: Called | None = None,
        keyless: bool = True,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._oauth = oauth
        self._called = called
        self._keyless = keyless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, or 403 where only a scope is missing, or 503 where nobody can tell."""
        headers = headers_of(scope)
        credential = headers.get("authorization")
        local = self._keyless and is_local(scope, headers)
        try:
            caller = await self._authentication.authenticate(credential, is_local=local)
        except Unauthenticated as error:
            refusal = unauthenticated(error, self._oauth, has_token=bool(credential))
            await refusal(scope, receive, send)
        except InsufficientScope as error:
            await self._step_up(error, scope, receive, send)
        except StepwellError as error:
            await PlainTextResponse(f"{error.message}\n", 503)(scope, receive, send)
        else:
            admit(scope, caller)
            if not credential:
                await self._app(scope, receive, send)  # nothing that could expire
                return
            watched = _Watched(send, self._authentication, credential)
            try:
                await self._app(scope, receive, watched.send)
            except Exception:
                if not watched.has_ended:
                    raise

    async def _step_up(
        self, error: InsufficientScope, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Tells a client that lacks a scope for everything also what else it will need."""
        assert self._oauth is not None, "only access tokens have scopes"
        assert self._called is not None, "who takes access tokens knows what is called"
        try:
            names = self._called.names((await read_body(scope, receive)).content)
        except BodyTooLarge:
            await _too_large(scope, receive, send)
        else:
            needed = self._oauth.scopes.needed(names)
            await insufficient(error, self._oauth, needed)(scope, receive, send)


class ScopeGate:
    """Lets in whose access token has the scopes that the tools take which he uses."""

    def __init__(self, app: ASGIApp, oauth: ResourceServer, called: Called) -> None:
        self._app = app
        self._oauth = oauth
        self._called = called

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 403 with all the scopes at once.

        The body says what is called: a header could say anything, and older clients send none.
        """
        caller: Caller = scope[CALLER]
        if caller.scopes is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(scope, receive)
            names = self._called.names(body.content)
            self._oauth.scopes.demand(caller, names, ", ".join(names))
        except BodyTooLarge:
            await _too_large(scope, receive, send)
        except InsufficientScope as error:
            await insufficient(error, self._oauth, error.scopes)(scope, receive, send)
        else:
            await self._app(scope, body.replay, send)


class _Watched:
    """What is sent to a client as long as its credential counts."""

    def __init__(self, send: Send, authentication: Authentication, credential: str) -> None:
        self._send = send
        self._authentication = authentication
        self._credential = credential
        self._looked_at = _now()
        self.has_ended = False
        """The credential does not count any more, and the answer was cut off."""

    async def send(self, message: Message) -> None:
        """Sends it.

        Raises:
            Unauthenticated: the credential has expired meanwhile, or was revoked.
        """
        if _now() - self._looked_at >= LOOK_AGAIN:
            self._looked_at = _now()
            try:
                await self._authentication.authenticate(self._credential, is_local=False)
            except (Unauthenticated, InsufficientScope):
                self.has_ended = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                raise
            except StepwellError:
                pass  # nobody can tell at the moment, so what was said before holds
        await self._send(message)


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("Request body too large\n", 413)(scope, receive, send)


def _now() -> float:
    return asyncio.get_running_loop().time()
