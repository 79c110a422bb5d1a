"""The worker, which makes runs go on, and the service over it: the only door for both front ends."""

from functools import partial

from stepwell.bootstrap.databases import DatabaseParts
from stepwell.bootstrap.ground import Ground
from stepwell.bootstrap.tools import ToolParts
from stepwell.llm.prices import Prices
from stepwell.llm.router import ModelRouter
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.effects import WorldEffects
from stepwell.orchestrator.factors import FactorKeeping
from stepwell.orchestrator.passkeys import Site
from stepwell.orchestrator.scopes import Scopes
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.tools.relay import CallRelay
from stepwell.vault.factor_key import open_factor_boxes


def worker_and_service(
    ground: Ground,
    models: ModelRouter,
    databases: DatabaseParts,
    tools: ToolParts,
    *,
    scopes: Scopes,
) -> tuple[Worker, Service]:
    """Both, over the same runs."""
    relay = CallRelay()
    workflows = Workflows(
        ground.storage, tools=tools.registry.names, clock=ground.clock, own=databases.workflows
    )
    worker = _worker(ground, workflows, tools, _effects(ground, models, tools, relay))
    service = _service(ground, worker, workflows, databases, tools, relay=relay, scopes=scopes)
    databases.from_tools.bind(
        service,
        worker=worker,
        workflows=workflows,
        journal=ground.journal,
        tools=tools.registry,
        clock=ground.clock,
        max_depth=ground.settings.limits.child_depth,
    )
    return worker, service


def _effects(
    ground: Ground, models: ModelRouter, tools: ToolParts, relay: CallRelay
) -> WorldEffects:
    settings = ground.settings
    return WorldEffects(
        tools=tools.registry,
        models=models,
        policy=ground.book,
        clock=ground.clock,
        max_result=settings.limits.blob_bytes,
        spending=ground.spending,
        prices=Prices(settings.prices, classes=settings.models, providers=settings.providers),
        spans=ground.spans,
        relay=relay,
        question_expires=settings.tools.question_expires,
    )


def _worker(
    ground: Ground, workflows: Workflows, tools: ToolParts, effects: WorldEffects
) -> Worker:
    limits = ground.settings.limits
    return Worker(
        ground.storage,
        owner=ground.ids.new_id(),
        journal=ground.journal,
        workflows=workflows,
        effects=effects,
        tools=tools.registry,
        clock=ground.clock,
        settings=ground.settings.worker,
        max_events=limits.history_events,
        max_depth=limits.child_depth,
        metrics=ground.metrics,
        spending=ground.spending,
        spans=ground.spans,
    )


def _service(
    ground: Ground,
    worker: Worker,
    workflows: Workflows,
    databases: DatabaseParts,
    tools: ToolParts,
    *,
    relay: CallRelay,
    scopes: Scopes,
) -> Service:
    site = Site(ground.settings.page_url(ground.http_port))
    return Service(
        ground.storage,
        worker=worker,
        workflows=workflows,
        journal=ground.journal,
        tools=tools.registry,
        reader=databases.reader,
        clock=ground.clock,
        ids=ground.ids,
        vault=ground.vault,
        servers=tools.servers,
        pinning=tools.pinning,
        relay=relay,
        shelf=tools.shelf,
        factors=_factors(ground, site),
        page=lambda id: f"{site.origin}/approvals/{id}",
        spending=ground.spending,
        book=ground.book,
        databases=databases.known,
        scopes=scopes,
    )


def _factors(ground: Ground, site: Site) -> FactorKeeping:
    settings = ground.settings
    key = settings.approvals.factor_key
    return FactorKeeping(
        ground.storage,
        open_boxes=partial(open_factor_boxes, key, settings.home, ground.environ),
        site=site,
        clock=ground.clock,
        audit=Audit(ground.storage, ground.clock),
    )
