"""What every part of the runtime stands on: settings, time, the store and its keys, who measures."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stepwell.clock import Clock, IdSource, SystemClock, Uuid7Source
from stepwell.config import Settings
from stepwell.errors import SetupError, Unavailable
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.meter import watched_commits
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.spans import NO_SPANS, OtelSpans, Spans
from stepwell.orchestrator.spending import Spending
from stepwell.policy.book import PolicyBook
from stepwell.stores import store_of
from stepwell.telemetry.metrics import Metrics
from stepwell.telemetry.tracing import open_tracing
from stepwell.tools.secrets import Secrets
from stepwell.vault.ring import KeyRing, open_ring
from stepwell.vault.secret_store import SecretStore
from stepwell.vault.vault import Vault
from stepwell_storage import errors as storage_errors
from stepwell_storage.ports import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All of it. `http_port` is where HTTP is served, where that is not what the settings say."""

    settings: Settings
    environ: Mapping[str, str]
    http_port: int | None
    clock: Clock
    ids: IdSource
    storage: Storage
    vault: Vault
    journal: Journal
    book: PolicyBook
    spending: Spending
    secrets: Secrets
    metrics: Metrics
    spans: Spans


@asynccontextmanager
async def open_ground(
    settings: Settings, environ: Mapping[str, str], http_port: int | None
) -> AsyncIterator[Ground]:
    """The store is open inside the block, and has every key that it needs.

    Raises:
        SetupError: a setting cannot be used, the database belongs to a newer version, or the key
            ring does not fit it.
        Unavailable: the database cannot be opened.
    """
    ring = open_ring(settings.encryption, environ, home=settings.home)
    clock = SystemClock()
    ids = Uuid7Source(clock)
    metrics = Metrics()
    storage = await _opened(settings, metrics)
    try:
        vault = await _vault(settings, storage, ring, clock, ids)
        spending = await _spending(settings, storage, clock)
        async with open_tracing(environ) as tracing:
            yield Ground(
                settings=settings,
                environ=environ,
                http_port=http_port,
                clock=clock,
                ids=ids,
                storage=storage,
                vault=vault,
                journal=Journal(storage, inline_limit=settings.limits.inline_bytes, vault=vault),
                book=PolicyBook(),
                spending=spending,
                secrets=_secrets(settings, environ),
                metrics=metrics,
                spans=OtelSpans(tracing, models=settings.models) if tracing else NO_SPANS,
            )
    finally:
        await storage.close()


async def _opened(settings: Settings, metrics: Metrics) -> Storage:
    storage = store_of(settings, on_commit=watched_commits(metrics))
    try:
        await storage.open()
    except storage_errors.Incompatible as error:
        raise SetupError(str(error)) from error
    except storage_errors.StorageError as error:
        raise Unavailable(f"the database cannot be opened: {error}") from error
    return storage


async def _vault(
    settings: Settings, storage: Storage, ring: KeyRing, clock: Clock, ids: IdSource
) -> Vault:
    """The vault, whose ring has every key that the database needs."""
    label = settings.encryption.subject_label
    vault = Vault(storage.keys, ring, subject_label=label, clock=clock, ids=ids)
    with refusals():
        await vault.check()
    return vault


async def _spending(settings: Settings, storage: Storage, clock: Clock) -> Spending:
    """What knows the budgets that there are, before any run goes on."""
    spending = Spending(storage, clock=clock, poll=settings.worker.poll)
    with refusals():
        await spending.refresh()
    return spending


def _secrets(settings: Settings, environ: Mapping[str, str]) -> Secrets:
    store = SecretStore(settings.home, key=settings.secrets.key)
    return Secrets(environ, home=settings.home, store=store.get)
