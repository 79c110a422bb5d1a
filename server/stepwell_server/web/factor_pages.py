"""Enrolling and removing what people prove with that it is they: for whoever has signed in."""

import re
from typing import Any, Final

import msgspec
import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from stepwell.errors import Code, Denied, InvalidRequest
from stepwell.orchestrator.factors import TotpOffer
from stepwell.orchestrator.one_time_codes import enrolment_uri
from stepwell_server.web.approval_pages import proof_of
from stepwell_server.web.site import Site
from stepwell_server.web.viewers import Viewer

SECRET: Final = re.compile(r"[A-Z2-7]{32}")


class FactorPages:
    """A GET shows, a POST changes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """The viewer's factors, and how to enrol more."""
        viewer = await self._site.viewers.viewer(request)
        return await self._page(request, viewer)

    async def offer_totp(self, request: Request) -> Response:
        """A new secret for an app, as a picture."""
        viewer, _ = await self._person(request)
        offer = await self._site.service.factors.offer_totp(viewer.caller)
        return await self._page(request, viewer, offer=offer)

    async def enrol_totp(self, request: Request) -> Response:
        """Enrols the app that was offered."""
        viewer, fields = await self._person(request)
        ticket = fields.get("ticket", "")
        try:
            made = await self._site.service.factors.enrol_totp(
                viewer.caller,
                ticket,
                fields.get("new_code", ""),
                label=fields.get("label", ""),
                proof=proof_of(fields),
            )
        except Denied as error:
            offer = _same_offer(viewer, ticket, fields.get("secret", ""))
            return await self._page(request, viewer, offer=offer, problem=error.message)
        return await self._page(request, viewer, done=f"{made.label} is enrolled.")

    async def enrol_passkey(self, request: Request) -> Response:
        """Enrols the passkey that the browser has made."""
        viewer, fields = await self._person(request)
        try:
            made = await self._site.service.factors.enrol_passkey(
                viewer.caller,
                fields.get("answer", ""),
                label=fields.get("label", ""),
                proof=proof_of(fields),
            )
        except (Denied, InvalidRequest) as error:
            return await self._page(request, viewer, problem=error.message)
        return await self._page(request, viewer, done=f"{made.label} is enrolled.")

    async def remove(self, request: Request) -> Response:
        """Forgets a factor."""
        viewer, fields = await self._person(request)
        try:
            await self._site.service.factors.remove(
                viewer.caller, fields.get("id", ""), proof=proof_of(fields)
            )
        except Denied as error:
            return await self._page(request, viewer, problem=error.message)
        return await self._page(request, viewer, done="It is removed.")

    # --- inside ---------------------------------------------------------------------------

    async def _person(self, request: Request) -> tuple[Viewer, dict[str, str]]:
        """Who has signed in, and what he sent.

        Raises:
            Denied: nobody has, or it is no person.
        """
        viewer = await self._site.viewers.viewer(request)
        fields = await self._site.viewers.form(request, viewer.session)
        if not viewer.may_enrol:
            raise Denied(
                "factors are enrolled and removed by a person who has signed in; `stepwell page` "
                "opens this page so, on the machine itself",
                code=Code.UNAUTHENTICATED if not viewer.signed_in else Code.POLICY_DENIED,
            )
        return viewer, fields

    async def _page(
        self,
        request: Request,
        viewer: Viewer,
        *,
        offer: TotpOffer | None = None,
        done: str = "",
        problem: str = "",
    ) -> Response:
        given: dict[str, Any] = {"factors": [], "form": None, "is_first": False, "offer": None}
        if viewer.may_enrol:
            given = await self._given(request, viewer, offer)
        return await self._site.page(
            viewer,
            "factor",
            entry="factor",
            status_code=403 if problem else 200,
            done=done,
            problem=problem,
            **given,
        )

    async def _given(
        self, request: Request, viewer: Viewer, offer: TotpOffer | None
    ) -> dict[str, Any]:
        factors, caller = self._site.service.factors, viewer.caller
        mine = await factors.list_factors(caller)
        kinds = {factor.kind for factor in mine}

        async def form(subject: str) -> dict[str, Any]:
            asked = await factors.question(caller, subject) if "passkey" in kinds else None
            question = msgspec.json.encode(asked).decode() if asked else ""
            return {"has_codes": "totp" in kinds, "question": question}

        rows = [
            msgspec.structs.asdict(factor)
            | {"form": await form(factors.remove_subject(caller, factor.id))}
            for factor in mine
        ]
        creation = msgspec.json.encode(await factors.offer_passkey(caller)).decode()
        elsewhere = self._site.elsewhere(request)
        return {
            "factors": rows,
            "is_first": not await factors.is_anybody_enrolled(caller.namespace),
            "form": await form(factors.enrol_subject(caller))
            | {"creation": creation, "elsewhere": elsewhere},
            "offer": _pictured(offer) if offer else None,
        }


def _pictured(offer: TotpOffer) -> dict[str, Any]:
    """The offer with its QR code. The picture is ours, all of it drawn from the secret."""
    picture = segno.make(offer.uri, error="m").svg_inline(border=2, scale=4, omitsize=True)
    groups = [offer.secret[at : at + 4] for at in range(0, len(offer.secret), 4)]
    return {
        "qr": Markup(picture),  # noqa: S704 - made here, of numbers
        "secret": offer.secret,
        "groups": " ".join(groups),
        "ticket": offer.ticket,
    }


def _same_offer(viewer: Viewer, ticket: str, secret: str) -> TotpOffer | None:
    """What was offered before, shown again after a mistake; only the ticket counts."""
    if not SECRET.fullmatch(secret):
        return None
    uri = enrolment_uri(secret, viewer.principal.removeprefix("user:"))
    return TotpOffer(secret=secret, uri=uri, ticket=ticket)
