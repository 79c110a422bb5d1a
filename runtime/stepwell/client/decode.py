"""Messages of the contract as the types of this client."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from stepwell.client.types import (
    Datasource,
    DatasourceFinding,
    InspectedDatasource,
    Page,
    Problem,
    Question,
    Run,
    RunStatus,
    Step,
    StepStatus,
    Waiting,
    WaitingOn,
    Workflow,
)
from stepwell.engine.values import BlobRef, Data, Failure, Json
from stepwell.v1 import (
    common_pb2,
    datasource_service_pb2,
    run_service_pb2,
    workflow_service_pb2,
)

RUN_PREFIX = "runs/"
RUN_STATUSES = {
    number: RunStatus(name.removeprefix("RUN_STATUS_").lower())
    for name, number in run_service_pb2.RunStatus.items()
}
WIRE_STATUSES = {status: number for number, status in RUN_STATUSES.items()}
STEP_STATUSES = {
    number: StepStatus(name.removeprefix("STEP_STATUS_").lower())
    for name, number in run_service_pb2.StepStatus.items()
}
WAITING_ON = {
    number: WaitingOn(name.removeprefix("WAITING_ON_").lower())
    for name, number in run_service_pb2.WaitingOn.items()
}


def run_id(name: str) -> str:
    """The id in the name of a run; "" where there is no run."""
    return name.removeprefix(RUN_PREFIX)


def instant(stamp: Timestamp) -> datetime:
    """A time as the wire has it."""
    return stamp.ToDatetime(tzinfo=UTC)


def microseconds(time: Timestamp) -> int:
    """A time as the engine has it."""
    return time.ToMicroseconds()


def blob_ref(message: common_pb2.BlobRef) -> BlobRef:
    """The name of content that is kept beside the log."""
    return BlobRef(message.digest, message.size, message.label)


def data(message: common_pb2.Data) -> Data:
    """A value, or the reference to one."""
    match message.WhichOneof("content"):
        case "json":
            return Data(value=msgspec.json.decode(message.json), sealed=message.sealed)
        case "ref":
            return Data(blob=blob_ref(message.ref), sealed=message.sealed)
        case _:
            return Data(sealed=message.sealed)


def value(message: common_pb2.Data) -> tuple[Json, BlobRef | None]:
    """A value, or None and the reference to one."""
    found = data(message)
    return (None if found.value is msgspec.UNSET else found.value), found.blob


def attributes(messages: Iterable[common_pb2.Attribute]) -> dict[str, tuple[str, ...]]:
    """What is known of a principal."""
    return {message.name: tuple(message.values) for message in messages}


def failure(message: common_pb2.Failure) -> Failure:
    """Why something failed."""
    return Failure(message.reason, message.message, message.retryable, dict(message.detail))


def run(message: run_service_pb2.Run, *, created: bool = False) -> Run:
    """A run. A status that is newer than this client is `unspecified`."""
    output, output_ref = _output(message)
    return Run(
        id=run_id(message.name),
        workflow=message.workflow,
        version=message.version,
        principal=message.principal,
        status=RUN_STATUSES.get(message.status, RunStatus.UNSPECIFIED),
        created_at=instant(message.created_at),
        updated_at=instant(message.updated_at),
        ended_at=_maybe_instant(message, "ended_at"),
        labels=dict(message.labels),
        output=output,
        output_ref=output_ref,
        failure=failure(message.failure) if message.HasField("failure") else None,
        reason=message.reason,
        waiting_for=tuple(map(waiting, message.waiting_for)),
        run_key=message.run_key,
        parent=run_id(message.parent),
        forked_from=run_id(message.forked_from),
        created=created,
        is_erased=message.erased,
        questions=tuple(map(question, message.questions)),
    )


def question(message: run_service_pb2.Question) -> Question:
    """What a tool asks."""
    return Question(
        id=message.id,
        step=message.step,
        call=message.call,
        key=message.key,
        kind=message.kind,
        tool=message.tool,
        message=message.message,
        asked_at=instant(message.asked_at),
        expires_at=_maybe_instant(message, "expires_at"),
        schema=msgspec.json.decode(message.schema) if message.schema else None,
        url=message.url,
        params=msgspec.json.decode(message.params) if message.params else {},
    )


def page(message: run_service_pb2.ListRunsResponse) -> Page:
    """One page of a list of runs."""
    return Page(
        runs=tuple(run(one) for one in message.runs), next_page_token=message.next_page_token
    )


def waiting(message: run_service_pb2.Waiting) -> Waiting:
    """What a step waits for. A kind that is newer than this client is `unspecified`."""
    told = data(message.message)
    return Waiting(
        step=message.step,
        on=WAITING_ON.get(message.on, WaitingOn.UNSPECIFIED),
        about=message.about,
        until=_maybe_instant(message, "until"),
        call=message.call,
        message=None if told.value is msgspec.UNSET else told.value,
        message_ref=told.blob,
        approval=message.approval,
        tool=message.tool,
        rules=tuple(message.rules),
        reason=message.reason,
        question=message.question,
    )


def step(message: run_service_pb2.Step) -> Step:
    """A step. A status that is newer than this client is `unspecified`."""
    output, output_ref = _output(message)
    return Step(
        id=message.id,
        node=message.node,
        status=STEP_STATUSES.get(message.status, StepStatus.UNSPECIFIED),
        attempt=message.attempt,
        scheduled_at=_maybe_instant(message, "scheduled_at"),
        ended_at=_maybe_instant(message, "ended_at"),
        output=output,
        output_ref=output_ref,
        failure=failure(message.failure) if message.HasField("failure") else None,
        waiting_for=tuple(map(waiting, message.waiting_for)),
        child=run_id(message.child),
        tokens=message.tokens,
        cost=message.cost,
        unpriced_answers=message.unpriced_answers,
    )


def workflow(message: workflow_service_pb2.Workflow, *, created: bool = False) -> Workflow:
    """A version of a workflow."""
    return Workflow(
        name=message.name,
        version=message.version,
        description=message.description,
        input_schema=msgspec.json.decode(message.input_schema or b"{}"),
        source=message.source,
        principal=message.principal,
        created_at=instant(message.created_at),
        created=created,
    )


def problem(message: workflow_service_pb2.Problem) -> Problem:
    """What is wrong with a document, and where."""
    return Problem(
        line=message.line,
        column=message.column,
        path=message.path,
        message=message.message,
        hint=message.hint,
    )


def datasource(message: datasource_service_pb2.Datasource) -> Datasource:
    """A database that the SQL tools may reach."""
    return Datasource(
        name=message.name,
        url=message.url,
        principal=message.principal,
        created_at=instant(message.created_at),
    )


def inspected_datasource(
    message: datasource_service_pb2.InspectDatasourceResponse,
) -> InspectedDatasource:
    """A datasource as it is now."""
    return InspectedDatasource(
        datasource=datasource(message.datasource),
        dialect=message.dialect,
        version=message.version,
        login=message.login,
        tables=tuple(message.tables),
        fingerprint=message.fingerprint,
        findings=tuple(
            DatasourceFinding(level=one.level, rule=one.rule, what=one.what, advice=one.advice)
            for one in message.findings
        ),
        hardening_sql=message.hardening_sql,
    )


def _output(message: run_service_pb2.Run | run_service_pb2.Step) -> tuple[Json, BlobRef | None]:
    """The output, or the reference to it."""
    output = data(message.output)
    return (None if output.value is msgspec.UNSET else output.value), output.blob


def _maybe_instant(
    message: Any, field: Literal["expires_at", "ended_at", "scheduled_at", "until"]
) -> datetime | None:
    return instant(getattr(message, field)) if message.HasField(field) else None
