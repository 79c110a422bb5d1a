"""The tools of databases: datasources, who may see what of them, questions, and changes."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stepwell.bootstrap.ground import Ground
from stepwell.config import Settings
from stepwell.errors import Code, NotFound, SetupError
from stepwell.llm.port import ModelError
from stepwell.llm.router import ModelRouter
from stepwell.nldb.ask.asker import Asker
from stepwell.nldb.ask.known import Knowledge, Lessons
from stepwell.nldb.ask.modelled import WORKFLOW, Modelled, workflow
from stepwell.nldb.ask.taught import lesson
from stepwell.nldb.ask.tool import AskTool
from stepwell.nldb.databases import Databases, Lookup
from stepwell.nldb.datasources import OwnFiles, check_datasource, opener
from stepwell.nldb.guard.refusals import listed, nearest
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.limits import Limits
from stepwell.nldb.tools import sql_tools
from stepwell.nldb.writes.desk import Desk
from stepwell.nldb.writes.grounds import grounds_of
from stepwell.nldb.writes.tools import write_tools
from stepwell.orchestrator.data_policies import KnownDatabases, access_by
from stepwell.orchestrator.datasources import DatasourceReader
from stepwell.orchestrator.from_tools import FromTools
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.results import StoredResults
from stepwell.principals import DEFAULT_NAMESPACE, Caller
from stepwell.tools.port import CallContext, Tool
from stepwell.tools.process import ProcessPool
from stepwell.vault.mask_key import open_mask_key
from stepwell_storage.open import SQLITE
from stepwell_storage.ports import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseParts:
    """What the others need of the databases."""

    databases: Databases
    tools: tuple[Tool, ...]
    reader: DatasourceReader
    known: KnownDatabases
    """What data rules are checked against."""
    workflows: Mapping[str, bytes]
    """Those that the tools run below the runs that call them."""
    from_tools: FromTools
    """How they do that; it is yet to be bound to the service."""


class _Reader:
    """Implements `DatasourceReader`."""

    def __init__(self, ground: Ground, databases: Databases, processes: ProcessPool) -> None:
        self._databases = databases
        self._check = partial(
            check_datasource,
            processes=processes,
            own=_own_files(ground.settings),
            secrets=ground.secrets,
        )

    async def check(self, url: str, accept_risks: bool) -> None:
        await self._check(url, accept_risks)

    async def inspect(self, namespace: str, name: str, writes: Sequence[str]) -> Inspection:
        return await self._databases.inspect(namespace, name, writes)

    async def lesson(self, caller: Caller, name: str, source: bytes) -> bytes:
        context = CallContext(
            namespace=caller.namespace,
            principal=caller.principal,
            run="",
            step="",
            attempt=1,
            key="",
            attributes=caller.attributes,
        )
        view = await self._databases.view(context, name)
        return await asyncio.to_thread(
            lesson, source, view.catalog, view.access, by=caller.principal
        )


@asynccontextmanager
async def open_databases(ground: Ground, models: ModelRouter) -> AsyncIterator[DatabaseParts]:
    """Datasources are opened when they are asked for, and closed at the end of the block.

    Raises:
        SetupError: INVALID_CONFIG, `nldb.model` stands for no model.
    """
    settings, own = ground.settings, _own_files(ground.settings)
    _check_model(settings.nldb.model, models)
    # In children of their own: the memory of these is capped.
    async with ProcessPool(size=settings.tools.processes) as processes:
        opens = opener(processes=processes, secrets=ground.secrets, own=own)
        key = partial(open_mask_key, settings.nldb.mask_key, settings.home, ground.environ)
        access_of = access_by(ground.book, mask_key=key)
        async with Databases(_urls(ground.storage), opens, access_of=access_of) as databases:
            from_tools = FromTools()
            model = settings.nldb.model
            yield DatabaseParts(
                databases=databases,
                tools=_tools(ground, databases, from_tools),
                reader=_Reader(ground, databases, processes),
                known=KnownDatabases(ground.storage, databases),
                workflows={WORKFLOW: workflow(model)} if model else {},
                from_tools=from_tools,
            )


def _check_model(name: str, models: ModelRouter) -> None:
    """Says at the start what would else fail each question that needs a model."""
    if not name:
        return
    try:
        models.resolve(DEFAULT_NAMESPACE, name)
    except ModelError as error:
        raise SetupError(f"nldb.model: {error.message}", code=error.code) from error


def _own_files(settings: Settings) -> OwnFiles:
    scheme, prefix, file = settings.database_url.partition(SQLITE)
    is_file = bool(prefix) and not scheme
    return OwnFiles(home=settings.home, database=Path(file) if is_file else None)


def _urls(storage: Storage) -> Lookup:
    async def url_of(namespace: str, name: str) -> str:
        try:
            with refusals():
                return (await storage.datasources.get(namespace, name)).url
        except NotFound as error:
            names = [row.name for row in await storage.datasources.list(namespace)]
            raise NotFound(_missing(name, names), code=Code.DATASOURCE_NOT_FOUND) from error

    return url_of


def _missing(name: str, names: Collection[str]) -> str:
    """Said to models too, which cannot list datasources themselves."""
    there = f"there are {listed(names)}" if names else "there is none; a user adds one"
    return f"there is no datasource {name!r}; {nearest(name, names) or there}"


def _lessons(storage: Storage) -> Lessons:
    async def taught(namespace: str, name: str) -> bytes:
        with refusals():
            return (await storage.datasources.get(namespace, name)).taught

    return taught


def _tools(ground: Ground, databases: Databases, from_tools: FromTools) -> tuple[Tool, ...]:
    """Those that read, those that change, and the one that is asked in plain words."""
    results = StoredResults(ground.storage, ground.journal)
    limits = _limits(ground.settings)
    changes = Desk(grounds_of(databases), results, clock=ground.clock, limits=limits)
    return (
        *sql_tools(databases, results, limits=limits),
        *write_tools(changes),
        AskTool(_asker(ground, databases, from_tools, changes)),
    )


def _limits(settings: Settings) -> Limits:
    chosen = settings.datasources
    return Limits(
        timeout=chosen.timeout,
        rows=chosen.rows,
        cost=chosen.most_cost,
        plan_rows=chosen.most_plan_rows,
    )


def _asker(ground: Ground, databases: Databases, from_tools: FromTools, changes: Desk) -> Asker:
    knowledge = Knowledge(databases, _lessons(ground.storage), clock=ground.clock)
    has_model = bool(ground.settings.nldb.model)
    models = Modelled(databases, knowledge, from_tools.run) if has_model else None
    return Asker(
        databases,
        knowledge,
        models=models,
        preview=changes,
        tell=from_tools.tell,
        limits=changes.limits,
    )
