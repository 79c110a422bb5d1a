"""What every page stands on."""

from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from stepwell.clock import Clock
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT
from stepwell_server.web.rendering import Renderer
from stepwell_server.web.viewers import Viewer, Viewers

MOST_COUNTED = 100


class Site(Struct, frozen=True, kw_only=True):
    """The service, who looks, and how pages are made."""

    service: Service
    viewers: Viewers
    renderer: Renderer
    clock: Clock
    origin: str

    async def page(
        self,
        viewer: Viewer,
        template: str,
        *,
        entry: str = "",
        status_code: int = 200,
        **given: Any,
    ) -> Response:
        """A page for somebody, with the number of what waits for an answer."""
        if "waiting" not in given:
            found = await self.service.approvals.list(viewer.caller, page_size=MOST_COUNTED)
            given["waiting"] = len(found.approvals)
        response = self.renderer.page(
            template,
            status_code=status_code,
            viewer=viewer,
            entry=entry,
            form_token=self.viewers.form_token(viewer.session),
            **{"problem": "", **given},
        )
        return self.viewers.keep(response, viewer.session)

    def problem(self, request: Request, *, status: int, heading: str, told: str) -> Response:
        """A page that says what went wrong, to whoever it is."""
        session = self.viewers.session(request)
        viewer = Viewer(
            caller=session.caller or LOCAL_AGENT,
            session=session,
            signed_in=session.caller is not None,
        )
        return self.renderer.page(
            "problem",
            status_code=status,
            viewer=viewer,
            entry="",
            waiting=0,
            form_token=self.viewers.form_token(session),
            problem="",
            heading=heading,
            told=told,
        )

    def elsewhere(self, request: Request) -> str:
        """Where passkeys work, when that is not here."""
        here = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return "" if here == self.origin or self.origin.startswith("https:") else self.origin
