"""RunService: runs and their steps."""

from datetime import timedelta

from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.service import Service
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
        try:
            run = await self._drain.interruptible(self._service.wait_run(caller, run_id, timeout))
        except Draining:
            run = await self._service.get_run(caller, run_id)
        return pb.WaitRunResponse(run=translate.run(run), done=run.status.ended)

    async def CancelRun(
        self, request: pb.CancelRunRequest, context: Context
    ) -> pb.CancelRunResponse:
        """Stops a run."""
        run = await self._service.controls.cancel_run(
            current_caller(), translate.run_id(request.name), request.reason
        )
        return pb.CancelRunResponse(run=translate.run(run))

    async def ListSteps(
        self, request: pb.ListStepsRequest, context: Context
    ) -> pb.ListStepsResponse:
        """The steps of a run. They are only ever added, so a place in the list is a number."""
        begin = _index(paging.place(request.page_token))
        steps = await self._service.list_steps(current_caller(), translate.run_id(request.run))
        page = paging.cut(steps[begin:], translate.step, request.page_size)
        end = begin + len(page)
        return pb.ListStepsResponse(
            steps=page, next_page_token=paging.token(str(end)) if end < len(steps) else ""
        )


def _filter(request: pb.ListRunsRequest) -> str:
    """The fields of the request as one filter."""
    wanted = []
    if request.status:
        wanted.append(f'status = "{translate.VIEW_STATUSES[request.status]}"')
    if request.workflow:
        wanted.append(f'workflow = "{request.workflow}"')
    return " AND ".join(wanted)


def _index(place: str) -> int:
    if not place:
        return 0
    if place.isascii() and place.isdigit():
        return int(place)
    raise InvalidRequest(
        "the page token belongs to another list; leave it out to begin at the first page",
        code=Code.INVALID_CURSOR,
    )
