"""Workflow versions, and which of them a bare name means."""

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import DefinitionRow


class MemoryDefinitions:
    """The workflow versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: DefinitionRow, *, takes_over: bool = False) -> bool:
        kept = self._database[namespace]
        versions = kept.definitions.setdefault(row.name, {})
        is_new = row.version not in versions
        if is_new or takes_over:
            versions[row.version] = row
        kept.newest[row.name] = row.version
        return is_new

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        kept = self._database[namespace]
        wanted = kept.newest.get(name) if version is None else version
        row = kept.definitions.get(name, {}).get(wanted or "")
        if row is None:
            raise Missing(f"There is no workflow {name!r}, or not in this version.")
        return row

    async def list(self, namespace: str) -> list[DefinitionRow]:
        kept = self._database[namespace]
        return [kept.definitions[name][kept.newest[name]] for name in sorted(kept.newest)]
