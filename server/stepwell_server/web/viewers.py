"""Who looks at a page, and as whom he may answer."""

from typing import Final
from urllib.parse import quote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stepwell.errors import Denied, InvalidRequest
from stepwell.orchestrator.authentication import Unauthenticated
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_mcp.callers import is_local
from stepwell_server.web.forms import read_form
from stepwell_server.web.sessions import COOKIE, LIFE, SECURE_COOKIE, Session, Sessions

SIGN_IN: Final = "/sign-in"


class NotSignedIn(Exception):
    """Whoever comes from another machine signs in before he sees anything."""


class Viewer(Struct, frozen=True, kw_only=True):
    """`caller` reads, and answers if signed in. On the machine itself nobody has to sign in to read.

    There a person may also answer as `user:local`, with a factor of that user; without one such a
    form could be sent by any program of the machine.
    """

    caller: Caller
    session: Session
    signed_in: bool

    @property
    def principal(self) -> str:
        """As who the page is read."""
        return self.caller.principal

    @property
    def person(self) -> Caller:
        """Who answers."""
        return self.caller if self.signed_in else LOCAL_USER

    @property
    def may_enrol(self) -> bool:
        """Whether factors may be enrolled and removed: a credential has to be shown for that."""
        return self.signed_in and self.caller.is_user


class Viewers:
    """Finds out who looks, and gives browsers their cookie."""

    def __init__(self, service: Service, sessions: Sessions, *, origin: str) -> None:
        self._service = service
        self._sessions = sessions
        self._is_secure = origin.startswith("https:")
        self._cookie = SECURE_COOKIE if self._is_secure else COOKIE

    async def viewer(self, request: Request) -> Viewer:
        """Who looks.

        Raises:
            NotSignedIn: he has to sign in first.
            Unavailable: his key cannot be looked up at the moment.
        """
        session = self.session(request)
        if session.caller is not None:
            try:
                caller = await self._service.api_keys.still(session.caller)
            except Unauthenticated:
                session = self._sessions.begin()
            else:
                return Viewer(caller=caller, session=session, signed_in=True)
        if not is_local(request.scope, request.headers):
            raise NotSignedIn
        return Viewer(caller=LOCAL_AGENT, session=session, signed_in=False)

    def session(self, request: Request) -> Session:
        """The session of the browser, or a new one."""
        found = self._sessions.find(request.cookies.get(self._cookie, ""))
        return found or self._sessions.begin()

    async def form(self, request: Request, session: Session) -> dict[str, str]:
        """What a form of this very session has sent.

        Raises:
            Denied: it was made for another session, or by another site.
            InvalidRequest, LimitExceeded: it is no form, or too long.
        """
        fields = dict(await read_form(request))
        if not self._sessions.is_form_token(session, fields.get("form_token", "")):
            raise Denied(
                "this form belongs to another session: the daemon was started anew, or you have "
                "signed in or out since. Nothing was done; load the page again"
            )
        return fields

    def form_token(self, session: Session) -> str:
        """What forms of this session carry."""
        return self._sessions.form_token(session)

    def keep(self, response: Response, session: Session) -> Response:
        """Gives the browser the session's cookie; no script and no other site can use it."""
        response.set_cookie(
            self._cookie,
            self._sessions.cookie(session),
            max_age=int(LIFE.total_seconds()),
            secure=self._is_secure,
            httponly=True,
            samesite="strict",
        )
        return response


def to_sign_in(request: Request) -> Response:
    """Leads to the form, and back afterwards."""
    return RedirectResponse(f"{SIGN_IN}?next={quote(request.url.path)}", 303)


def safe_path(path: str) -> str:
    """A path of ours to go on to; anything else is the start."""
    if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable():
        return path
    return "/approvals"


def one_of(text: str, allowed: tuple[str, ...], name: str) -> str:
    """A field that has only a few values.

    Raises:
        InvalidRequest: it has another one.
    """
    if text not in allowed:
        raise InvalidRequest(
            f"{name} must be one of {', '.join(allowed)}", detail={name: "unknown"}
        )
    return text
