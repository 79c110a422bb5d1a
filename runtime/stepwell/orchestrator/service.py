"""The use cases: the only door into the runtime, for gRPC, MCP and the tests alike."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

from stepwell.definitions.problems import Problem
from stepwell.engine.values import Json
from stepwell.orchestrator.views import (
    Datasource,
    EventBatch,
    Page,
    Run,
    RunStatus,
    Step,
    Workflow,
)
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec


class Service:
    """What a caller may ask. Every method takes the caller first and stays in its namespace.

    Raises, besides what a method names:
        Unavailable: the database cannot be used right now; nothing was changed.
    """

    # --- runs ---------------------------------------------------------------------------

    async def start_run(
        self,
        caller: Caller,
        workflow: str,
        input: Json,
        *,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> tuple[Run, bool]:
        """Accepts a run; it is committed when this returns. The flag is False for a repeat.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
            InvalidRequest: INVALID_INPUT, the input does not fit the workflow's schema.
            AlreadyExists: REQUEST_ID_REUSED, the id was used for another request.
            Unavailable: STORAGE_FULL or STORAGE_UNAVAILABLE.
        """
        raise NotImplementedError

    async def call_tool(
        self,
        caller: Caller,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        request_id: str | None = None,
    ) -> Run:
        """Calls one published tool, as a run of the built-in workflow `call`.

        Raises:
            NotFound: TOOL_NOT_FOUND.
            InvalidRequest: INVALID_ARGUMENTS, with what does not fit.
        """
        raise NotImplementedError

    async def get_run(self, caller: Caller, run: str) -> Run:
        """One run, with its output where it has one.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        raise NotImplementedError

    async def wait_run(self, caller: Caller, run: str, timeout: timedelta) -> Run:
        """The run when it has ended, or as it is after `timeout`.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        raise NotImplementedError

    async def list_runs(
        self,
        caller: Caller,
        *,
        page_size: int = 50,
        page_token: str = "",
        status: RunStatus | None = None,
        workflow: str | None = None,
    ) -> Page:
        """Runs, newest first.

        Raises:
            InvalidRequest: INVALID_CURSOR, the token is not one of this list.
        """
        raise NotImplementedError

    async def list_steps(self, caller: Caller, run: str) -> tuple[Step, ...]:
        """The steps of a run, in the order in which they were scheduled."""
        raise NotImplementedError

    async def cancel_run(self, caller: Caller, run: str, reason: str = "") -> Run:
        """Stops a run; calls in flight are cancelled. A run that ended stays as it is.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED.
        """
        raise NotImplementedError

    # --- events -------------------------------------------------------------------------

    async def list_events(
        self, caller: Caller, *, run: str | None = None, cursor: str = "", limit: int = 1000
    ) -> EventBatch:
        """The next events after a cursor, oldest first ("" is the beginning).

        Raises:
            NotFound: RUN_NOT_FOUND.
            InvalidRequest: INVALID_CURSOR, or CURSOR_EXPIRED when it belongs to another log.
        """
        raise NotImplementedError

    def watch_events(
        self,
        caller: Caller,
        *,
        run: str | None = None,
        cursor: str | None = "",
        batch: int = 256,
        heartbeat: timedelta = timedelta(seconds=15),
    ) -> AsyncIterator[EventBatch]:
        """Batches as they happen, after a cursor; None is "from now on".

        An idle watch gets an empty batch every `heartbeat`. With `run` it ends by itself
        after the event that ends the run.

        Raises:
            As `list_events`.
        """
        raise NotImplementedError

    async def publish_event(self, caller: Caller, run: str, type: str, payload: Json) -> None:
        """Writes a `custom` event into the log of a run that has not ended.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED.
        """
        raise NotImplementedError

    # --- workflows ----------------------------------------------------------------------

    async def check_workflow(self, caller: Caller, source: bytes) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, at once; () when nothing is."""
        raise NotImplementedError

    async def put_workflow(self, caller: Caller, source: bytes) -> tuple[Workflow, bool]:
        """Stores a version and makes it the newest; the flag tells whether it is new.

        Raises:
            InvalidRequest: INVALID_DEFINITION, with every problem.
        """
        raise NotImplementedError

    async def get_workflow(self, caller: Caller, name: str, version: str | None = None) -> Workflow:
        """One version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        raise NotImplementedError

    async def list_workflows(self, caller: Caller) -> tuple[Workflow, ...]:
        """The newest version of every workflow, by name."""
        raise NotImplementedError

    # --- tools and datasources ----------------------------------------------------------

    async def list_tools(self, caller: Caller) -> tuple[ToolSpec, ...]:
        """The published tools, by name."""
        raise NotImplementedError

    async def add_datasource(self, caller: Caller, name: str, url: str) -> Datasource:
        """Names a database; it is opened once, read-only, to see that it is there.

        Raises:
            AlreadyExists: the name is taken.
            InvalidRequest: the URL is not one that we can read.
        """
        raise NotImplementedError

    async def list_datasources(self, caller: Caller) -> tuple[Datasource, ...]:
        """All of them, by name."""
        raise NotImplementedError

    async def remove_datasource(self, caller: Caller, name: str) -> None:
        """Forgets a datasource.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
        """
        raise NotImplementedError

    async def ping(self) -> None:
        """Proves that the database can be used.

        Raises:
            Unavailable: it cannot.
        """
        raise NotImplementedError
