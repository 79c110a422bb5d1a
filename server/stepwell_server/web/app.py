"""The door to the pages: which address is which page, and what becomes of what goes wrong."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stepwell.clock import Clock
from stepwell.errors import (
    Denied,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StepwellError,
    Unavailable,
)
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.orchestrator.service import Service
from stepwell_server.tickets import Tickets
from stepwell_server.web.approval_pages import ApprovalPages
from stepwell_server.web.factor_pages import FactorPages
from stepwell_server.web.guard import Guard
from stepwell_server.web.rendering import Assets, Renderer
from stepwell_server.web.sessions import Sessions
from stepwell_server.web.sign_in_pages import SignInPages
from stepwell_server.web.site import Site
from stepwell_server.web.viewers import NotSignedIn, Viewers, to_sign_in

Handler = Callable[[Request], Awaitable[Response]]

STATUSES: Final[tuple[tuple[type[StepwellError], int], ...]] = (
    (NotFound, 404),
    (Unauthenticated, 401),
    (Denied, 403),
    (InvalidRequest, 400),
    (LimitExceeded, 413),
    (FailedPrecondition, 409),
    (Unavailable, 503),
)
HEADINGS: Final = {
    401: "Sign in",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not this way",
    409: "Too late",
    503: "Not now",
}


def make_app(
    service: Service, authentication: Authentication, *, origin: str, owner_token: str, clock: Clock
) -> ASGIApp:
    """The pages as an application. `origin` is where people reach it, as their browsers see it."""
    assets = Assets()
    sessions = Sessions(clock)
    site = Site(
        service=service,
        viewers=Viewers(service, sessions, origin=origin),
        renderer=Renderer(assets),
        clock=clock,
        origin=origin,
    )
    approvals, factors = ApprovalPages(site), FactorPages(site)
    signing = SignInPages(site, authentication, sessions, Tickets(owner_token, clock))

    async def start(_: Request) -> Response:
        return RedirectResponse("/approvals", 303)

    async def asset(request: Request) -> Response:
        return assets.response(request.path_params["name"])

    def post(path: str, handler: Handler) -> Route:
        return Route(path, handler, methods=["POST"])

    async def refused(request: Request, error: Exception) -> Response:
        return await _told(site, request, error)

    async def away(request: Request, _: Exception) -> Response:
        return to_sign_in(request)

    handlers: dict[Any, Any] = {
        NotSignedIn: away,
        StepwellError: refused,
        HTTPException: refused,
        Exception: refused,
    }
    pages = Starlette(
        routes=[
            Route("/", start),
            Route("/approvals", approvals.queue),
            Route("/approvals/{id}", approvals.one),
            Route("/approvals/{id}/arguments", approvals.arguments),
            post("/approvals/{id}/decide", approvals.decide),
            Route("/factor", factors.show),
            post("/factor/totp/offer", factors.offer_totp),
            post("/factor/totp", factors.enrol_totp),
            post("/factor/passkey", factors.enrol_passkey),
            post("/factor/remove", factors.remove),
            Route("/sign-in", signing.form),
            post("/sign-in", signing.sign_in),
            post("/sign-out", signing.sign_out),
            Route("/static/{name}", asset),
        ],
        exception_handlers=handlers,
    )
    return Guard(pages, origin=origin)


async def _told(site: Site, request: Request, error: Exception) -> Response:
    """A page that says what went wrong; of what we did not foresee only our log tells."""
    if isinstance(error, HTTPException):
        status, told = error.status_code, "There is no such page."
        if status == 405:
            told = "This address takes a form only; nothing was done."
    elif isinstance(error, StepwellError):
        status = next((code for kind, code in STATUSES if isinstance(error, kind)), 500)
        told = error.message
    else:
        status, told = 500, "This page failed; the log of the daemon says why."
    heading = HEADINGS.get(status, "That did not work")
    return site.problem(request, status=status, heading=heading, told=told)
