"""The use cases: the only door into the runtime, for gRPC, MCP and the tests alike."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec

from stepwell.clock import Clock, IdSource
from stepwell.definitions.builtin import CALL
from stepwell.definitions.problems import Problem
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Start
from stepwell.engine.values import Data, Json
from stepwell.errors import (
    AlreadyExists,
    Code,
    Denied,
    FailedPrecondition,
    InvalidRequest,
    KeyDestroyed,
)
from stepwell.orchestrator.api_keys import ApiKeys
from stepwell.orchestrator.approvals import Approvals, PageOf, Proof, demand_factor, no_page
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.audit_log import AuditLog
from stepwell.orchestrator.beholders import Beholders, is_beholder, is_sealed, withheld
from stepwell.orchestrator.budgets import Budgets, check_limits
from stepwell.orchestrator.catalog import Catalog
from stepwell.orchestrator.controls import Controls
from stepwell.orchestrator.cursors import run_place, run_token
from stepwell.orchestrator.datasources import DatasourceReader, Datasources
from stepwell.orchestrator.deeds import deed
from stepwell.orchestrator.factors import FactorKeeping
from stepwell.orchestrator.filters import parse_filter
from stepwell.orchestrator.intake import check_input, check_repeat, request_digest
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.keys import KeyKeeping
from stepwell.orchestrator.offered import OfferedTools
from stepwell.orchestrator.passkeys import Site
from stepwell.orchestrator.pins import Pinning
from stepwell.orchestrator.policies import Databases, Policies
from stepwell.orchestrator.policy_replay import PolicyReplay
from stepwell.orchestrator.policy_trials import PolicyTrials
from stepwell.orchestrator.prompts import Prompts
from stepwell.orchestrator.questions import Questions
from stepwell.orchestrator.queues import Queues
from stepwell.orchestrator.reader import LogReader
from stepwell.orchestrator.refusals import no_run, refusals
from stepwell.orchestrator.resources import Lending, Resources
from stepwell.orchestrator.retention import Retention
from stepwell.orchestrator.schedules import Schedules
from stepwell.orchestrator.scopes import Scopes
from stepwell.orchestrator.spending import Spending
from stepwell.orchestrator.standing import RUNNING, run_of_state
from stepwell.orchestrator.steps import steps_of
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.tools import Tools
from stepwell.orchestrator.views import (
    EventBatch,
    Page,
    Run,
    Step,
    Workflow,
    ended,
    run_of_row,
)
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.policy.book import PolicyBook
from stepwell.principals import Caller
from stepwell.tools.mcp.servers import McpServers
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.relay import CallRelay
from stepwell.tools.shelf import Shelf
from stepwell.vault.factor_key import passing_boxes
from stepwell.vault.vault import Vault
from stepwell_storage.errors import Duplicate, KeyTaken, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import DefinitionRow

DEFAULT_SITE = Site("http://localhost:7421")
MAX_PAGE = 1000
LOOK_AGAIN = 0.5
"""Seconds until a run that another process owns is looked at again."""

MOST_CONFLICTS = 5
"""How often a run is cancelled to make room for another, before that one is refused."""

OnConflict: TypeAlias = Literal["fail", "use_existing", "cancel_existing"]
"""What becomes of a run whose key another run has that has not ended."""


class Service:
    """What a caller may ask. Every method takes the caller first and stays in its namespace.

    Raises, besides what a method names:
        Unavailable: the database cannot be used right now; nothing was changed.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        worker: Worker,
        workflows: Workflows,
        journal: Journal,
        tools: ToolRegistry,
        reader: DatasourceReader,
        clock: Clock,
        ids: IdSource,
        vault: Vault | None = None,
        book: PolicyBook | None = None,
        databases: Databases | None = None,
        factors: FactorKeeping | None = None,
        page: PageOf = no_page,
        servers: McpServers | None = None,
        pinning: Pinning | None = None,
        relay: CallRelay | None = None,
        spending: Spending | None = None,
        scopes: Scopes | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        """`page` tells where people see an approval.

        `book` is what decides here: without it policies are kept, and none is followed; without
        `factors` none outlives the process.
        """
        self._storage = storage
        self._worker = worker
        self._workflows = workflows
        self._journal = journal
        self._beholders = Beholders(journal)
        self._reader = LogReader(storage)
        self._tools = tools
        self._clock = clock
        self._ids = ids
        self._scopes = scopes or Scopes()
        audit = self._audit = Audit(storage, clock)
        self.audit_log = AuditLog(storage)
        self.factors = factors or FactorKeeping(
            storage, open_boxes=passing_boxes, site=DEFAULT_SITE, clock=clock, audit=audit
        )
        self.api_keys = ApiKeys(storage, factors=self.factors, clock=clock, audit=audit)
        self.controls = Controls(
            storage,
            worker=worker,
            journal=journal,
            clock=clock,
            ids=ids,
            get_run=self.get_run,
            audit=audit,
            factors=self.factors,
        )
        self.approvals = Approvals(
            storage,
            journal=journal,
            tell=self.controls.tell,
            clock=clock,
            audit=audit,
            factors=self.factors,
            page=page,
        )
        self.questions = Questions(
            journal=journal,
            get_run=self.get_run,
            tell=self.controls.tell,
            audit=audit,
            clock=clock,
        )
        self.keys = KeyKeeping(
            storage, vault=vault, audit=audit, cancel_run=self.controls.cancel_run
        )
        self.budgets = Budgets(
            storage,
            spending=spending,
            tell=self.controls.tell,
            audit=audit,
            clock=clock,
            factors=self.factors,
        )
        self.datasources = Datasources(storage, reader=reader, clock=clock, audit=audit)
        self.queues = Queues(storage, clock, audit)
        self.retention = Retention(storage, audit)
        book = book or PolicyBook()
        self._offered = OfferedTools(tools, book)
        self.policies = Policies(
            storage,
            book=book,
            tools=tools,
            clock=clock,
            factors=self.factors,
            audit=audit,
            databases=databases,
        )
        self.policy_trials = PolicyTrials(self.policies, tools=tools, clock=clock)
        self.policy_replay = PolicyReplay(
            storage, self.policies, journal=journal, workflows=workflows, tools=tools
        )
        self.tools = Tools(tools, servers=servers, pinning=pinning, factors=self.factors)
        self.relay = relay or CallRelay()
        shelf = shelf or Shelf()
        self.catalog = Catalog(storage, tools=tools, policies=self.policies, shelf=shelf)
        lending = Lending(
            shelf, tools, self.call_tool, self._offered.hidden, self._demand_scopes_of
        )
        self.resources, self.prompts = Resources(lending), Prompts(lending)
        self.schedules = Schedules(
            storage,
            workflows=workflows,
            tools=tools,
            queues=self.queues,
            start_run=self.start_run,
            audit=audit,
            factors=self.factors,
            clock=clock,
            ids=ids,
        )

    # --- runs -----------------------------------------------------------------------------

    async def start_run(
        self,
        caller: Caller,
        workflow: str,
        input: Json,
        *,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        run_key: str = "",
        on_conflict: OnConflict = "fail",
        queue: str = "",
        limits: Mapping[str, int] | None = None,
        trace: str = "",
    ) -> tuple[Run, bool]:
        """Accepts a run; it is committed when this returns. The flag is False for a repeat.

        No two runs that have not ended have the same `run_key`; `on_conflict` says what becomes
        of a second one: `fail`, `use_existing` (which is answered), or `cancel_existing`. `queue`
        takes the place of the workflow's own; unlike that one it must be there. `limits` are what the
        run may spend, by unit, beside those of its workflow. `trace` is the W3C
        traceparent of the request.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND, QUEUE_NOT_FOUND.
            InvalidRequest: INVALID_INPUT, the input does not fit the workflow's schema;
                INVALID_REQUEST, a text is none that can be kept.
            AlreadyExists: REQUEST_ID_REUSED, the id was used for another request; RUN_KEY_TAKEN.
            Denied: INSUFFICIENT_SCOPE, the caller's access token does not cover this.
            Unavailable: STORAGE_FULL or STORAGE_UNAVAILABLE.
        """
        self._demand_scopes(caller, workflow, input)
        check_texts(
            labels,
            workflow=workflow,
            version=version,
            request_id=request_id,
            run_key=run_key,
            queue=queue,
        )
        with refusals():
            graph = await self._workflows.graph(caller.namespace, workflow, version)
        check_input(graph, input, self._tools)
        check_limits(limits or {})
        if queue:
            await self.queues.get_queue(caller, queue)
        given = Start(
            at=self._clock.now(),
            principal=caller.principal,
            input=Data(value=input),
            labels=dict(labels or {}),
            run_key=run_key,
            queue=queue,
            limits=dict(limits or {}),
            trace=trace,
            attributes=dict(caller.attributes),
        )
        digest = ""
        if request_id:
            with refusals():
                digest = await self._journal.blinded(
                    caller.namespace, given.labels, request_digest(workflow, version, given)
                )
        holder = ""
        for _ in range(MOST_CONFLICTS):
            try:
                with refusals():
                    state = await self._worker.start(
                        caller.namespace,
                        self._ids.new_id(),
                        graph,
                        given,
                        request_id=request_id,
                        request_digest=digest,
                    )
            except Duplicate as duplicate:
                check_repeat(duplicate, digest, request_id)
                return await self.get_run(caller, duplicate.run), False
            except KeyTaken as taken:
                holder = taken.run
                if on_conflict == "use_existing":
                    return await self.get_run(caller, holder), False
                if on_conflict == "fail":
                    break
                await self._make_room(caller, holder, run_key)
            else:
                return run_of_state(state), True
        raise AlreadyExists(
            f"the run {holder} has the run key {run_key!r} and has not ended; wait for it, take "
            "another key, or say use_existing or cancel_existing",
            code=Code.RUN_KEY_TAKEN,
            detail={"run": holder},
        )

    async def _make_room(self, caller: Caller, run: str, run_key: str) -> None:
        """Cancels a run whose key another is to have."""
        with suppress(FailedPrecondition):  # it has ended by itself
            reason = f"another run was started with the key {run_key!r}"
            await self.controls.cancel_run(caller, run, reason)

    async def call_tool(
        self,
        caller: Caller,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        request_id: str | None = None,
        trace: str = "",
    ) -> Run:
        """Calls one published tool, as a run of the built-in workflow `call`.

        Raises:
            NotFound: TOOL_NOT_FOUND.
            InvalidRequest: INVALID_ARGUMENTS, with what does not fit.
        """
        given = {"tool": tool, "arguments": dict(arguments)}
        run, _ = await self.start_run(caller, CALL.name, given, request_id=request_id, trace=trace)
        return run

    async def get_run(self, caller: Caller, run: str, *, is_own: bool = False) -> Run:
        """One run, with its output where it has one; of one that was erased a reference is left.

        So it is of an output with rows of a datasource, for whoever may not see them.

        With `is_own` there is none but those that the caller's principal has begun.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        check_texts(run=run)
        with refusals(no_run(run)):
            row = await self._storage.runs.get(caller.namespace, run)
            if is_own and row.principal != caller.principal:
                raise Missing  # before anything is read of it: it takes as long as one not there
            view = run_of_row(row)
            if any(one.on == "input" for one in view.waiting):
                asked = await self.questions.of(caller.namespace, view)
                view = msgspec.structs.replace(view, questions=asked)
            if view.output is None:
                return view
            is_open = not is_sealed(view.output)
            if not (is_open or await self._beholders.has(caller, run, view.principal)):
                return view
            try:
                output = await self._journal.resolve(caller.namespace, run, view.output)
            except KeyDestroyed:
                return msgspec.structs.replace(view, is_erased=True)
        return msgspec.structs.replace(view, output=output)

    async def wait_run(
        self,
        caller: Caller,
        run: str,
        timeout: timedelta,
        *,
        until: Callable[[Run], bool] = ended,
    ) -> Run:
        """The run when it has ended or `until` says so, or as it is after `timeout`.

        `until` is asked whenever the run comes to wait for something, or goes on.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        left, clock = timeout.total_seconds(), asyncio.get_running_loop().time
        end, or_stands = clock() + left, until is not ended
        while True:
            patience = left
            owned = self._worker.find(caller.namespace, run)
            stood = RUNNING if owned is None else owned.standing
            if owned is None or (or_stands and stood != RUNNING):
                view = await self.get_run(caller, run)
                if view.status.ended or until(view) or left <= 0:
                    return view
                if owned is None:
                    # Whoever owns it elsewhere tells nobody here: the list is looked at again.
                    patience = min(left, LOOK_AGAIN)
                elif owned.standing != stood:
                    continue  # it stirred while we looked, and nobody waited
            state = await self._worker.wait_ended(
                caller.namespace, run, patience, or_stands=or_stands
            )
            if state is not None:
                found = run_of_state(state)
                may_see = is_beholder(caller, state.principal, state.attributes)
                return found if may_see else withheld(found)
            left = max(end - clock(), 0)
            if not left:
                return await self.get_run(caller, run)

    async def list_runs(
        self, caller: Caller, *, page_size: int = 50, page_token: str = "", filter: str = ""
    ) -> Page:
        """Runs, newest first; outputs are left out where they are not inline.

        `filter` is that of AIP-160, as far as `orchestrator.filters` knows it.

        Raises:
            InvalidRequest: INVALID_CURSOR, the token is not one of this list; INVALID_REQUEST,
                the filter is not one.
        """
        where = parse_filter(filter)
        size = min(page_size or 50, MAX_PAGE)
        with refusals():
            rows = await self._storage.runs.list(
                caller.namespace,
                limit=size + 1,
                before=run_place(page_token, filter),
                where=where,
            )
        shown = rows[:size]
        more = len(rows) > size
        token = run_token(filter, shown[-1].created_at, shown[-1].run) if more else ""
        return Page(runs=tuple(run_of_row(row) for row in shown), next_token=token)

    async def list_steps(self, caller: Caller, run: str) -> tuple[Step, ...]:
        """The steps of a run, in the order in which they were scheduled.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        view = await self.get_run(caller, run)
        with refusals():
            history = await self._journal.history(caller.namespace, run, filled=False)
            return steps_of(run, history, await self._graph_of(caller, view))

    # --- events ---------------------------------------------------------------------------

    async def list_events(
        self, caller: Caller, *, run: str | None = None, cursor: str = "", limit: int = 1000
    ) -> EventBatch:
        """The next events after a cursor, oldest first ("" is the beginning).

        Raises:
            NotFound: RUN_NOT_FOUND.
            InvalidRequest: INVALID_CURSOR, or CURSOR_EXPIRED when it belongs to another log.
        """
        if run is not None:
            await self.get_run(caller, run)
        with refusals():
            return await self._reader.page(
                caller.namespace, run=run, cursor=cursor, limit=min(limit or MAX_PAGE, MAX_PAGE)
            )

    async def watch_events(
        self,
        caller: Caller,
        *,
        run: str | None = None,
        cursor: str | None = "",
        batch: int = 256,
        heartbeat: timedelta = timedelta(seconds=15),
    ) -> AsyncGenerator[EventBatch, None]:
        """Batches as they happen, after a cursor; None is "from now on", with a first batch at once.

        An idle watch gets an empty batch every `heartbeat`. With `run` it ends by itself
        once the run has ended and everything of it was given.

        Raises:
            As `list_events`.
        """
        if run is not None:
            await self.get_run(caller, run)
        with refusals():
            async for found in self._reader.watch(
                caller.namespace, run=run, cursor=cursor, batch=batch, heartbeat=heartbeat
            ):
                yield found

    # --- workflows ------------------------------------------------------------------------

    async def check_workflow(self, caller: Caller, source: bytes) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, at once; () when nothing is."""
        return self._workflows.check(source)

    async def put_workflow(
        self, caller: Caller, source: bytes, *, proof: Proof | None = None
    ) -> tuple[Workflow, bool]:
        """Stores a version and makes it the newest; the flag tells whether it is new.

        Of a user it is a permit, if it lists tools that may change something, and takes his factor
        once anybody has one; unless a user has put this version before.

        Raises:
            InvalidRequest: INVALID_DEFINITION, with every problem.
            Denied: FACTOR_REQUIRED, FACTOR_WRONG; INSUFFICIENT_SCOPE, the caller has an access
                token: his workflow could call what the token does not cover.
        """
        if caller.scopes is not None:
            raise Denied(
                "an access token is for calls; workflows are put with an API key, or by the owner",
                code=Code.INSUFFICIENT_SCOPE,
            )

        async def permit(graph: Graph) -> None:
            if any(map(self._may_change, graph.tools)):
                subject = deed("workflow.put", caller.namespace, graph.version)
                await demand_factor(self.factors, caller, proof, subject)

        with refusals():
            row, created = await self._workflows.put(
                caller.namespace,
                source,
                principal=caller.principal,
                now=self._clock.now(),
                permit=permit,
            )
        await self._audit.record(
            caller.namespace,
            caller.principal,
            "workflow.put",
            f"workflow/{row.name}",
            {"version": row.version},
        )
        return await self._workflow(caller, row), created

    async def get_workflow(self, caller: Caller, name: str, version: str | None = None) -> Workflow:
        """One version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        check_texts(name=name, version=version)
        with refusals():
            row = await self._workflows.get(caller.namespace, name, version)
        return await self._workflow(caller, row)

    async def list_workflows(self, caller: Caller) -> tuple[Workflow, ...]:
        """The newest version of every workflow, by name."""
        with refusals():
            rows = await self._storage.definitions.list(caller.namespace)
        return tuple([await self._workflow(caller, row) for row in rows])

    # --- tools ----------------------------------------------------------------------------

    async def list_tools(self, caller: Caller) -> tuple[ToolSpec, ...]:
        """The published tools, by name, but for those that policy denies him whatever he asks.

        It is the same tuple for as long as nothing changes.
        """
        return self._offered.to(caller)

    def tool_names(self, caller: Caller) -> frozenset[str]:
        """The names of the published tools, with those that are suspended and not listed."""
        return self._tools.published_names

    def find_tool(self, caller: Caller, name: str) -> ToolSpec | None:
        """The tool of this name, if a direct call may name it."""
        tool = self._tools.get(name) if name in self._tools.published_names else None
        return None if tool is None else tool.spec

    async def ping(self) -> None:
        """Proves that the database can be used.

        Raises:
            Unavailable: it cannot.
        """
        with refusals():
            await self._storage.ping()

    # --- inside ---------------------------------------------------------------------------

    def _demand_scopes(self, caller: Caller, workflow: str, input: Json) -> None:
        """Here, and not at the doors alone: so it holds however a call has come."""
        is_call = workflow == CALL.name and isinstance(input, Mapping)
        name = str(input.get("tool")) if is_call and isinstance(input, Mapping) else workflow
        self._demand_scopes_of(caller, name)

    def _demand_scopes_of(self, caller: Caller, name: str) -> None:
        self._scopes.demand(caller, (name,), name)

    def _may_change(self, tool: str) -> bool:
        known = self._tools.get(tool)
        return known is None or not known.spec.read_only

    async def _graph_of(self, caller: Caller, run: Run) -> Graph | None:
        """The graph of a run; None where this version refuses what an older one has taken."""
        with suppress(InvalidRequest):
            return await self._workflows.graph(caller.namespace, run.workflow, run.version)
        return None

    async def _workflow(self, caller: Caller, row: DefinitionRow) -> Workflow:
        graph = await self._workflows.graph(caller.namespace, row.name, row.version)
        return Workflow(
            name=row.name,
            version=row.version,
            description=graph.description,
            input_schema=graph.input_schema,
            source=row.source,
            principal=row.principal,
            created_at=row.created_at,
            published=graph.published,
        )
