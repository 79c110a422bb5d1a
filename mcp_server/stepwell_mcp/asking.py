"""One call and whoever is at the other end of it: he is asked what its run asks, in either era.

A newer client gets what is asked as the answer to its request, and sends the request again with what its user
said and with the state that it was given. An older one is asked on its session, while its request is open.
What was asked is kept by the run: any process takes the answer, and takes it once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeAlias

import anyio
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from stepwell.engine.values import Json
from stepwell.errors import Code, FailedPrecondition, InvalidRequest, StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import OpenQuestion, Run, Waiting
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.errors import protocol_error
from stepwell_mcp.questions import (
    CLIENT_KINDS,
    InputRequest,
    InputResponses,
    by_key,
    can_be_asked,
    not_declared,
    page_request,
    reply_of,
    request_of,
    result_type,
)
from stepwell_mcp.request_state import RequestStates, State, refused

About: TypeAlias = Callable[[], tuple[str, ...]]
"""Tells what the states of a call are bound to: few calls have any, and a digest is not free."""

PATIENCE: Final = timedelta(minutes=10)
"""How long a user of an older client may take to answer."""
PAGE: Final = "approval-"
"""How the keys begin under which a user is shown the page of an approval."""


@contextmanager
def _as_refusal() -> Iterator[None]:
    """What is wrong with an answer is a protocol error: no model can mend it."""
    try:
        yield
    except StepwellError as error:
        raise protocol_error(error) from error


class Conversation:
    """A call, and what its client can be asked about its run."""

    def __init__(
        self,
        service: Service,
        states: RequestStates,
        context: RequestContext,
        about: About,
        *,
        responses: InputResponses | None = None,
        shows_pages: bool = True,
    ) -> None:
        """`about` tells what the states of this call are bound to, where it has any.

        `responses` answer what is asked under their keys; one of them may come before it is asked.

        With `shows_pages` the client is shown the page of a held call.
        """
        self._service = service
        self._states = states
        self._context = context
        self._caller = caller_of(context)
        self._about = about
        self._responses = dict(responses or {})
        self._shows_pages = shows_pages and can_be_asked(context, "url")
        self._is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._known: set[str] = set()
        """Questions and approvals that need not be told again."""
        self.is_watched = False
        """Whether the user says that he sees to an approval, so that waiting for it is worth while."""

    async def go_on(self, state: str) -> Run:
        """Answers what the client was asked in the round before; the run that waits for it.

        Raises:
            MCPError: the state is not good for this call; an answer is none, or was given before.
            StepwellError: as `Service.get_run`.
        """
        opened = self._states.open(self._about(), state)
        run = await self._service.get_run(self._caller, opened.run)
        self._known.update(opened.shown)
        for id in opened.shown:
            response = self._responses.pop(f"{PAGE}{id}", None)
            self.is_watched |= getattr(response, "action", "") == "accept"
        answered = {key: self._responses.pop(key) for key in opened.asked if key in self._responses}
        await self._answer_all(run, opened, answered)
        self._responses.clear()  # what nobody has asked is left aside
        return await self._service.get_run(self._caller, opened.run) if answered else run

    async def _answer_all(self, run: Run, state: State, responses: InputResponses) -> None:
        """Answers all, or none where one of them is none."""
        asked = {question.id: question for question in run.questions}
        replies = []
        for key, response in responses.items():
            question = asked.get(state.asked[key])
            if question is None:
                raise refused(
                    f"what was asked as {key!r} has been answered, or is asked no more: an answer is "
                    f"given once; the call goes on as the run {run.id}"
                )
            with _as_refusal():
                replies.append((question, reply_of(key, question, response)))
        for question, (action, content) in replies:
            with _as_refusal():
                self._known.add(question.id)
                await self._service.questions.answer(
                    self._caller, run.id, question.id, action=action, content=content
                )

    # --- what is asked --------------------------------------------------------------------

    def wants(self, run: Run) -> bool:
        """Whether there is something to be asked of this client, or to be refused as it cannot be."""
        return bool(self._pages(run)) or any(
            question.id not in self._known
            and (
                question.kind in CLIENT_KINDS
                or question.key in self._responses
                or can_be_asked(self._context, question.kind)
            )
            for question in run.questions
        )

    async def ask(self, run: Run) -> InputRequiredResult | None:
        """Asks; the answer that asks a newer client, or None when it is done and the call goes on.

        Raises:
            MCPError: the call needs what this client does not declare, or its answer is none.
        """
        fresh = {key: it for key, it in by_key(run).items() if it.id not in self._known}
        early = {key: it for key, it in fresh.items() if key in self._responses}
        if early:
            for key, question in early.items():
                with _as_refusal():
                    action, content = reply_of(key, question, self._responses.pop(key))
                    await self._answer(run, question, action, content)
            return None
        askable = {k: it for k, it in fresh.items() if can_be_asked(self._context, it.kind)}
        pages = self._pages(run)
        if not (askable or pages):
            await self._refuse(run, fresh.values())
            return None
        requests: dict[str, InputRequest] = {}
        for key, question in askable.items():
            try:
                requests[key] = request_of(run, question)
            except ValidationError:  # the tool hears that nobody answers such a thing
                await self._answer(run, question, "cancel")
        for waiting in pages:
            requests[f"{PAGE}{waiting.approval}"] = self._page_request(waiting)
        if not requests:
            return None
        if self._is_modern:
            return self._required(run, requests, askable, pages)
        await self._push(run, requests, askable, pages)
        return None

    def _pages(self, run: Run) -> list[Waiting]:
        """Held calls whose page this client can show, and has not."""
        if not self._shows_pages:
            return []
        return [
            one
            for one in run.waiting
            if one.approval
            and one.approval not in self._known
            and self._service.approvals.page(one.approval)
        ]

    def _page_request(self, waiting: Waiting) -> InputRequest:
        why = waiting.reason or "policy holds it"
        message = f"The call of {waiting.tool} waits for your approval: {why}."
        url = self._service.approvals.page(waiting.approval)
        return page_request(message, url, waiting.approval)

    async def _refuse(self, run: Run, questions: Iterable[OpenQuestion]) -> None:
        """What only a client answers, and this one cannot: the tool is told, and so is a newer client."""
        lacking = [it for it in questions if it.kind in CLIENT_KINDS]
        for question in lacking:
            await self._answer(run, question, "cancel")
        if lacking and self._is_modern:
            raise not_declared(it.kind for it in lacking)

    def _required(
        self,
        run: Run,
        requests: Mapping[str, InputRequest],
        asked: Mapping[str, OpenQuestion],
        pages: Iterable[Waiting],
    ) -> InputRequiredResult:
        shown = {id for id in self._known if any(it.approval == id for it in run.waiting)}
        shown.update(one.approval for one in pages)
        state = self._states.seal(
            self._about(),
            run=run.id,
            asked={key: asked[key].id for key in requests if key in asked},
            shown=tuple(sorted(shown)),
        )
        return InputRequiredResult(input_requests=dict(requests), request_state=state)

    # --- older clients --------------------------------------------------------------------

    async def _push(
        self,
        run: Run,
        requests: Mapping[str, InputRequest],
        asked: Mapping[str, OpenQuestion],
        pages: Iterable[Waiting],
    ) -> None:
        """Asks one thing after the other on the session; what the client cannot be told stays asked."""
        self._known.update(one.approval for one in pages)
        for key, request in requests.items():
            question = asked.get(key)
            reply = await self._put(request, question.kind if question else "url")
            if question is None:
                self.is_watched |= getattr(reply, "action", "") == "accept"
                continue
            self._known.add(question.id)
            if reply is None:
                if question.kind in CLIENT_KINDS:
                    await self._answer(run, question, "cancel")
                continue
            try:
                action, content = reply_of(key, question, reply)
                await self._answer(run, question, action, content)
            except InvalidRequest:  # a form that is not filled in as it should be is none
                await self._answer(run, question, "cancel")

    async def _put(self, request: InputRequest, kind: str) -> object | None:
        related = ServerMessageMetadata(related_request_id=self._context.request_id)
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                return await self._context.session.send_request(
                    request, result_type(kind), metadata=related
                )
        except (MCPError, ValidationError, TimeoutError):
            return None

    async def _answer(
        self, run: Run, question: OpenQuestion, action: str, content: Json = None
    ) -> None:
        """Answers; somebody else may have been first, which is as good."""
        self._known.add(question.id)
        try:
            await self._service.questions.answer(
                self._caller, run.id, question.id, action=action, content=content
            )
        except FailedPrecondition as error:
            if error.code not in (Code.NOT_APPLICABLE, Code.RUN_ENDED):
                raise
