"""Between the views of the runtime and the messages of the contract."""

from collections.abc import Iterable, Iterator

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from stepwell.definitions.problems import Problem
from stepwell.engine import codec
from stepwell.engine.values import BlobRef, Data, Failure, Json
from stepwell.errors import InvalidRequest
from stepwell.nldb.inspection import Inspection
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.service import OnConflict
from stepwell.orchestrator.views import (
    Datasource,
    OpenQuestion,
    Run,
    RunStatus,
    Step,
    Waiting,
    Workflow,
)
from stepwell.principals import Attributes
from stepwell.v1 import common_pb2, datasource_service_pb2, run_service_pb2, workflow_service_pb2

MESSAGE_BYTES = 4 * 1024 * 1024
"""What one gRPC message may have, both ways: the default of every client."""

PAYLOAD_BYTES = 3 * 1024 * 1024
"""What of it user data may fill; the rest is for what stands around it."""

RUN_PREFIX = "runs/"


def attributes(messages: Iterable[common_pb2.Attribute]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is said of a principal; nothing of it is checked."""
    for message in messages:
        yield message.name, tuple(message.values)


def attribute_messages(view: Attributes) -> list[common_pb2.Attribute]:
    """What is known of a principal, by name."""
    return [common_pb2.Attribute(name=name, values=view[name]) for name in sorted(view)]


RUN_STATUSES = {
    RunStatus.RUNNING: run_service_pb2.RUN_STATUS_RUNNING,
    RunStatus.WAITING: run_service_pb2.RUN_STATUS_WAITING,
    RunStatus.PAUSED: run_service_pb2.RUN_STATUS_PAUSED,
    RunStatus.COMPLETED: run_service_pb2.RUN_STATUS_COMPLETED,
    RunStatus.FAILED: run_service_pb2.RUN_STATUS_FAILED,
    RunStatus.CANCELLED: run_service_pb2.RUN_STATUS_CANCELLED,
}
VIEW_STATUSES = {wire: status for status, wire in RUN_STATUSES.items()}
STEP_STATUSES = {
    "active": run_service_pb2.STEP_STATUS_ACTIVE,
    "waiting": run_service_pb2.STEP_STATUS_WAITING,
    "retrying": run_service_pb2.STEP_STATUS_RETRYING,
    "completed": run_service_pb2.STEP_STATUS_COMPLETED,
    "failed": run_service_pb2.STEP_STATUS_FAILED,
    "skipped": run_service_pb2.STEP_STATUS_SKIPPED,
    "cancelled": run_service_pb2.STEP_STATUS_CANCELLED,
}
WAITING_ON = {
    "human": run_service_pb2.WAITING_ON_HUMAN,
    "signal": run_service_pb2.WAITING_ON_SIGNAL,
    "timer": run_service_pb2.WAITING_ON_TIMER,
    "queue": run_service_pb2.WAITING_ON_QUEUE,
    "budget": run_service_pb2.WAITING_ON_BUDGET,
    "input": run_service_pb2.WAITING_ON_INPUT,
}
QUESTION_ACTIONS: dict[int, str] = {
    run_service_pb2.QUESTION_ACTION_ACCEPT: "accept",
    run_service_pb2.QUESTION_ACTION_DECLINE: "decline",
    run_service_pb2.QUESTION_ACTION_CANCEL: "cancel",
}
ON_CONFLICT: dict[int, OnConflict] = {
    run_service_pb2.ON_CONFLICT_UNSPECIFIED: "fail",
    run_service_pb2.ON_CONFLICT_FAIL: "fail",
    run_service_pb2.ON_CONFLICT_USE_EXISTING: "use_existing",
    run_service_pb2.ON_CONFLICT_CANCEL_EXISTING: "cancel_existing",
}
VERDICTS: dict[int, str] = {
    run_service_pb2.VERDICT_APPROVE: "approve",
    run_service_pb2.VERDICT_DENY: "deny",
    run_service_pb2.VERDICT_DONE: "done",
    run_service_pb2.VERDICT_RETRY: "retry",
    run_service_pb2.VERDICT_FAIL: "fail",
}


def timestamp(microseconds: int) -> Timestamp:
    """A time since 1970 as the wire has it."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def duration(microseconds: int) -> Duration:
    """A length of time as the wire has it."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1000)


def run_name(run: str) -> str:
    """`runs/{id}`."""
    return RUN_PREFIX + run


def maybe_run_name(run: str) -> str:
    """`runs/{id}`, or "" where there is no run."""
    return run_name(run) if run else ""


def run_id(name: str) -> str:
    """The id in a name that fits the rules of the contract."""
    return name.removeprefix(RUN_PREFIX)


def read_json(data: common_pb2.Data, field: str, *, default: Json = None) -> Json:
    """The value that a request carries, `default` where it carries none.

    Raises:
        InvalidRequest: it is not JSON.
    """
    if data.WhichOneof("content") is None:
        return default
    try:
        return msgspec.json.decode(data.json)
    except (msgspec.DecodeError, RecursionError) as error:
        reason = f"is not JSON: {error}"
        raise InvalidRequest(f"{field} {reason}", detail={field: reason}) from error


def data_in_event(data: Data) -> common_pb2.Data:
    """Data as the log has it: what is sealed or kept in a blob stays a reference."""
    if data.blob is not None:
        return common_pb2.Data(ref=_ref(data.blob), sealed=data.sealed)
    if data.sealed or data.value is msgspec.UNSET:
        return common_pb2.Data(sealed=data.sealed)
    return common_pb2.Data(json=msgspec.json.encode(data.value))


def data_resolved(data: Data) -> common_pb2.Data:
    """Data with its value, or with its reference where the value does not fit a message."""
    if data.value is msgspec.UNSET:
        return data_in_event(data)
    json = msgspec.json.encode(data.value)
    if len(json) <= PAYLOAD_BYTES:
        return common_pb2.Data(json=json, sealed=data.sealed)
    # What has just been computed does not know yet under which name it is kept.
    blob = data.blob or BlobRef(codec.digest(json), len(json), data.sealed)
    return common_pb2.Data(ref=_ref(blob), sealed=data.sealed)


def failure(why: Failure) -> common_pb2.Failure:
    """Why something failed."""
    return common_pb2.Failure(
        reason=why.reason, message=why.message, retryable=why.retryable, detail=why.detail
    )


def run(view: Run, *, with_output: bool = True) -> run_service_pb2.Run:
    """A run; its output is resolved, or left out of lists."""
    output = view.output if with_output else None
    return run_service_pb2.Run(
        name=run_name(view.id),
        workflow=view.workflow,
        version=view.version,
        principal=view.principal,
        status=RUN_STATUSES[view.status],
        labels=view.labels,
        created_at=timestamp(view.created_at),
        updated_at=timestamp(view.updated_at),
        ended_at=maybe_timestamp(view.ended_at),
        output=data_resolved(output) if output else None,
        failure=failure(view.failure) if view.failure else None,
        reason=view.reason,
        waiting_for=map(waiting, view.waiting),
        run_key=view.run_key,
        parent=maybe_run_name(view.parent),
        forked_from=maybe_run_name(view.forked_from),
        erased=view.is_erased,
        questions=map(question, view.questions),
    )


def question(view: OpenQuestion) -> run_service_pb2.Question:
    """What a tool asks."""
    return run_service_pb2.Question(
        id=view.id,
        step=view.step,
        call=view.call,
        key=view.key,
        kind=view.kind,
        tool=view.tool,
        message=view.message,
        schema=msgspec.json.encode(view.schema) if view.schema is not None else b"",
        url=view.url,
        params=msgspec.json.encode(view.params) if view.params else b"",
        asked_at=timestamp(view.asked_at),
        expires_at=maybe_timestamp(view.expires_at),
    )


def waiting(view: Waiting) -> run_service_pb2.Waiting:
    """What a step waits for; what a person is told is what its event holds."""
    return run_service_pb2.Waiting(
        step=view.step,
        on=WAITING_ON[view.on],
        about=view.about,
        until=maybe_timestamp(view.until),
        call=view.call,
        message=data_in_event(view.message) if view.message else None,
        approval=view.approval,
        tool=view.tool,
        rules=view.rules,
        reason=view.reason,
        question=view.question,
    )


def step(view: Step) -> run_service_pb2.Step:
    """A step; its output is what its event holds."""
    return run_service_pb2.Step(
        id=view.id,
        node=view.node,
        status=STEP_STATUSES[view.status],
        attempt=view.attempt,
        scheduled_at=maybe_timestamp(view.scheduled_at),
        ended_at=maybe_timestamp(view.ended_at),
        output=data_in_event(view.output) if view.output else None,
        failure=failure(view.failure) if view.failure else None,
        waiting_for=map(waiting, view.waiting),
        child=maybe_run_name(view.child),
        tokens=view.tokens,
        cost=view.cost,
        unpriced_answers=view.unpriced,
    )


def workflow(view: Workflow, *, with_source: bool = True) -> workflow_service_pb2.Workflow:
    """A version of a workflow; the source is left out of lists."""
    return workflow_service_pb2.Workflow(
        name=view.name,
        version=view.version,
        description=view.description,
        input_schema=msgspec.json.encode(view.input_schema),
        source=view.source if with_source else b"",
        principal=view.principal,
        created_at=timestamp(view.created_at),
    )


def problem(view: Problem) -> workflow_service_pb2.Problem:
    """What is wrong with a document, and where."""
    return workflow_service_pb2.Problem(
        line=view.line,
        column=view.column,
        path=view.path,
        message=view.message,
        hint=view.hint,
    )


def datasource(view: Datasource) -> datasource_service_pb2.Datasource:
    """A database that the SQL tools may reach."""
    return datasource_service_pb2.Datasource(
        name=view.name,
        url=view.url,
        principal=view.principal,
        created_at=timestamp(view.created_at),
    )


def inspected_datasource(
    view: Datasource, found: Inspection
) -> datasource_service_pb2.InspectDatasourceResponse:
    """A datasource as it is now."""
    return datasource_service_pb2.InspectDatasourceResponse(
        datasource=datasource(view),
        dialect=found.dialect,
        version=found.version,
        login=found.login,
        tables=found.tables,
        fingerprint=found.fingerprint,
        findings=[
            datasource_service_pb2.DatasourceFinding(
                level=one.level, rule=one.rule, what=one.what, advice=one.advice
            )
            for one in found.findings
        ],
        hardening_sql=found.hardening,
    )


def proof(message: common_pb2.Proof) -> Proof | None:
    """What a request proves with that a person is there, if with anything."""
    match message.WhichOneof("kind"):
        case "totp":
            return Proof(kind="totp", value=message.totp)
        case "passkey":
            return Proof(kind="passkey", value=message.passkey)
        case _:
            return None


def _ref(blob: BlobRef) -> common_pb2.BlobRef:
    return common_pb2.BlobRef(digest=blob.digest, size=blob.size, label=blob.label)


def maybe_timestamp(microseconds: int | None) -> Timestamp | None:
    """A time that may not be."""
    return None if microseconds is None else timestamp(microseconds)
