"""The client: what a program may ask of a server, as one object."""

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from types import TracebackType

import msgspec

from stepwell.client import decode, facts
from stepwell.client.connection import Connection
from stepwell.client.datasources import Datasources
from stepwell.client.types import EventBatch, Page, Run, RunStatus, Step
from stepwell.client.watching import Watch
from stepwell.client.workflows import Workflows
from stepwell.clock import SystemClock, Uuid7Source
from stepwell.engine.values import Json
from stepwell.errors import Code, Unavailable
from stepwell.v1 import common_pb2, event_service_pb2, run_service_pb2

DEFAULT_TARGET = "127.0.0.1:7420"
DEFAULT_TIMEOUT = timedelta(seconds=30)
DEFAULT_PATIENCE = timedelta(seconds=60)
WAIT_SLICE = timedelta(seconds=20)
"""What one WaitRun asks for; a server allows at most a minute."""

PAUSE = 0.1
"""Seconds before a run is waited for again: a server that is about to stop answers at once."""


class Client:
    """A connection to one server: `async with Client() as client: ...`.

    `token` is the owner's token of the server's home; without it the caller is `agent:local`.
    `timeout` is for each call, `patience` for how long a server may be gone while a run is
    waited for or the log is watched. Runs are named by id, with or without `runs/`.

    Every method raises `stepwell.errors.StepwellError` with the code, message and detail that
    the server gave; a server that cannot be reached is `Unavailable`, DAEMON_NOT_RUNNING.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        patience: timedelta = DEFAULT_PATIENCE,
    ) -> None:
        self._connection = Connection(target, token=token, timeout=timeout)
        self._patience = patience
        self._ids = Uuid7Source(SystemClock())
        self.workflows = Workflows(self._connection)
        self.datasources = Datasources(self._connection)

    async def __aenter__(self) -> "Client":
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def run(
        self,
        workflow: str,
        input: Json = None,
        *,
        version: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> Run:
        """Starts a run; it is committed when this returns.

        No input is an empty object, no version the newest one. The same `request_id` again
        starts nothing and gives the run that it started; without one a call gets its own.
        """
        request = run_service_pb2.StartRunRequest(
            workflow=workflow,
            version=version,
            input=None if input is None else _data(input),
            labels=labels or {},
            request_id=request_id or self._ids.new_id(),
        )
        answer = await self._connection.call(self._connection.runs.StartRun, request)
        return decode.run(answer.run, created=answer.created)

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        request_id: str | None = None,
    ) -> Run:
        """Calls one tool, as a run of the built-in workflow `call`; `wait` for its output."""
        given = {"tool": tool, "arguments": dict(arguments or {})}
        return await self.run("call", given, request_id=request_id)

    async def get(self, run: str) -> Run:
        """One run, with its output when it has ended well."""
        request = run_service_pb2.GetRunRequest(name=_name(run))
        return decode.run((await self._connection.call(self._connection.runs.GetRun, request)).run)

    async def wait(self, run: str, timeout: timedelta | None = None) -> Run:
        """The run when it has ended, or as it is after `timeout`; None waits for ever.

        A server that is stopped and started in between is waited for.
        """
        await self._connection.connect()  # who is not there to begin with is not waited for
        clock = asyncio.get_running_loop().time
        ends_at = math.inf if timeout is None else clock() + timeout.total_seconds()
        while True:
            left = min(max(ends_at - clock(), 0), WAIT_SLICE.total_seconds())
            try:
                found = await self._wait_once(run, timedelta(seconds=left))
            except Unavailable as error:
                if error.code is not Code.DAEMON_NOT_RUNNING:
                    raise
                await self._connection.reconnect(self._patience)
            else:
                if found.status.ended or clock() >= ends_at:
                    return found
            await asyncio.sleep(PAUSE)

    async def _wait_once(self, run: str, timeout: timedelta) -> Run:
        request = run_service_pb2.WaitRunRequest(name=_name(run))
        request.timeout.FromTimedelta(timeout)
        answer = await self._connection.call(
            self._connection.runs.WaitRun, request, waiting=timeout
        )
        return decode.run(answer.run)

    async def list(
        self,
        *,
        status: RunStatus | None = None,
        workflow: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        """One page of the runs, newest first, without their outputs; 0 means 50."""
        request = run_service_pb2.ListRunsRequest(
            status=decode.WIRE_STATUSES[status or RunStatus.UNSPECIFIED],
            workflow=workflow,
            page_size=page_size,
            page_token=page_token,
        )
        return decode.page(await self._connection.call(self._connection.runs.ListRuns, request))

    async def steps(self, run: str) -> tuple[Step, ...]:
        """All steps of a run, in the order in which they were scheduled."""
        steps: list[Step] = []
        request = run_service_pb2.ListStepsRequest(run=_name(run), page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.runs.ListSteps, request)
            steps += map(decode.step, answer.steps)
            if not answer.next_page_token:
                return tuple(steps)
            request.page_token = answer.next_page_token

    async def cancel(self, run: str, reason: str = "") -> Run:
        """Stops a run; one that has ended is `FailedPrecondition`, RUN_ENDED."""
        request = run_service_pb2.CancelRunRequest(name=_name(run), reason=reason)
        answer = await self._connection.call(self._connection.runs.CancelRun, request)
        return decode.run(answer.run)

    async def events(self, run: str = "", *, cursor: str = "", page_size: int = 0) -> EventBatch:
        """The next events after a cursor, of one run or of all; "" is the beginning."""
        request = event_service_pb2.ListEventsRequest(
            run=_name(run) if run else "", cursor=cursor, page_size=page_size
        )
        answer = await self._connection.call(self._connection.events.ListEvents, request)
        return facts.batch(answer)

    def watch(self, run: str = "", *, cursor: str | None = "") -> AsyncGenerator[EventBatch, None]:
        """Batches of events as they happen, of one run or of all; None is "from now on".

        The watch of a run ends after the event that ends the run. It survives a server that is
        stopped and started again: every event comes once, in order. To go on later, keep the
        cursor of the last batch.
        """
        name = _name(run) if run else ""
        return Watch(self._connection, name, cursor, self._patience).batches()

    async def publish(self, run: str, type: str, payload: Json = None) -> None:
        """Writes a `custom` event into the log of a run that has not ended."""
        request = event_service_pb2.PublishEventRequest(
            run=_name(run), type=type, payload=_data(payload)
        )
        await self._connection.call(self._connection.events.PublishEvent, request)


def _name(run: str) -> str:
    return decode.RUN_PREFIX + run.removeprefix(decode.RUN_PREFIX)


def _data(value: Json) -> common_pb2.Data:
    return common_pb2.Data(json=msgspec.json.encode(value))
