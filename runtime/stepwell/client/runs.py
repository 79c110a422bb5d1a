"""What a client may ask about runs."""

import asyncio
import math
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import code_proof, data, run_name
from stepwell.client.types import OnConflict, Page, QuestionAction, Run, RunStatus, Step, Verdict
from stepwell.clock import SystemClock, Uuid7Source
from stepwell.engine.values import Json
from stepwell.errors import Code, Unavailable
from stepwell.v1 import run_service_pb2 as pb

WAIT_SLICE = timedelta(seconds=20)
"""What one WaitRun asks for; a server allows at most a minute."""

PAUSE = 0.1
"""Seconds before a run is waited for again: a server that is about to stop answers at once."""


class Runs:
    """The part of the client that starts, inspects and steers runs."""

    def __init__(self, connection: Connection, *, patience: timedelta) -> None:
        self._connection = connection
        self._patience = patience
        self._ids = Uuid7Source(SystemClock())

    async def run(
        self,
        workflow: str,
        input: Json = None,
        *,
        version: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        run_key: str = "",
        on_conflict: OnConflict = "fail",
        queue: str = "",
        limits: Mapping[str, int] | None = None,
    ) -> Run:
        """Starts a run; it is committed when this returns.

        No input is an empty object, no version the newest one. The same `request_id` again
        starts nothing and gives the run that it started; without one a call gets its own.

        No two runs that have not ended have the same `run_key`. Where another has it, `on_conflict`
        says what becomes of this one: `fail` (`AlreadyExists`, RUN_KEY_TAKEN), `use_existing`
        (the other is given), `cancel_existing`. `queue` takes the place of the workflow's own.

        `limits` are what the run and the runs below it may spend: `usd_micros` (millionths of a
        dollar), `tokens`, `calls`, `rows`.
        """
        request = pb.StartRunRequest(
            workflow=workflow,
            version=version,
            input=None if input is None else data(input),
            labels=labels or {},
            request_id=request_id or self._ids.new_id(),
            run_key=run_key,
            on_conflict=pb.OnConflict.Value(f"ON_CONFLICT_{on_conflict.upper()}"),
            queue=queue,
            limits=limits or {},
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
        request = pb.GetRunRequest(name=run_name(run))
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
        request = pb.WaitRunRequest(name=run_name(run))
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
        filter: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        """One page of the runs, newest first, without their outputs; 0 means 50.

        `filter` says more in AIP-160's language: `labels.team = "shop" AND principal = "user:ada"`.
        """
        request = pb.ListRunsRequest(
            status=decode.WIRE_STATUSES[status or RunStatus.UNSPECIFIED],
            workflow=workflow,
            filter=filter,
            page_size=page_size,
            page_token=page_token,
        )
        return decode.page(await self._connection.call(self._connection.runs.ListRuns, request))

    async def steps(self, run: str) -> tuple[Step, ...]:
        """All steps of a run, in the order in which they were scheduled."""
        steps: list[Step] = []
        request = pb.ListStepsRequest(run=run_name(run), page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.runs.ListSteps, request)
            steps += map(decode.step, answer.steps)
            if not answer.next_page_token:
                return tuple(steps)
            request.page_token = answer.next_page_token

    async def cancel(self, run: str, reason: str = "") -> Run:
        """Stops a run; one that has ended is `FailedPrecondition`, RUN_ENDED."""
        request = pb.CancelRunRequest(name=run_name(run), reason=reason)
        answer = await self._connection.call(self._connection.runs.CancelRun, request)
        return decode.run(answer.run)

    async def pause(self, run: str, reason: str = "") -> Run:
        """Lets a run begin nothing new; calls in flight may end.

        One that is paused already is `FailedPrecondition`, NOT_APPLICABLE.
        """
        request = pb.PauseRunRequest(name=run_name(run), reason=reason)
        answer = await self._connection.call(self._connection.runs.PauseRun, request)
        return decode.run(answer.run)

    async def resume(self, run: str, reason: str = "") -> Run:
        """Lets a paused run go on; one that is not is `FailedPrecondition`, NOT_APPLICABLE."""
        request = pb.ResumeRunRequest(name=run_name(run), reason=reason)
        answer = await self._connection.call(self._connection.runs.ResumeRun, request)
        return decode.run(answer.run)

    async def retry(self, run: str, step: str = "", *, reason: str = "") -> Run:
        """Takes a run up again that has failed, with another attempt of the step it failed over.

        Where that cannot be it is `FailedPrecondition`, NOT_APPLICABLE.
        """
        request = pb.RetryStepRequest(run=run_name(run), step=step, reason=reason)
        answer = await self._connection.call(self._connection.runs.RetryStep, request)
        return decode.run(answer.run)

    async def fork(
        self,
        run: str,
        step: str,
        *,
        input: Json | msgspec.UnsetType = msgspec.UNSET,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        code: str = "",
    ) -> Run:
        """Starts a run that goes on from where another was, which is for users.

        It takes the one-time `code` once anybody has a factor: `Denied`, FACTOR_REQUIRED.

        The step, and what comes after it, is done anew; what had ended before is not. `input` takes
        the place of what the step was given, `labels` that of the other run's. `request_id` is as
        for `run`. A step that never ran is `NotFound`, STEP_NOT_FOUND.
        """
        request = pb.ForkRunRequest(
            run=run_name(run),
            step=step,
            input=None if input is msgspec.UNSET else data(input),
            labels=labels or {},
            request_id=request_id or self._ids.new_id(),
            proof=code_proof(code),
        )
        answer = await self._connection.call(self._connection.runs.ForkRun, request)
        return decode.run(answer.run, created=answer.created)

    async def signal(self, run: str, name: str, payload: Json = None, *, id: str = "") -> Run:
        """Sends a message to whatever step waits for its name, now or later.

        The same `id` again changes nothing; without one a call gets its own.
        """
        request = pb.SignalRunRequest(
            run=run_name(run), signal=name, payload=data(payload), id=id or self._ids.new_id()
        )
        answer = await self._connection.call(self._connection.runs.SignalRun, request)
        return decode.run(answer.run)

    async def resolve(
        self,
        run: str,
        step: str,
        verdict: Verdict,
        *,
        call: str | None = None,
        reason: str = "",
        value: Json = None,
        code: str = "",
    ) -> Run:
        """Answers what a step asks a person, which takes the token of a user.

        An approval is answered `approve` or `deny`; a call of unknown outcome `done` (`value` is
        its result), `retry` or `fail`. `call` says which of several is meant. `code` is a one-time
        code: who has enrolled a factor needs one.
        """
        request = pb.ResolveStepRequest(
            run=run_name(run),
            step=step,
            verdict=pb.Verdict.Value(f"VERDICT_{verdict.upper()}"),
            call=call,
            reason=reason,
            value=None if value is None else data(value),
            proof=code_proof(code),
        )
        answer = await self._connection.call(self._connection.runs.ResolveStep, request)
        return decode.run(answer.run)

    async def answer(
        self,
        run: str,
        question: str = "",
        *,
        action: QuestionAction = "accept",
        content: Json = None,
    ) -> Run:
        """Answers what a tool asks: by the id of the question, or the only one that there is.

        `content` is what was asked for. An answer is given once: who comes later is told so.
        """
        request = pb.AnswerQuestionRequest(
            run=run_name(run),
            question=question,
            action=pb.QuestionAction.Value(f"QUESTION_ACTION_{action.upper()}"),
            content=None if content is None else data(content),
        )
        answer = await self._connection.call(self._connection.runs.AnswerQuestion, request)
        return decode.run(answer.run)
