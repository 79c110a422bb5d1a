"""What a caller sees when something is wrong, down to the details on the wire."""

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from stepwell.client import Client
from stepwell.errors import (
    Code,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StepwellError,
    Unavailable,
)
from stepwell.orchestrator.service import Service
from stepwell.v1 import common_pb2, datasource_service_pb2, event_service_pb2, run_service_pb2
from stepwell.v1.datasource_service_pb2_grpc import DatasourceServiceStub
from stepwell.v1.event_service_pb2_grpc import EventServiceStub
from stepwell.v1.run_service_pb2_grpc import RunServiceStub

pytestmark = pytest.mark.anyio

REF = common_pb2.Data(ref=common_pb2.BlobRef(digest="sha256:00"))


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def details(error: grpc.aio.AioRpcError, kind: type[Any]) -> Any:
    metadata = dict(error.trailing_metadata() or ())
    packed = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    for one in packed.details:
        found = kind()
        if one.Unpack(found):
            return found
    return None


async def test_a_request_against_the_rules_names_every_field(channel: grpc.aio.Channel) -> None:
    request = run_service_pb2.StartRunRequest(workflow="", labels={"Team": "a"}, input=REF)
    error = await refused(RunServiceStub(channel).StartRun(request))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(error, error_details_pb2.ErrorInfo) == error_details_pb2.ErrorInfo(
        reason="INVALID_REQUEST", domain="stepwell"
    )
    fields = {
        violation.field: violation.description
        for violation in details(error, error_details_pb2.BadRequest).field_violations
    }
    assert set(fields) == {"workflow", "labels", "request"}
    assert fields["request"] == "input must be given inline, as json"


@pytest.mark.parametrize(
    ("stub", "method", "request_"),
    [
        (RunServiceStub, "GetRun", run_service_pb2.GetRunRequest(name="runs/")),
        (RunServiceStub, "ListRuns", run_service_pb2.ListRunsRequest(page_size=-1)),
        (RunServiceStub, "ListRuns", run_service_pb2.ListRunsRequest(page_token="x" * 1025)),
        (RunServiceStub, "CancelRun", run_service_pb2.CancelRunRequest(name="7")),
        (RunServiceStub, "PauseRun", run_service_pb2.PauseRunRequest(name="7")),
        (RunServiceStub, "ResumeRun", run_service_pb2.ResumeRunRequest(name="7")),
        (RunServiceStub, "RetryStep", run_service_pb2.RetryStepRequest(run="7")),
        (RunServiceStub, "ForkRun", run_service_pb2.ForkRunRequest(run="runs/7")),
        (RunServiceStub, "SignalRun", run_service_pb2.SignalRunRequest(run="runs/7", signal="A")),
        (RunServiceStub, "ResolveStep", run_service_pb2.ResolveStepRequest(run="runs/7", step="a")),
        (RunServiceStub, "StartRun", run_service_pb2.StartRunRequest(workflow="w", queue="No!")),
        (EventServiceStub, "ListEvents", event_service_pb2.ListEventsRequest(run="7")),
        (
            EventServiceStub,
            "PublishEvent",
            event_service_pb2.PublishEventRequest(run="runs/7", type="t", payload=REF),
        ),
        (
            DatasourceServiceStub,
            "CreateDatasource",
            datasource_service_pb2.CreateDatasourceRequest(name="Shop!", url="sqlite:///a.db"),
        ),
    ],
)
async def test_the_rules_are_checked_for_every_service(
    channel: grpc.aio.Channel, stub: Any, method: str, request_: Any
) -> None:
    error = await refused(getattr(stub(channel), method)(request_))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(error, error_details_pb2.BadRequest).field_violations


async def test_an_input_that_is_not_json_is_refused(channel: grpc.aio.Channel) -> None:
    request = run_service_pb2.StartRunRequest(workflow="hello", input=common_pb2.Data(json=b"{"))
    error = await refused(RunServiceStub(channel).StartRun(request))

    (violation,) = details(error, error_details_pb2.BadRequest).field_violations
    assert violation.field == "input"
    assert violation.description.startswith("is not JSON")


async def test_the_client_raises_what_the_server_meant(client: Client) -> None:
    with pytest.raises(NotFound) as missing:
        await client.get("r-1")
    assert missing.value.code is Code.RUN_NOT_FOUND
    assert "stepwell runs" in missing.value.message

    with pytest.raises(InvalidRequest) as invalid:
        await client.get("no run")
    assert list(invalid.value.detail) == ["name"]


async def test_a_failure_that_nobody_foresaw_tells_only_its_request_id(
    scripted: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.failure = ZeroDivisionError("secret")
    async with serve(scripted) as running, Client(running.address) as client:
        with pytest.raises(StepwellError) as failed:
            await client.get("r-1")

    request_id = failed.value.detail["request_id"]
    assert failed.value.code is Code.INTERNAL
    assert request_id in failed.value.message
    assert "secret" not in failed.value.message
    (record,) = caplog.records
    assert request_id in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("code", [Code.STORAGE_UNAVAILABLE, Code.STORAGE_FULL])
async def test_what_may_help_to_try_again_comes_back_as_retryable(
    scripted: Any, serve: Any, code: Code
) -> None:
    scripted.failure = Unavailable(code=code)
    async with serve(scripted) as running, Client(running.address) as client:
        with pytest.raises(Unavailable) as failed:
            await client.get("r-1")

    assert (failed.value.code, failed.value.retryable) == (code, True)


@pytest.mark.parametrize("is_retryable", [True, False])
async def test_what_is_unavailable_says_when_to_try_again_if_that_may_help(
    scripted: Any, serve: Any, is_retryable: bool
) -> None:
    scripted.failure = Unavailable("busy", retryable=is_retryable)
    async with serve(scripted) as running, grpc.aio.insecure_channel(running.address) as channel:
        request = run_service_pb2.GetRunRequest(name="runs/r-1")
        error = await refused(RunServiceStub(channel).GetRun(request))

    when = details(error, error_details_pb2.RetryInfo)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert (when and when.retry_delay.ToTimedelta()) == (
        timedelta(seconds=1) if is_retryable else None
    )


async def test_the_longest_error_arrives(scripted: Any, serve: Any) -> None:
    scripted.failure = InvalidRequest("€" * 50_000, detail={"ü" * 300: "€" * 50_000, "b": "odd"})
    async with serve(scripted) as running, Client(running.address) as client:
        with pytest.raises(InvalidRequest) as failed:
            await client.get("r-1")

    assert failed.value.message.startswith("€€")
    assert failed.value.detail["b"] == "odd"


async def test_a_message_above_the_limit_is_refused(address: str) -> None:
    request = run_service_pb2.StartRunRequest(
        workflow="hello", input=common_pb2.Data(json=b'"' + b"x" * (4 * 1024 * 1024) + b'"')
    )
    async with grpc.aio.insecure_channel(address) as channel:
        error = await refused(RunServiceStub(channel).StartRun(request))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async with Client(address) as client:
        with pytest.raises(LimitExceeded):
            await client.run("hello", "x" * (4 * 1024 * 1024))


async def test_a_server_that_is_not_ours_is_told_apart() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Client(f"127.0.0.1:{port}") as client:
        with pytest.raises(StepwellError, match="is not Stepwell"):
            await client.get("r-1")
    await server.stop(0)


async def test_bytes_that_are_no_request_are_refused_without_a_trace(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    get: Any = channel.unary_unary("/stepwell.v1.RunService/GetRun")
    watch: Any = channel.unary_stream("/stepwell.v1.EventService/WatchEvents")
    for call in (get(b"\xff\xff"), watch(b"\xff\xff").read()):
        error = await refused(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details(error, error_details_pb2.ErrorInfo).reason == Code.INVALID_REQUEST
    assert not caplog.records


async def test_waits_and_watches_leave_room_for_other_calls(
    client: Client, service: Service, serve: Any
) -> None:
    name = f"runs/{(await client.run('hold')).id}"
    wait = run_service_pb2.WaitRunRequest(name=name)
    watch = event_service_pb2.WatchEventsRequest(run=name)
    async with (
        serve(service, max_waits=1) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        runs, events = RunServiceStub(channel), EventServiceStub(channel)
        watching = events.WatchEvents(watch)
        await watching.read()
        for call in (runs.WaitRun(wait), events.WatchEvents(watch).read()):
            error = await refused(call)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details(error, error_details_pb2.ErrorInfo).reason == Code.LIMIT_EXCEEDED
            assert details(error, error_details_pb2.RetryInfo)
        await runs.CancelRun(run_service_pb2.CancelRunRequest(name=name))
        while await watching.read() is not grpc.aio.EOF:
            pass
        assert (await runs.WaitRun(wait)).done
