"""The gRPC server: our services, health and reflection on one port of one event loop."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from grpc import aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from stepwell.clock import IdSource, SystemClock, Uuid7Source
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    approval_service_pb2,
    approval_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    budget_service_pb2,
    budget_service_pb2_grpc,
    datasource_service_pb2,
    datasource_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    factor_service_pb2,
    factor_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
    queue_service_pb2,
    queue_service_pb2_grpc,
    retention_service_pb2,
    retention_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
    tool_service_pb2,
    tool_service_pb2_grpc,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)
from stepwell_server import ports
from stepwell_server.authentication import Authenticator
from stepwell_server.drain import Drain
from stepwell_server.health import Health
from stepwell_server.interceptors import Gate
from stepwell_server.services.api_keys import ApiKeyServicer
from stepwell_server.services.approvals import ApprovalServicer
from stepwell_server.services.audit import AuditServicer
from stepwell_server.services.budgets import BudgetServicer
from stepwell_server.services.datasources import DatasourceServicer
from stepwell_server.services.events import EventServicer
from stepwell_server.services.factors import FactorServicer
from stepwell_server.services.keys import KeyServicer
from stepwell_server.services.policies import PolicyServicer
from stepwell_server.services.queues import QueueServicer
from stepwell_server.services.retention import RetentionServicer
from stepwell_server.services.runs import RunServicer
from stepwell_server.services.schedules import ScheduleServicer
from stepwell_server.services.tools import ToolServicer
from stepwell_server.services.workflows import WorkflowServicer
from stepwell_server.translate import MESSAGE_BYTES

SERVICES: Final = tuple(
    service.full_name
    for file in (
        workflow_service_pb2,
        run_service_pb2,
        event_service_pb2,
        datasource_service_pb2,
        queue_service_pb2,
        schedule_service_pb2,
        retention_service_pb2,
        key_service_pb2,
        audit_service_pb2,
        tool_service_pb2,
        policy_service_pb2,
        api_key_service_pb2,
        approval_service_pb2,
        factor_service_pb2,
        budget_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
)

OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.so_reuseport", 0),  # else two servers share a port, and neither is told
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # A caller that is gone without a word is noticed, and callers may look for us as often as
    # every ten seconds; gRPC's own limit is five minutes, and it cuts off who asks more often.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)

MAX_CONCURRENT_CALLS: Final = 2000
MAX_WAITS: Final = 512
"""How many of them may wait or watch; the rest is for calls that end soon, and for health."""
PROBE_INTERVAL: Final = timedelta(seconds=2)
READER_PATIENCE: Final = timedelta(seconds=30)
DRAIN_TIMEOUT: Final = timedelta(seconds=5)


class GrpcServer:
    """Serves the contract: `start`, and to stop `drain`, then `stop`.

    A taken port that is movable becomes any free one. `owner_token` is what a caller shows to be
    the home's owner; without one nobody can. An `authentication` knows that, and more.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str,
        port: int,
        is_port_movable: bool = False,
        owner_token: str | None = None,
        authentication: Authentication | None = None,
        ids: IdSource | None = None,
        probe_interval: timedelta = PROBE_INTERVAL,
        reader_patience: timedelta = READER_PATIENCE,
        max_waits: int = MAX_WAITS,
    ) -> None:
        self._service = service
        self._host = host
        self._port = port
        self._is_port_movable = is_port_movable
        self._authenticator = Authenticator(
            authentication
            or Authentication(lambda token: service.api_keys.identify(token), owner_token)
        )
        self._ids = ids or Uuid7Source(SystemClock())
        self._reader_patience = reader_patience
        self._max_waits = max_waits
        self._drain = Drain()
        self._health = Health(service, SERVICES, interval=probe_interval)
        self._probing: asyncio.Task[None] | None = None
        self._server: aio.Server | None = None

    @property
    def streams(self) -> int:
        """How many clients watch the log."""
        return self._drain.open_streams

    async def start(self) -> int:
        """Listens, and tells the port.

        Raises:
            SetupError: PORT_IN_USE, or the address is not one of this machine.
        """
        server = self._build()
        port = self._bind(server)
        await self._health.probe()
        await server.start()
        self._server = server
        self._probing = asyncio.create_task(self._health.run(), name="grpc-health")
        return port

    async def drain(self) -> None:
        """Says that the server is about to stop: to health, to watchers, to those who wait.

        Ends when the streams have ended, or their readers took too long.
        """
        await self._health.drain()
        self._drain.begin()
        await self._drain.streams_ended(DRAIN_TIMEOUT)

    async def stop(self, grace: timedelta) -> None:
        """Takes no more calls; those in flight have `grace` to end."""
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing
        if self._server is not None:
            await self._server.stop(grace.total_seconds())

    def _build(self) -> aio.Server:
        gate = Gate(
            self._authenticator,
            ids=self._ids,
            patience=self._reader_patience,
            max_waits=self._max_waits,
            on_storage_trouble=self._health.suspect,
        )
        server = aio.server(
            interceptors=[gate],
            options=OPTIONS,
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        )
        service, drain = self._service, self._drain
        workflow_service_pb2_grpc.add_WorkflowServiceServicer_to_server(
            WorkflowServicer(service), server
        )
        run_service_pb2_grpc.add_RunServiceServicer_to_server(RunServicer(service, drain), server)
        event_service_pb2_grpc.add_EventServiceServicer_to_server(
            EventServicer(service, drain), server
        )
        datasource_service_pb2_grpc.add_DatasourceServiceServicer_to_server(
            DatasourceServicer(service, drain), server
        )
        queue_service_pb2_grpc.add_QueueServiceServicer_to_server(QueueServicer(service), server)
        schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(
            ScheduleServicer(service), server
        )
        retention_service_pb2_grpc.add_RetentionServiceServicer_to_server(
            RetentionServicer(service), server
        )
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(KeyServicer(service), server)
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server(AuditServicer(service), server)
        tool_service_pb2_grpc.add_ToolServiceServicer_to_server(ToolServicer(service), server)
        policy_service_pb2_grpc.add_PolicyServiceServicer_to_server(
            PolicyServicer(service, drain), server
        )
        api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server(
            ApiKeyServicer(service), server
        )
        approval_service_pb2_grpc.add_ApprovalServiceServicer_to_server(
            ApprovalServicer(service), server
        )
        factor_service_pb2_grpc.add_FactorServiceServicer_to_server(FactorServicer(service), server)
        budget_service_pb2_grpc.add_BudgetServiceServicer_to_server(BudgetServicer(service), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    def _bind(self, server: aio.Server) -> int:
        # gRPC tells neither why it cannot listen nor who is in the way, so the port is tried
        # before; between the two somebody may still take it.
        with ports.bind(
            self._host, self._port, setting="grpc_port", movable=self._is_port_movable
        ) as tried:
            port = self._port if tried.getsockname()[1] == self._port else 0
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            return server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise ports.taken(self._host, port, setting="grpc_port") from error
