"""Signing in with an API key, or with a link that `stepwell page` has made; and out again."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_server.tickets import Tickets
from stepwell_server.web.sessions import Session, Sessions
from stepwell_server.web.site import Site
from stepwell_server.web.viewers import Viewer, safe_path

WORN = "this link was used before, or its time is over; `stepwell page` makes another"


class SignInPages:
    """The form, and what it does. A session is always a new one: nobody can hand his to another."""

    def __init__(
        self, site: Site, authentication: Authentication, sessions: Sessions, tickets: Tickets
    ) -> None:
        self._site = site
        self._authentication = authentication
        self._sessions = sessions
        self._tickets = tickets

    async def form(self, request: Request) -> Response:
        """The form; a link's ticket is not used up by looking at it."""
        ticket = request.query_params.get("ticket", "")
        problem = WORN if ticket and not self._tickets.is_good(ticket) else ""
        then = safe_path(request.query_params.get("next", ""))
        return await self._page(
            request, ticket="" if problem else ticket, next_path=then, problem=problem
        )

    async def sign_in(self, request: Request) -> Response:
        """Begins a session of whoever the token or the ticket is of."""
        fields = await self._site.viewers.form(request, self._site.viewers.session(request))
        then = safe_path(fields.get("next", ""))
        try:
            caller = await self._caller(fields)
        except Unauthenticated as error:
            return await self._page(
                request, ticket="", next_path=then, problem=error.message, status_code=401
            )
        session = self._sessions.begin(caller)
        return self._site.viewers.keep(RedirectResponse(then, 303), session)

    async def sign_out(self, request: Request) -> Response:
        """Begins a session of nobody."""
        await self._site.viewers.form(request, self._site.viewers.session(request))
        return self._site.viewers.keep(RedirectResponse("/", 303), self._sessions.begin())

    async def _caller(self, fields: dict[str, str]) -> Caller:
        if ticket := fields.get("ticket", ""):
            if not self._tickets.take(ticket):
                raise Unauthenticated(WORN)
            return LOCAL_USER
        return await self._authentication.person(fields.get("token", "").strip())

    async def _page(
        self, request: Request, *, ticket: str, next_path: str, problem: str, status_code: int = 200
    ) -> Response:
        viewer = _stranger(self._site.viewers.session(request))
        return await self._site.page(
            viewer,
            "sign_in",
            status_code=status_code,
            waiting=0,
            ticket=ticket,
            next=next_path,
            problem=problem,
        )


def _stranger(session: Session) -> Viewer:
    return Viewer(caller=LOCAL_AGENT, session=session, signed_in=False)
