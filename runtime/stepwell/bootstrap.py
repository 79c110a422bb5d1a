"""The composition root: builds the runtime from its settings, and takes it down again."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from stepwell.clock import SystemClock, Uuid7Source
from stepwell.config import Settings
from stepwell.errors import Code, SetupError, Unavailable
from stepwell.garbage import rarely_collected
from stepwell.llm.port import ModelError
from stepwell.llm.prices import Prices
from stepwell.llm.router import ModelRouter
from stepwell.nldb.ask.asker import Asker
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.modelled import WORKFLOW, Modelled, workflow
from stepwell.nldb.ask.taught import lesson
from stepwell.nldb.ask.tool import AskTool
from stepwell.nldb.databases import Databases
from stepwell.nldb.datasources import OwnFiles, check_datasource, opener
from stepwell.nldb.limits import Limits
from stepwell.nldb.tools import sql_tools
from stepwell.nldb.writes.grounds import grounds_of
from stepwell.nldb.writes.tools import Desk, write_tools
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.budget_loop import BudgetLoop
from stepwell.orchestrator.data_policies import KnownDatabases, access_by
from stepwell.orchestrator.effects import WorldEffects
from stepwell.orchestrator.factors import FactorKeeping
from stepwell.orchestrator.from_tools import FromTools
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.meter import watched_commits
from stepwell.orchestrator.notary import Notary
from stepwell.orchestrator.notifications import Desktop, NotificationLoop, Sender, Webhook
from stepwell.orchestrator.passkeys import Site
from stepwell.orchestrator.pins import Pinning
from stepwell.orchestrator.policies import PolicyLoop
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.resource_server import ResourceServer, resource_server
from stepwell.orchestrator.results import StoredResults
from stepwell.orchestrator.retention import RetentionLoop
from stepwell.orchestrator.schedule_loop import ScheduleLoop
from stepwell.orchestrator.scopes import Scopes
from stepwell.orchestrator.service import LessonOf, Service
from stepwell.orchestrator.spans import NO_SPANS, OtelSpans, Spans
from stepwell.orchestrator.spending import Spending
from stepwell.orchestrator.survey import Survey
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.policy.book import PolicyBook
from stepwell.principals import DEFAULT_NAMESPACE, Caller
from stepwell.stores import store_of
from stepwell.telemetry.loop_lag import LoopLag
from stepwell.telemetry.metrics import Metrics
from stepwell.telemetry.tracing import open_tracing
from stepwell.tools.http import HttpTool
from stepwell.tools.loading import load_tools
from stepwell.tools.mcp.servers import McpServers
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.relay import CallRelay
from stepwell.tools.secrets import Secrets
from stepwell.tools.shelf import Shelf
from stepwell.vault.factor_key import open_factor_boxes
from stepwell.vault.mask_key import open_mask_key
from stepwell.vault.ring import KeyRing, open_ring, read_key
from stepwell.vault.secret_store import SecretStore
from stepwell.vault.vault import Vault
from stepwell_storage import errors as storage_errors
from stepwell_storage.open import SQLITE
from stepwell_storage.ports import Storage

BUDGETS_LOOK: Final = timedelta(minutes=1)
"""How often it is looked whether a day has begun, for runs that wait for it."""


class Runtime:
    """What the front ends stand on."""

    def __init__(
        self,
        service: Service,
        worker: Worker,
        survey: Survey,
        *,
        schedules: ScheduleLoop,
        background: Background,
        oauth: ResourceServer | None,
    ) -> None:
        """`oauth` is what clients of an authorization server see; None where there is none."""
        self.service = service
        self.survey = survey
        self.oauth = oauth
        self._worker = worker
        self._schedules = schedules
        self._background = background

    @property
    def is_busy(self) -> bool:
        """Whether anything is in flight here, or some run begins or goes on when its time comes."""
        return self._worker.is_busy or self._schedules.is_expecting

    async def drain(self, timeout: timedelta) -> None:
        """Begins nothing new, and hands every run over once what it has in flight has ended.

        Ends when all are handed over, or after `timeout`: what is in flight then is cancelled.
        """
        await self._background.stop()
        await self._worker.drain(timeout.total_seconds())


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, environ: Mapping[str, str] = os.environ, http_port: int | None = None
) -> AsyncIterator[Runtime]:
    """The runtime of a home whose lock the caller holds; open runs go on before it yields.

    Keys of the ring, and where spans go, are looked up in `environ`. `http_port` is where HTTP is
    served, where that is not what the settings say.

    Raises:
        SetupError: a setting cannot be used, a tool cannot be loaded, the database belongs to a
            newer version, or the key ring does not fit it.
        Unavailable: the database cannot be opened.
    """
    ring = open_ring(settings.encryption, environ, home=settings.home)
    oauth = resource_server(settings.mcp.oauth, settings.mcp_url(http_port))
    metrics = Metrics()
    storage = await _open_storage(settings, metrics)
    models = ModelRouter(settings.models, providers=settings.providers, scripts=settings.home)
    try:
        vault = await _open_vault(settings, storage, ring)
        async with (
            open_tracing(environ) as tracing,
            ProcessPool(size=settings.tools.processes) as own,
            ProcessPool(size=settings.tools.processes) as sql,
            AsyncExitStack() as stack,
        ):
            spans = OtelSpans(tracing, models=settings.models) if tracing else NO_SPANS
            secrets = _secrets(settings, environ)
            shelf = Shelf()
            book = PolicyBook()
            databases = await stack.enter_async_context(
                _databases(
                    settings,
                    storage,
                    sql,
                    secrets,
                    book,
                    partial(open_mask_key, settings.nldb.mask_key, settings.home, environ),
                )
            )
            from_tools = FromTools()
            _check_model(settings, models)
            journal = Journal(storage, inline_limit=settings.limits.inline_bytes, vault=vault)
            results = StoredResults(storage, journal)
            changes = Desk(grounds_of(databases), results, clock=SystemClock())
            asker = _asker(settings, storage, databases, from_tools, changes)
            tools = _tools(
                settings, databases, asker, results, changes, own, secrets=secrets, shelf=shelf
            )
            pinning = Pinning(storage, SystemClock())
            servers = McpServers(
                settings.tools.servers,
                registry=tools,
                admission=pinning,
                secrets=secrets,
                shelf=shelf,
            )
            spending = await _spending(settings, storage)
            worker, service = _compose(
                settings,
                storage,
                tools,
                models,
                sql,
                journal=journal,
                databases=databases,
                secrets=secrets,
                book=book,
                known=KnownDatabases(storage, databases),
                vault=vault,
                spending=spending,
                metrics=metrics,
                spans=spans,
                servers=servers,
                pinning=pinning,
                relay=CallRelay(),
                shelf=shelf,
                from_tools=from_tools,
                lesson_of=_lesson_of(databases),
                factors=_factors(settings, storage, environ, http_port),
                scopes=oauth.scopes if oauth else Scopes(),
            )
            survey = Survey(storage, worker, metrics)
            with refusals():
                await service.policies.refresh()
            schedules, retention = _loops(settings, storage, service)
            notary = Notary(storage, clock=SystemClock(), every=settings.audit.every)
            policies = PolicyLoop(service.policies, poll=settings.worker.poll)
            background = Background(
                schedules=schedules.run,
                retention=retention.run,
                notary=notary.run,
                policies=policies.run,
                spending=spending.run,
                budgets=BudgetLoop(
                    storage, service.budgets, clock=SystemClock(), every=BUDGETS_LOOK
                ).run,
                **_notifications(settings, storage, service, environ),
            )
            async with (
                servers.running(),
                worker.working(alone=not storage.is_shared),
                background,
            ):
                with rarely_collected(), LoopLag(metrics.event_loop_lag_seconds):
                    yield Runtime(
                        service,
                        worker,
                        survey,
                        schedules=schedules,
                        background=background,
                        oauth=oauth,
                    )
            await notary.end()
    finally:
        await models.aclose()
        await storage.close()


async def _open_storage(settings: Settings, metrics: Metrics) -> Storage:
    storage = store_of(settings, on_commit=watched_commits(metrics))
    try:
        await storage.open()
    except storage_errors.Incompatible as error:
        raise SetupError(str(error)) from error
    except storage_errors.StorageError as error:
        raise Unavailable(f"the database cannot be opened: {error}") from error
    return storage


async def _open_vault(settings: Settings, storage: Storage, ring: KeyRing) -> Vault:
    """The vault, whose ring has every key that the database needs."""
    clock = SystemClock()
    vault = Vault(
        storage.keys,
        ring,
        subject_label=settings.encryption.subject_label,
        clock=clock,
        ids=Uuid7Source(clock),
    )
    with refusals():
        await vault.check()
    return vault


async def _spending(settings: Settings, storage: Storage) -> Spending:
    """What knows the budgets that there are, before any run goes on."""
    spending = Spending(storage, clock=SystemClock(), poll=settings.worker.poll)
    with refusals():
        await spending.refresh()
    return spending


def _databases(
    settings: Settings,
    storage: Storage,
    sql: ProcessPool,
    secrets: Secrets,
    book: PolicyBook,
    mask_key: Callable[[], bytes],
) -> Databases:
    """The datasources, read in children of their own: the memory of those is capped."""

    async def url_of(namespace: str, name: str) -> str:
        missing = f"there is no datasource {name!r}; `stepwell datasource list` shows all"
        with refusals(missing, Code.DATASOURCE_NOT_FOUND):
            return (await storage.datasources.get(namespace, name)).url

    return Databases(
        url_of,
        opener(processes=sql, secrets=secrets, own=_own_files(settings)),
        access_of=access_by(book, mask_key=mask_key),
    )


def _check_model(settings: Settings, models: ModelRouter) -> None:
    """Says at the start what would else fail each question that needs a model.

    Raises:
        SetupError: INVALID_CONFIG, `nldb.model` stands for no model.
    """
    if not settings.nldb.model:
        return
    try:
        models.resolve(DEFAULT_NAMESPACE, settings.nldb.model)
    except ModelError as error:
        raise SetupError(f"nldb.model: {error.message}", code=error.code) from error


def _asker(
    settings: Settings,
    storage: Storage,
    databases: Databases,
    from_tools: FromTools,
    changes: Desk,
) -> Asker:
    """What answers questions about datasources."""

    async def lessons(namespace: str, name: str) -> bytes:
        with refusals():
            return (await storage.datasources.get(namespace, name)).taught

    knowledge = Knowledge(databases, lessons, clock=SystemClock())
    models = Modelled(databases, knowledge, from_tools.run) if settings.nldb.model else None
    return Asker(databases, knowledge, models=models, preview=changes, tell=from_tools.tell)


def _lesson_of(databases: Databases) -> LessonOf:
    """Checks what a datasource is taught against its schema as it is."""

    async def checked(caller: Caller, name: str, source: bytes) -> bytes:
        context = CallContext(
            namespace=caller.namespace,
            principal=caller.principal,
            run="",
            step="",
            attempt=1,
            key="",
            attributes=caller.attributes,
        )
        view = await databases.view(context, name)
        return await asyncio.to_thread(
            lesson, source, view.catalog, view.access, by=caller.principal
        )

    return checked


def _tools(
    settings: Settings,
    databases: Databases,
    asker: Asker,
    results: StoredResults,
    changes: Desk,
    own: ProcessPool,
    *,
    secrets: Secrets,
    shelf: Shelf,
) -> ToolRegistry:
    """Ours and the user's."""
    registry = ToolRegistry()
    for tool in sql_tools(databases, results, limits=_limits(settings)):
        registry.add(tool)
    for tool in write_tools(changes):
        registry.add(tool)
    registry.add(AskTool(asker))
    for tool in load_tools(settings.tools.paths, processes=own, shelf=shelf):
        registry.add(tool)
    for name, request in settings.tools.http.items():
        registry.add(HttpTool(name, request, secrets=secrets))
    return registry


def _limits(settings: Settings) -> Limits:
    chosen = settings.datasources
    return Limits(
        timeout=chosen.timeout,
        rows=chosen.rows,
        cost=chosen.most_cost,
        plan_rows=chosen.most_plan_rows,
    )


def _secrets(settings: Settings, environ: Mapping[str, str]) -> Secrets:
    store = SecretStore(settings.home, key=settings.secrets.key)
    return Secrets(environ, home=settings.home, store=store.get)


def _factors(
    settings: Settings, storage: Storage, environ: Mapping[str, str], http_port: int | None
) -> FactorKeeping:
    clock = SystemClock()
    return FactorKeeping(
        storage,
        open_boxes=partial(
            open_factor_boxes, settings.approvals.factor_key, settings.home, environ
        ),
        site=Site(settings.page_url(http_port)),
        clock=clock,
        audit=Audit(storage, clock),
    )


def _notifications(
    settings: Settings, storage: Storage, service: Service, environ: Mapping[str, str]
) -> dict[str, Callable[[], Awaitable[None]]]:
    """The loop that tells people what waits, where somebody wants that."""
    wanted = settings.approvals
    if not wanted.notify:
        return {}
    sender: Sender = Desktop()
    if wanted.notify != "desktop":
        if not wanted.notify.startswith(("http://", "https://")):
            raise SetupError("approvals.notify must be `desktop` or the URL of a webhook")
        key = read_key("approvals.notify_key", wanted.notify_key, environ, settings.home)
        try:
            sender = Webhook(
                wanted.notify, key=key, networks=wanted.notify_networks, clock=SystemClock()
            )
        except ValueError as error:
            raise SetupError(f"approvals.notify_networks: {error}") from error
    loop = NotificationLoop(storage, sender, clock=SystemClock(), page=service.approvals.page)
    return {"notifications": loop.run}


def _own_files(settings: Settings) -> OwnFiles:
    scheme, prefix, file = settings.database_url.partition(SQLITE)
    is_file = bool(prefix) and not scheme
    return OwnFiles(home=settings.home, database=Path(file) if is_file else None)


def _compose(
    settings: Settings,
    storage: Storage,
    tools: ToolRegistry,
    models: ModelRouter,
    sql: ProcessPool,
    *,
    journal: Journal,
    databases: Databases,
    secrets: Secrets,
    book: PolicyBook,
    known: KnownDatabases,
    vault: Vault,
    spending: Spending,
    metrics: Metrics,
    spans: Spans,
    servers: McpServers,
    pinning: Pinning,
    relay: CallRelay,
    shelf: Shelf,
    from_tools: FromTools,
    lesson_of: LessonOf,
    factors: FactorKeeping,
    scopes: Scopes,
) -> tuple[Worker, Service]:
    clock = SystemClock()
    ids = Uuid7Source(clock)
    brought = {WORKFLOW: workflow(settings.nldb.model)} if settings.nldb.model else {}
    workflows = Workflows(storage, tools=tools.names, clock=clock, own=brought)
    effects = WorldEffects(
        tools=tools,
        models=models,
        policy=book,
        clock=clock,
        max_result=settings.limits.blob_bytes,
        spending=spending,
        prices=Prices(settings.prices, classes=settings.models, providers=settings.providers),
        spans=spans,
        relay=relay,
        question_expires=settings.tools.question_expires,
    )
    worker = Worker(
        storage,
        owner=ids.new_id(),
        journal=journal,
        workflows=workflows,
        effects=effects,
        tools=tools,
        clock=clock,
        settings=settings.worker,
        max_events=settings.limits.history_events,
        max_depth=settings.limits.child_depth,
        metrics=metrics,
        spending=spending,
        spans=spans,
    )
    service = Service(
        storage,
        worker=worker,
        workflows=workflows,
        journal=journal,
        tools=tools,
        check_datasource=partial(
            check_datasource, processes=sql, own=_own_files(settings), secrets=secrets
        ),
        inspect_datasource=databases.inspect,
        lesson_of=lesson_of,
        clock=clock,
        ids=ids,
        vault=vault,
        servers=servers,
        pinning=pinning,
        relay=relay,
        shelf=shelf,
        factors=factors,
        page=lambda id: f"{factors.site.origin}/approvals/{id}",
        spending=spending,
        book=book,
        databases=known,
        scopes=scopes,
    )
    from_tools.bind(
        service,
        worker=worker,
        workflows=workflows,
        journal=journal,
        tools=tools,
        clock=clock,
        max_depth=settings.limits.child_depth,
    )
    return worker, service


def _loops(
    settings: Settings, storage: Storage, service: Service
) -> tuple[ScheduleLoop, RetentionLoop]:
    clock = SystemClock()
    schedules = ScheduleLoop(storage, service.schedules, clock=clock, poll=settings.worker.poll)
    return schedules, RetentionLoop(storage, clock=clock, every=settings.retention.every)
