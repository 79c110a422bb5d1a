"""The client: what a program may ask of a server, as one object."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from types import TracebackType

from stepwell.client import facts
from stepwell.client.api_keys import ApiKeys
from stepwell.client.approvals import Approvals
from stepwell.client.audit import AuditLog
from stepwell.client.budgets import Budgets
from stepwell.client.connection import Connection
from stepwell.client.datasources import Datasources
from stepwell.client.encode import data, run_name
from stepwell.client.factors import Factors
from stepwell.client.keys import Keys
from stepwell.client.policies import Policies
from stepwell.client.queues import Queues
from stepwell.client.retention import Retention
from stepwell.client.runs import Runs
from stepwell.client.schedules import Schedules
from stepwell.client.tools import Tools
from stepwell.client.types import EventBatch
from stepwell.client.watching import Watch
from stepwell.client.workflows import Workflows
from stepwell.engine.values import Json
from stepwell.v1 import event_service_pb2

DEFAULT_TARGET = "127.0.0.1:7420"
DEFAULT_TIMEOUT = timedelta(seconds=30)
DEFAULT_PATIENCE = timedelta(seconds=60)


class Client(Runs):
    """A connection to one server: `async with Client() as client: ...`.

    `token` is an API key, or the owner's token of the server's home; without one the caller is
    `agent:local`.
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
        super().__init__(Connection(target, token=token, timeout=timeout), patience=patience)
        self.workflows = Workflows(self._connection)
        self.datasources = Datasources(self._connection)
        self.queues = Queues(self._connection)
        self.schedules = Schedules(self._connection)
        self.retention = Retention(self._connection)
        self.keys = Keys(self._connection)
        self.audit = AuditLog(self._connection)
        self.tools = Tools(self._connection)
        self.policies = Policies(self._connection)
        self.api_keys = ApiKeys(self._connection)
        self.factors = Factors(self._connection)
        self.approvals = Approvals(self._connection)
        self.budgets = Budgets(self._connection)

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

    async def events(self, run: str = "", *, cursor: str = "", page_size: int = 0) -> EventBatch:
        """The next events after a cursor, of one run or of all; "" is the beginning."""
        request = event_service_pb2.ListEventsRequest(
            run=run_name(run) if run else "", cursor=cursor, page_size=page_size
        )
        answer = await self._connection.call(self._connection.events.ListEvents, request)
        return facts.batch(answer)

    def watch(self, run: str = "", *, cursor: str | None = "") -> AsyncGenerator[EventBatch, None]:
        """Batches of events as they happen, of one run or of all; None is "from now on".

        The watch of a run ends after the event that ends the run. It survives a server that is
        stopped and started again: every event comes once, in order. To go on later, keep the
        cursor of the last batch.
        """
        name = run_name(run) if run else ""
        return Watch(self._connection, name, cursor, self._patience).batches()

    async def publish(self, run: str, type: str, payload: Json = None) -> None:
        """Writes a `custom` event into the log of a run that has not ended."""
        request = event_service_pb2.PublishEventRequest(
            run=run_name(run), type=type, payload=data(payload)
        )
        await self._connection.call(self._connection.events.PublishEvent, request)
