"""The inbox: what waits for an answer, what exactly it is, and the form that answers it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stepwell.engine.values import Data
from stepwell.errors import Code, Denied, FailedPrecondition, StepwellError
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.views import Approval
from stepwell_server.changes import headline
from stepwell_server.web import moments
from stepwell_server.web.shown import shown
from stepwell_server.web.site import MOST_COUNTED, Site
from stepwell_server.web.viewers import Viewer, one_of

PAGE: Final = 50
MOST_PREVIEWED: Final = 160
URGENT: Final = timedelta(hours=1)
TONES: Final = {
    "approved": "good",
    "done": "good",
    "denied": "bad",
    "expired": "bad",
    "failed": "bad",
    "waiting": "",
}


class AnswerForm(Struct, frozen=True, kw_only=True):
    """What the form has to have. `question` is what a browser asks the viewer's passkeys, as JSON."""

    may_answer: bool
    why_not: str = ""
    needs_factor: bool = False
    is_enrolled: bool = False
    has_codes: bool = False
    question: str = ""
    hint: str = ""
    reason: str = ""
    elsewhere: str = ""
    deny_needs_factor: bool = False


class ApprovalPages:
    """A GET shows, a POST answers."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def queue(self, request: Request) -> Response:
        """What waits, or everything that was asked, newest first."""
        viewer = await self._site.viewers.viewer(request)
        status = one_of(request.query_params.get("status", "waiting"), ("waiting", "all"), "status")
        page = await self._site.service.approvals.list(
            viewer.caller,
            status="" if status == "all" else status,
            page_size=PAGE,
            page_token=request.query_params.get("page", ""),
            is_told=True,
        )
        return await self._site.page(
            viewer,
            "approvals",
            entry="approvals",
            approvals=[self._told(one) for one in page.approvals],
            status=status,
            next_token=page.next_token,
        )

    async def one(self, request: Request) -> Response:
        """Exactly what is asked."""
        viewer = await self._site.viewers.viewer(request)
        return await self._show(request, viewer)

    async def arguments(self, request: Request) -> Response:
        """The exact arguments as a file, however long."""
        viewer = await self._site.viewers.viewer(request)
        found = await self._site.service.approvals.get(viewer.caller, request.path_params["id"])
        if found.arguments is None or found.arguments.value is msgspec.UNSET:
            raise FailedPrecondition(
                "the arguments are sealed or have been erased", code=Code.NOT_APPLICABLE
            )
        content = msgspec.json.encode(found.arguments.value, order="deterministic")
        headers = {"content-disposition": f'attachment; filename="arguments-{found.id}.json"'}
        return Response(content, media_type="application/json", headers=headers)

    async def decide(self, request: Request) -> Response:
        """Takes an answer to what was shown: its `subject` comes with the form."""
        viewer = await self._site.viewers.viewer(request)
        fields = await self._site.viewers.form(request, viewer.session)
        id, subject = request.path_params["id"], fields.get("subject", "")
        try:
            verdict = one_of(fields.get("verdict", ""), ("approve", "deny"), "verdict")
            proof = proof_of(fields)
            if not viewer.signed_in:
                await self._check_person(viewer, proof, id, subject, is_denial=verdict == "deny")
            await self._site.service.approvals.decide(
                viewer.person,
                id,
                verdict="approve" if verdict == "approve" else "deny",
                reason=fields.get("reason", "").strip()[:1000],
                subject=subject or None,
                proof=proof,
            )
        except (Denied, FailedPrecondition) as error:
            return await self._show(request, viewer, error=error, reason=fields.get("reason", ""))
        return self._site.viewers.keep(RedirectResponse(f"/approvals/{id}", 303), viewer.session)

    # --- inside ---------------------------------------------------------------------------

    async def _check_person(
        self, viewer: Viewer, proof: Proof | None, id: str, subject: str, *, is_denial: bool
    ) -> None:
        """Nobody has signed in, so nothing but a factor says that this is a person.

        What approves takes it by itself, once the person has one. A denial is checked here.

        Raises:
            Denied: FACTOR_REQUIRED, FACTOR_WRONG, FACTOR_LOCKED.
        """
        factors = self._site.service.factors
        if proof is None or not await factors.is_enrolled(viewer.person):
            raise Denied(
                "nobody has signed in here, so every answer takes a code or a passkey of "
                f"{viewer.person.principal}",
                code=Code.FACTOR_REQUIRED,
            )
        if is_denial:
            await self._site.service.approvals.get(viewer.person, id)
            await factors.verify(viewer.person, proof, subject)

    async def _show(
        self,
        request: Request,
        viewer: Viewer,
        *,
        error: StepwellError | None = None,
        reason: str = "",
    ) -> Response:
        service = self._site.service
        found = await service.approvals.get(viewer.caller, request.path_params["id"])
        waiting = await service.approvals.list(viewer.caller, page_size=MOST_COUNTED)
        status_code = 200
        if error is not None:
            status_code = 403 if isinstance(error, Denied) else 409
        return await self._site.page(
            viewer,
            "approval",
            entry="approvals",
            status_code=status_code,
            one=self._told(found),
            message=_text(found.message) if found.about != "call" else "",
            shown=await asyncio.to_thread(shown, found.arguments, found.preview),
            form=await self._form(request, viewer, found, reason),
            neighbours=_neighbours([one.id for one in waiting.approvals], found.id),
            waiting=len(waiting.approvals),
            problem=error.message if error is not None else "",
        )

    async def _form(
        self, request: Request, viewer: Viewer, found: Approval, reason: str
    ) -> AnswerForm:
        """What it takes to answer; the service decides, this is what a person is told before."""
        person, factors = viewer.person, self._site.service.factors
        if viewer.signed_in and not person.is_user:
            why = f"{person.principal} is no person, and only people answer."
            return AnswerForm(may_answer=False, why_not=why)
        if found.is_withheld:
            why = (
                "It is about rows of a database that are not shown to every program of this machine. "
                "Sign in, look at them, then answer."
            )
            return AnswerForm(may_answer=False, why_not=why)
        is_own = found.about == "call" and found.principal == person.principal
        if is_own and found.approver != "caller":
            why = f"{person.principal} has asked for this, so somebody else answers."
            return AnswerForm(may_answer=False, why_not=why)
        if found.groups and person.principal not in found.groups:
            why = f"Only {' or '.join(found.groups)} may approve this; the rule names them."
            return AnswerForm(may_answer=False, why_not=why)
        if found.status != "waiting":
            return AnswerForm(may_answer=False)
        kinds = {factor.kind for factor in await factors.list_factors(person)}
        question = ""
        if "passkey" in kinds and found.subject:
            asked = await factors.question(person, found.subject)
            question = msgspec.json.encode(asked).decode()
        return AnswerForm(
            may_answer=True,
            needs_factor=found.about == "call" or bool(kinds) or not viewer.signed_in,
            is_enrolled=bool(kinds),
            has_codes="totp" in kinds,
            question=question,
            hint=_hint(viewer, is_enrolled=bool(kinds)),
            reason=reason,
            elsewhere=self._site.elsewhere(request) if question else "",
            deny_needs_factor=not viewer.signed_in,
        )

    def _told(self, one: Approval) -> dict[str, Any]:
        """An approval in the words of a page."""
        now, expires = self._site.clock.now(), one.expires_at
        is_waiting = one.status == "waiting"
        soon = expires is not None and expires - now < URGENT // timedelta(microseconds=1)
        return msgspec.structs.asdict(one) | {
            "what": _what(one),
            "preview": headline(one.preview)
            if one.preview is not None
            else _preview(one.arguments)
            if one.about != "approval"
            else _text(one.message),
            "age": moments.ago(now, one.requested_at),
            "expires": moments.left(now, expires) if expires is not None else "",
            "is_urgent": is_waiting and soon,
            "tone": TONES.get(one.status, ""),
        }


def proof_of(fields: Mapping[str, str]) -> Proof | None:
    """What a form proves with, if with anything."""
    if answer := fields.get("passkey", ""):
        return Proof(kind="passkey", value=answer)
    if code := fields.get("code", "").strip():
        return Proof(kind="totp", value=code)
    return None


def _what(one: Approval) -> str:
    match one.about:
        case "call":
            return f"Call {one.tool}"
        case "outcome":
            return f"What became of {one.tool or 'a call'}?"
        case _:
            return f"Question of the step {one.step}"


def _preview(arguments: Data | None) -> str:
    if arguments is None or arguments.value is msgspec.UNSET:
        return ""
    text = msgspec.json.encode(arguments.value, order="deterministic")[: MOST_PREVIEWED * 4]
    return text.decode(errors="ignore")[:MOST_PREVIEWED]


def _text(message: Data | None) -> str:
    if message is None or message.value is msgspec.UNSET or message.value is None:
        return ""
    value = message.value
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _hint(viewer: Viewer, *, is_enrolled: bool) -> str:
    name = viewer.person.principal
    if not is_enrolled:
        return f"{name} has no factor yet, and approving takes one."
    if not viewer.signed_in:
        return f"Nobody has signed in here, so each answer takes a factor of {name}."
    return "Approving takes a factor, denying does not."


def _neighbours(ids: list[str], id: str) -> dict[str, str]:
    if id not in ids:
        return {"next": ids[0] if ids else "", "previous": ""}
    at = ids.index(id)
    return {
        "next": ids[at + 1] if at + 1 < len(ids) else "",
        "previous": ids[at - 1] if at else "",
    }
