"""What is stored, in the memory of the process."""

from msgspec import Struct

from stepwell_storage.records import (
    Blob,
    DatasourceRow,
    DefinitionRow,
    Logged,
    RunRow,
)


class KeptRun(Struct):
    """All that belongs to one run. `expires_at` is None when it has ended."""

    row: RunRow
    owner: str | None
    expires_at: int | None
    epoch: int
    records: list[Logged]
    blobs: dict[str, Blob]


class KeptNamespace(Struct):
    """All that belongs to one tenant."""

    runs: dict[str, KeptRun] = {}
    log: list[Logged] = []
    requests: dict[tuple[str, str], tuple[str, str]] = {}
    definitions: dict[str, dict[str, DefinitionRow]] = {}
    newest: dict[str, str] = {}
    datasources: dict[str, DatasourceRow] = {}


class Database:
    """What is stored, by namespace."""

    def __init__(self) -> None:
        self._namespaces: dict[str, KeptNamespace] = {}

    def __getitem__(self, namespace: str) -> KeptNamespace:
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = KeptNamespace()
        return found

    def live(self) -> list[tuple[str, str, KeptRun]]:
        """The runs that have not ended, of every namespace."""
        return [
            (name, run, kept)
            for name, namespace in self._namespaces.items()
            for run, kept in namespace.runs.items()
            if kept.expires_at is not None
        ]
