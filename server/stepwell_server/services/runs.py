"""RunService: runs and their steps."""

from datetime import timedelta

import msgspec

from stepwell.orchestrator.filters import parse_filter
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller
from stepwell.telemetry.traceparent import TRACEPARENT, clean
from stepwell.v1 import run_service_pb2 as pb
from stepwell.v1 import run_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.drain import Drain, Draining
from stepwell_server.interceptors import Context, current_caller

DEFAULT_WAIT = timedelta(seconds=20)


class RunServicer(rpc.RunServiceServicer):
    """Starts, inspects and steers runs."""

    def __init__(self, service: Service, drain: Drain) -> None:
        self._service = service
        self._drain = drain

    async def StartRun(self, request: pb.StartRunRequest, context: Context) -> pb.StartRunResponse:
        """Starts a run."""
        run, created = await self._service.start_run(
            current_caller(),
            request.workflow,
            translate.read_json(request.input, "input", default={}),
            version=request.version or None,
            labels=dict(request.labels),
            request_id=request.request_id or None,
            run_key=request.run_key,
            on_conflict=translate.ON_CONFLICT[request.on_conflict],
            queue=request.queue,
            limits=dict(request.limits),
            trace=trace_of(context),
        )
        return pb.StartRunResponse(run=translate.run(run), created=created)

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """One run, its output resolved."""
        run = await self._service.get_run(current_caller(), translate.run_id(request.name))
        return pb.GetRunResponse(run=translate.run(run))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """Runs, newest first."""
        size = paging.page_size(request.page_size)
        while True:
            page = await self._service.list_runs(
                current_caller(),
                page_size=size,
                page_token=request.page_token,
                filter=_filter(request),
            )
            runs = [translate.run(run, with_output=False) for run in page.runs]
            size = paging.fitting(runs)
            if size == len(runs):
                return pb.ListRunsResponse(runs=runs, next_page_token=page.next_token)

    async def WaitRun(self, request: pb.WaitRunRequest, context: Context) -> pb.WaitRunResponse:
        """The run when it has ended, or as it is when the time is over or the server stops."""
        caller, run_id = current_caller(), translate.run_id(request.name)
        timeout = request.timeout.ToTimedelta() if request.HasField("timeout") else DEFAULT_WAIT
        run = await wait_run(self._service, self._drain, caller, run_id, timeout)
        return pb.WaitRunResponse(run=translate.run(run), done=run.status.ended)

    async def CancelRun(
        self, request: pb.CancelRunRequest, context: Context
    ) -> pb.CancelRunResponse:
        """Stops a run."""
        run = await self._service.controls.cancel_run(
            current_caller(), translate.run_id(request.name), request.reason
        )
        return pb.CancelRunResponse(run=translate.run(run))

    async def PauseRun(self, request: pb.PauseRunRequest, context: Context) -> pb.PauseRunResponse:
        """Lets a run begin nothing new."""
        run = await self._service.controls.pause_run(
            current_caller(), translate.run_id(request.name), request.reason
        )
        return pb.PauseRunResponse(run=translate.run(run))

    async def ResumeRun(
        self, request: pb.ResumeRunRequest, context: Context
    ) -> pb.ResumeRunResponse:
        """Lets a paused run go on."""
        run = await self._service.controls.resume_run(
            current_caller(), translate.run_id(request.name), request.reason
        )
        return pb.ResumeRunResponse(run=translate.run(run))

    async def RetryStep(
        self, request: pb.RetryStepRequest, context: Context
    ) -> pb.RetryStepResponse:
        """Takes a failed run up again."""
        run = await self._service.controls.retry_step(
            current_caller(), translate.run_id(request.run), request.step, request.reason
        )
        return pb.RetryStepResponse(run=translate.run(run))

    async def ForkRun(self, request: pb.ForkRunRequest, context: Context) -> pb.ForkRunResponse:
        """Starts a run that goes on from where another was."""
        run, created = await self._service.controls.fork_run(
            current_caller(),
            translate.run_id(request.run),
            request.step,
            input=translate.read_json(request.input, "input", default=msgspec.UNSET),
            labels=dict(request.labels) or None,
            request_id=request.request_id or None,
            proof=translate.proof(request.proof),
        )
        return pb.ForkRunResponse(run=translate.run(run), created=created)

    async def SignalRun(
        self, request: pb.SignalRunRequest, context: Context
    ) -> pb.SignalRunResponse:
        """Sends a message to a run."""
        run = await self._service.controls.signal_run(
            current_caller(),
            translate.run_id(request.run),
            request.signal,
            translate.read_json(request.payload, "payload"),
            id=request.id,
        )
        return pb.SignalRunResponse(run=translate.run(run))

    async def ResolveStep(
        self, request: pb.ResolveStepRequest, context: Context
    ) -> pb.ResolveStepResponse:
        """Gives a person's answer."""
        run = await self._service.controls.resolve_step(
            current_caller(),
            translate.run_id(request.run),
            request.step,
            translate.VERDICTS[request.verdict],
            call=request.call if request.HasField("call") else None,
            reason=request.reason,
            value=translate.read_json(request.value, "value"),
            proof=translate.proof(request.proof),
        )
        return pb.ResolveStepResponse(run=translate.run(run))

    async def AnswerQuestion(
        self, request: pb.AnswerQuestionRequest, context: Context
    ) -> pb.AnswerQuestionResponse:
        """Gives the answer of the person behind the caller."""
        run = await self._service.questions.answer(
            current_caller(),
            translate.run_id(request.run),
            request.question,
            action=translate.QUESTION_ACTIONS[request.action],
            content=translate.read_json(request.content, "content"),
        )
        return pb.AnswerQuestionResponse(run=translate.run(run))

    async def ListSteps(
        self, request: pb.ListStepsRequest, context: Context
    ) -> pb.ListStepsResponse:
        """The steps of a run. They are only ever added, so a place in the list is a number."""
        begin = paging.number(request.page_token)
        steps = await self._service.list_steps(current_caller(), translate.run_id(request.run))
        page, token = paging.numbered(steps, translate.step, size=request.page_size, begin=begin)
        return pb.ListStepsResponse(steps=page, next_page_token=token)


async def wait_run(
    service: Service, drain: Drain, caller: Caller, run: str, timeout: timedelta
) -> Run:
    """The run when it has ended, or as it is when the time is over or the server stops."""
    try:
        return await drain.interruptible(service.wait_run(caller, run, timeout))
    except Draining:
        return await service.get_run(caller, run)


def trace_of(context: Context) -> str:
    """The W3C trace that a call brings along; one that cannot be read is left out, as W3C says."""
    sent = dict(context.invocation_metadata() or ()).get(TRACEPARENT, "")
    return clean(sent) if isinstance(sent, str) else ""


def _filter(request: pb.ListRunsRequest) -> str:
    """What the filter says, and what the fields of their own do.

    Raises:
        InvalidRequest: the filter is none.
    """
    parse_filter(request.filter)  # alone, so that an error is about nothing but what was written
    conditions = [request.filter] if request.filter.strip() else []
    if request.status:
        conditions.append(f"status = {translate.VIEW_STATUSES[request.status]}")
    if request.workflow:
        conditions.append(f"workflow = {msgspec.json.encode(request.workflow).decode()}")
    return " AND ".join(conditions)
