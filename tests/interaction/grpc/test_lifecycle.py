"""Start, health, reflection, and the order in which a server stops."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from stepwell.client import Client
from stepwell.errors import Code, SetupError, Unavailable
from stepwell.orchestrator.service import Service
from stepwell.v1 import event_service_pb2, run_service_pb2
from stepwell.v1.event_service_pb2_grpc import EventServiceStub
from stepwell.v1.run_service_pb2_grpc import RunServiceStub
from stepwell_server.grpc_server import SERVICES, GrpcServer

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    status: int = answer.status
    return status


async def test_every_service_is_serving_and_reflected(channel: grpc.aio.Channel) -> None:
    assert SERVICES == (
        "stepwell.v1.WorkflowService",
        "stepwell.v1.RunService",
        "stepwell.v1.EventService",
        "stepwell.v1.DatasourceService",
        "stepwell.v1.QueueService",
        "stepwell.v1.ScheduleService",
        "stepwell.v1.RetentionService",
        "stepwell.v1.KeyService",
        "stepwell.v1.AuditService",
        "stepwell.v1.ToolService",
        "stepwell.v1.PolicyService",
        "stepwell.v1.ApiKeyService",
        "stepwell.v1.ApprovalService",
        "stepwell.v1.FactorService",
        "stepwell.v1.BudgetService",
    )
    assert [await health(channel, name) for name in ("", *SERVICES)] == [SERVING] * (
        1 + len(SERVICES)
    )

    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(request)
    answer = await call.read()
    await call.done_writing()
    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= {*SERVICES, "grpc.health.v1.Health"}


async def test_health_tells_the_truth_about_the_database(scripted: Any, serve: Any) -> None:
    async with (
        serve(scripted, probe_interval=timedelta(milliseconds=20)) as running,
        grpc.aio.insecure_channel(running.address) as channel,
        asyncio.timeout(5),
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="stepwell.v1.RunService")
        )
        assert (await watch.read()).status == SERVING
        scripted.failure = Unavailable()
        assert (await watch.read()).status == NOT_SERVING
        scripted.failure = None
        assert (await watch.read()).status == SERVING


async def test_a_call_that_fails_on_the_database_has_health_look_at_once(
    scripted: Any, serve: Any
) -> None:
    async with (
        serve(scripted, probe_interval=timedelta(hours=1)) as running,
        grpc.aio.insecure_channel(running.address) as channel,
        Client(running.address) as client,
        asyncio.timeout(5),
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        scripted.failure = Unavailable(code=Code.STORAGE_FULL)
        with pytest.raises(Exception, match="database"):
            await client.get("r-1")
        assert (await watch.read()).status == NOT_SERVING


async def test_a_server_whose_database_is_away_starts_and_says_so(
    scripted: Any, serve: Any
) -> None:
    scripted.failure = Unavailable()
    async with (
        serve(scripted) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        assert await health(channel) == NOT_SERVING


async def test_drain_ends_streams_first_with_the_cursor_to_resume_from(
    service: Service, serve: Any
) -> None:
    async with (
        serve(service) as running,
        grpc.aio.insecure_channel(running.address) as channel,
        asyncio.timeout(5),
    ):
        call = EventServiceStub(channel).WatchEvents(
            event_service_pb2.WatchEventsRequest(from_now=True)
        )
        first: Any = await call.read()
        await running.server.drain()
        last: Any = await call.read()

        assert (first.draining, last.draining, last.cursor) == (False, True, first.cursor)
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        assert await health(channel) == NOT_SERVING


async def test_drain_answers_those_who_wait_with_the_run_as_it_is(
    service: Service, serve: Any, client: Client
) -> None:
    run = await client.run("hold")
    request = run_service_pb2.WaitRunRequest(name=f"runs/{run.id}")
    request.timeout.FromSeconds(60)
    async with (
        serve(service) as running,
        grpc.aio.insecure_channel(running.address) as channel,
        asyncio.timeout(5),
    ):
        stub = RunServiceStub(channel)
        waiting = stub.WaitRun(request)
        await stub.GetRun(run_service_pb2.GetRunRequest(name=request.name))  # it has arrived
        await running.server.drain()
        answer = await waiting

    assert (answer.done, answer.run.status) == (False, run_service_pb2.RUN_STATUS_RUNNING)


async def test_a_taken_port_is_refused_with_what_to_do(service: Service, serve: Any) -> None:
    async with serve(service) as running:
        second = GrpcServer(service, host="127.0.0.1", port=running.port)
        with pytest.raises(SetupError) as refused:
            await second.start()
        await second.stop(timedelta(0))

    assert refused.value.code is Code.PORT_IN_USE
    assert f"port {running.port}" in refused.value.message
    assert "--grpc-port 0" in refused.value.message


async def test_an_address_of_another_machine_is_refused(service: Service) -> None:
    server = GrpcServer(service, host="192.0.2.1", port=0)
    with pytest.raises(SetupError, match=r"192\.0\.2\.1"):
        await server.start()
