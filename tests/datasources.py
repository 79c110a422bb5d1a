"""Datasources of tests that are about something else than how they are kept and who may see them."""

from collections.abc import Callable
from pathlib import Path

from stepwell.nldb.databases import Databases, Lookup
from stepwell.nldb.datasources import OwnFiles, opener
from stepwell.nldb.model import Access, Catalog, open_access
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

NOWHERE = Path("/nowhere/home")
OWN = OwnFiles(home=NOWHERE)
NO_SECRETS = Secrets({}, home=NOWHERE, store=lambda name: name)


def always(url: str) -> Lookup:
    """Every datasource is at this URL."""

    async def url_of(namespace: str, name: str) -> str:
        return url

    return url_of


def databases_of(
    lookup: Lookup, processes: ProcessPool, *, access: Callable[[Catalog], Access] = open_access
) -> Databases:
    """The datasources, each open to everybody as `access` says."""

    async def access_of(context: CallContext, datasource: str, catalog: Catalog) -> Access:
        return access(catalog)

    opens = opener(processes=processes, secrets=NO_SECRETS, own=OWN)
    return Databases(lookup, opens, access_of=access_of)
