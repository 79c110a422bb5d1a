"""Where the policy and the databases meet: each asks the other here."""

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import cache
from typing import Final

from stepwell.errors import StepwellError
from stepwell.nldb.databases import AccessOf, Databases
from stepwell.nldb.model import Access, Catalog
from stepwell.orchestrator.data_trials import asker
from stepwell.orchestrator.refusals import refusals
from stepwell.policy.data.access import Tables
from stepwell.policy.data.check import Known
from stepwell.policy.data.port import DataPolicy
from stepwell.tools.port import CallContext
from stepwell.vault.mask_key import salt_of
from stepwell_storage.ports import Storage

PATIENCE: Final = timedelta(seconds=10)
"""How long a check of a policy waits for a database to tell its tables."""


def access_by(policy: DataPolicy, *, mask_key: Callable[[], bytes]) -> AccessOf:
    """What whoever calls may do, by the policy in force.

    `mask_key` reads the key of the mask `hash`; it is asked for once, and only where a rule needs it.
    """
    key = cache(mask_key)

    def access(context: CallContext, datasource: str, catalog: Catalog) -> Access:
        who = asker(context.principal, frozenset(), context.attributes)
        found = policy.access_of(context.namespace, who, datasource, catalog)
        if not any("hash" in table.masks.values() for table in found.tables.values()):
            return found
        salt = salt_of(key(), context.namespace, datasource)
        return policy.access_of(context.namespace, who, datasource, catalog, salt=salt)

    async def access_of(context: CallContext, datasource: str, catalog: Catalog) -> Access:
        # Off the loop: for a thousand tables it takes a tenth of a second, once for each principal.
        return await asyncio.to_thread(access, context, datasource, catalog)

    return access_of


class KnownDatabases:
    """The datasources that a policy is checked against."""

    def __init__(self, storage: Storage, databases: Databases) -> None:
        self._storage = storage
        self._databases = databases

    async def known(self, namespace: str, wanted: Collection[str]) -> Known:
        """As `policies.Databases.known`."""
        with refusals():
            rows = await self._storage.datasources.list(namespace)
        catalogs: dict[str, Tables | None] = {row.name: None for row in rows}
        for name in catalogs.keys() & set(wanted):
            catalogs[name] = await self._catalog(namespace, name)
        return Known(catalogs)

    async def _catalog(self, namespace: str, name: str) -> Catalog | None:
        """None where it cannot be read now: rules of a database that is away can be applied."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return await self._databases.catalog(namespace, name)
        except (StepwellError, TimeoutError):
            return None
