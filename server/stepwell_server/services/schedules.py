"""ScheduleService: runs that are started by the clock."""

from stepwell.orchestrator.service import Service
from stepwell.v1 import schedule_service_pb2 as pb
from stepwell.v1 import schedule_service_pb2_grpc as rpc
from stepwell_server import paging, schedules, translate
from stepwell_server.interceptors import Context, current_caller

DEFAULT_FIRES = 5


class ScheduleServicer(rpc.ScheduleServiceServicer):
    """Keeps schedules."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def PutSchedule(
        self, request: pb.PutScheduleRequest, context: Context
    ) -> pb.PutScheduleResponse:
        """Makes a schedule, or replaces it."""
        schedule, created = await self._service.schedules.put_schedule(
            current_caller(),
            request.name,
            schedules.spec(request.spec),
            paused=request.paused if request.HasField("paused") else None,
        )
        return pb.PutScheduleResponse(schedule=schedules.schedule(schedule), created=created)

    async def GetSchedule(
        self, request: pb.GetScheduleRequest, context: Context
    ) -> pb.GetScheduleResponse:
        """One schedule with its next fires."""
        caller, name = current_caller(), request.name
        schedule = await self._service.schedules.get_schedule(caller, name)
        count = request.fires or DEFAULT_FIRES
        fires = await self._service.schedules.next_fires(caller, name, count)
        problem = await self._service.schedules.problem(caller, name)
        return pb.GetScheduleResponse(
            schedule=schedules.schedule(schedule),
            fires=map(translate.timestamp, fires),
            problem=translate.failure(problem) if problem else None,
        )

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: Context
    ) -> pb.ListSchedulesResponse:
        """All of them, by name."""
        page, token = paging.named(
            await self._service.schedules.list_schedules(current_caller()),
            schedules.schedule,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListSchedulesResponse(schedules=page, next_page_token=token)

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: Context
    ) -> pb.DeleteScheduleResponse:
        """Forgets one; its runs stay."""
        await self._service.schedules.remove_schedule(current_caller(), request.name)
        return pb.DeleteScheduleResponse()

    async def PauseSchedule(
        self, request: pb.PauseScheduleRequest, context: Context
    ) -> pb.PauseScheduleResponse:
        """Holds one back."""
        paused = await self._service.schedules.pause_schedule(
            current_caller(), request.name, request.note
        )
        return pb.PauseScheduleResponse(schedule=schedules.schedule(paused))

    async def ResumeSchedule(
        self, request: pb.ResumeScheduleRequest, context: Context
    ) -> pb.ResumeScheduleResponse:
        """Lets one go on."""
        resumed = await self._service.schedules.resume_schedule(
            current_caller(), request.name, request.note
        )
        return pb.ResumeScheduleResponse(schedule=schedules.schedule(resumed))

    async def TriggerSchedule(
        self, request: pb.TriggerScheduleRequest, context: Context
    ) -> pb.TriggerScheduleResponse:
        """Starts a run now."""
        run, created = await self._service.schedules.trigger_schedule(
            current_caller(), request.name, request_id=request.request_id or None
        )
        return pb.TriggerScheduleResponse(run=translate.run(run), created=created)
