"""The channel to one server: who we are, how long we wait, when we try again."""

import asyncio
import json
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import Message
from grpc import ChannelConnectivity, aio

from stepwell.client.failures import not_running, to_error
from stepwell.principals import LOCAL_USER
from stepwell.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from stepwell.v1.approval_service_pb2_grpc import ApprovalServiceStub
from stepwell.v1.audit_service_pb2_grpc import AuditServiceStub
from stepwell.v1.budget_service_pb2_grpc import BudgetServiceStub
from stepwell.v1.datasource_service_pb2_grpc import DatasourceServiceStub
from stepwell.v1.event_service_pb2_grpc import EventServiceStub
from stepwell.v1.factor_service_pb2_grpc import FactorServiceStub
from stepwell.v1.key_service_pb2_grpc import KeyServiceStub
from stepwell.v1.policy_service_pb2_grpc import PolicyServiceStub
from stepwell.v1.queue_service_pb2_grpc import QueueServiceStub
from stepwell.v1.retention_service_pb2_grpc import RetentionServiceStub
from stepwell.v1.run_service_pb2_grpc import RunServiceStub
from stepwell.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from stepwell.v1.tool_service_pb2_grpc import ToolServiceStub
from stepwell.v1.workflow_service_pb2_grpc import WorkflowServiceStub

if TYPE_CHECKING:  # the stubs of the stubs: these classes are in the .pyi files only
    from stepwell.v1.api_key_service_pb2_grpc import ApiKeyServiceAsyncStub
    from stepwell.v1.approval_service_pb2_grpc import ApprovalServiceAsyncStub
    from stepwell.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from stepwell.v1.budget_service_pb2_grpc import BudgetServiceAsyncStub
    from stepwell.v1.datasource_service_pb2_grpc import DatasourceServiceAsyncStub
    from stepwell.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from stepwell.v1.factor_service_pb2_grpc import FactorServiceAsyncStub
    from stepwell.v1.key_service_pb2_grpc import KeyServiceAsyncStub
    from stepwell.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub
    from stepwell.v1.queue_service_pb2_grpc import QueueServiceAsyncStub
    from stepwell.v1.retention_service_pb2_grpc import RetentionServiceAsyncStub
    from stepwell.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from stepwell.v1.schedule_service_pb2_grpc import ScheduleServiceAsyncStub
    from stepwell.v1.tool_service_pb2_grpc import ToolServiceAsyncStub
    from stepwell.v1.workflow_service_pb2_grpc import WorkflowServiceAsyncStub

MESSAGE_BYTES: Final = 4 * 1024 * 1024

MAX_RECONNECT_BACKOFF: Final = timedelta(seconds=1)
SECOND_CHANCE: Final = 1.5 * MAX_RECONNECT_BACKOFF
"""Enough for one more try, whatever gRPC's jitter."""

# What may be asked twice: reads, and writes that are the same when repeated. StartRun, ForkRun,
# SignalRun and TriggerSchedule are, because this client never sends them without an id.
RETRIED: Final = {
    "WorkflowService": ("CheckWorkflow", "PutWorkflow", "GetWorkflow", "ListWorkflows"),
    "RunService": (
        "StartRun",
        "GetRun",
        "ListRuns",
        "WaitRun",
        "ListSteps",
        "ForkRun",
        "SignalRun",
    ),
    "EventService": ("ListEvents",),
    "DatasourceService": ("ListDatasources",),
    "PolicyService": (
        "CheckPolicy",
        "GetPolicy",
        "ListPolicies",
        "GetPolicySchema",
        "ExplainDecision",
        "TestPolicy",
    ),
    "QueueService": ("PutQueue", "GetQueue", "ListQueues"),
    "ScheduleService": (
        "PutSchedule",
        "GetSchedule",
        "ListSchedules",
        "PauseSchedule",
        "ResumeSchedule",
        "TriggerSchedule",
    ),
    "RetentionService": ("GetRetention", "SetRetention"),
    "AuditService": ("ListEntries", "GetHead"),
    "ApiKeyService": ("ListApiKeys", "RevokeApiKey"),
    "FactorService": ("ListFactors",),
    "ApprovalService": ("ListApprovals", "GetApproval"),
    "BudgetService": ("SetBudget", "ListBudgets", "RaiseBudget"),
    "KeyService": ("ListRingKeys", "ListKeys", "RotateKeys"),
    "ToolService": ("ListTools", "GetTool", "ListServers", "GetToolChange"),
}

SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": f"stepwell.v1.{service}", "method": method}
                for service, methods in RETRIED.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", int(MAX_RECONNECT_BACKOFF.total_seconds() * 1000)),
)

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)


class Connection:
    """A channel that is opened and closed with `async with`."""

    def __init__(self, target: str, *, token: str | None, timeout: timedelta) -> None:
        self.target = target
        self.metadata = _credentials(token)
        self._timeout = timeout
        self._open: _Open | None = None

    async def __aenter__(self) -> "Connection":
        self._open = _Open(aio.insecure_channel(self.target, options=OPTIONS))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.channel.close()
        self._open = None

    @property
    def workflows(self) -> "WorkflowServiceAsyncStub":
        """The methods of WorkflowService."""
        return self._opened.workflows

    @property
    def runs(self) -> "RunServiceAsyncStub":
        """The methods of RunService."""
        return self._opened.runs

    @property
    def events(self) -> "EventServiceAsyncStub":
        """The methods of EventService."""
        return self._opened.events

    @property
    def datasources(self) -> "DatasourceServiceAsyncStub":
        """The methods of DatasourceService."""
        return self._opened.datasources

    @property
    def queues(self) -> "QueueServiceAsyncStub":
        """The methods of QueueService."""
        return self._opened.queues

    @property
    def schedules(self) -> "ScheduleServiceAsyncStub":
        """The methods of ScheduleService."""
        return self._opened.schedules

    @property
    def retention(self) -> "RetentionServiceAsyncStub":
        """The methods of RetentionService."""
        return self._opened.retention

    @property
    def keys(self) -> "KeyServiceAsyncStub":
        """The methods of KeyService."""
        return self._opened.keys

    @property
    def audit(self) -> "AuditServiceAsyncStub":
        """The methods of AuditService."""
        return self._opened.audit

    @property
    def tools(self) -> "ToolServiceAsyncStub":
        """The methods of ToolService."""
        return self._opened.tools

    @property
    def policies(self) -> "PolicyServiceAsyncStub":
        """The methods of PolicyService."""
        return self._opened.policies

    @property
    def api_keys(self) -> "ApiKeyServiceAsyncStub":
        """The methods of ApiKeyService."""
        return self._opened.api_keys

    @property
    def approvals(self) -> "ApprovalServiceAsyncStub":
        """The methods of ApprovalService."""
        return self._opened.approvals

    @property
    def factors(self) -> "FactorServiceAsyncStub":
        """The methods of FactorService."""
        return self._opened.factors

    @property
    def budgets(self) -> "BudgetServiceAsyncStub":
        """The methods of BudgetService."""
        return self._opened.budgets

    async def call(
        self,
        method: aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        waiting: timedelta = timedelta(0),
    ) -> _Response:
        """Makes a call; `waiting` is what the server may wait before it answers.

        Raises:
            StepwellError: what the server said, or why it could not be asked.
        """
        await self.connect()
        timeout = (self._timeout + waiting).total_seconds()
        try:
            return await method(request, timeout=timeout, metadata=self.metadata)
        except aio.AioRpcError as error:
            raise to_error(error, self.target) from error

    async def connect(self) -> None:
        """Connects, unless the connection is there; one that failed before gets a second chance.

        Raises:
            Unavailable: DAEMON_NOT_RUNNING, nobody listens.
        """
        state = self._reach()
        if state is ChannelConnectivity.TRANSIENT_FAILURE:
            # The channel rests between two tries; the server may be back already.
            await self.reconnect(SECOND_CHANCE)
            return
        while state is not ChannelConnectivity.READY:
            await self._opened.channel.wait_for_state_change(state)
            state = self._reach()
            if state is ChannelConnectivity.TRANSIENT_FAILURE:
                raise not_running(self.target)

    async def reconnect(self, patience: timedelta) -> None:
        """Connects as soon as somebody listens.

        Raises:
            Unavailable: DAEMON_NOT_RUNNING, nobody did for `patience`.
        """
        try:
            async with asyncio.timeout(patience.total_seconds()):
                while (state := self._reach()) is not ChannelConnectivity.READY:
                    await self._opened.channel.wait_for_state_change(state)
        except TimeoutError:
            raise not_running(self.target) from None

    def _reach(self) -> ChannelConnectivity:
        return self._opened.channel.get_state(try_to_connect=True)

    @property
    def _opened(self) -> "_Open":
        assert self._open is not None, "use the client with `async with`"
        return self._open


class _Open:
    """An open channel, and what can be called over it."""

    def __init__(self, channel: aio.Channel) -> None:
        self.channel = channel
        self.workflows = WorkflowServiceStub(channel)
        self.runs = RunServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.datasources = DatasourceServiceStub(channel)
        self.queues = QueueServiceStub(channel)
        self.schedules = ScheduleServiceStub(channel)
        self.retention = RetentionServiceStub(channel)
        self.keys = KeyServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.tools = ToolServiceStub(channel)
        self.policies = PolicyServiceStub(channel)
        self.factors = FactorServiceStub(channel)
        self.approvals = ApprovalServiceStub(channel)
        self.api_keys = ApiKeyServiceStub(channel)
        self.budgets = BudgetServiceStub(channel)


def _credentials(token: str | None) -> tuple[tuple[str, str], ...]:
    if token is None:
        return ()
    return (("authorization", f"Bearer {token}"), ("x-stepwell-principal", LOCAL_USER.principal))
