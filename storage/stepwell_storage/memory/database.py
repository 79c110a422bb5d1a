"""What is stored, in the memory of the process."""

from collections.abc import ItemsView

from msgspec import Struct

from stepwell_storage.admission import Admissions
from stepwell_storage.bell import Bell
from stepwell_storage.records import (
    ApiKeyRow,
    ApprovalRow,
    Attempts,
    AuditEntry,
    Blob,
    BudgetRow,
    Charge,
    DatasourceRow,
    DefinitionRow,
    FactorRow,
    KeyRow,
    Letter,
    Logged,
    PinRow,
    PolicyHead,
    PolicyRow,
    QueueRow,
    RunRow,
    ScheduleRow,
    Ticket,
)


class KeptRun(Struct):
    """All that belongs to one run. `expires_at` is None when it has ended."""

    row: RunRow
    owner: str | None
    expires_at: int | None
    epoch: int
    records: list[Logged]
    blobs: dict[str, Blob]


class KeptTicket(Struct):
    """A ticket. `admitted_at` is None while it waits."""

    ticket: Ticket
    admitted_at: int | None = None


class KeptReservation(Struct):
    """What is reserved for a call."""

    charges: list[Charge]
    expires_at: int


class KeptAmounts(Struct):
    """What is in an account. `run` is the run that it goes with."""

    used: int = 0
    reserved: int = 0
    run: str | None = None


class KeptNamespace(Struct):
    """All that belongs to one tenant. `run_keys` has the runs that have not ended, by their key."""

    runs: dict[str, KeptRun] = {}
    run_keys: dict[str, str] = {}
    letters: dict[str, Letter] = {}
    approvals: dict[str, ApprovalRow] = {}
    log: list[Logged | None] = []
    """By position; what is deleted leaves its place empty."""
    requests: dict[tuple[str, str], tuple[str, str]] = {}
    queues: dict[str, QueueRow] = {}
    tickets: dict[tuple[str, str], KeptTicket] = {}
    admissions: dict[str, list[Admissions]] = {}
    schedules: dict[str, ScheduleRow] = {}
    keep_us: int | None = None
    keys: dict[str, KeyRow] = {}
    definitions: dict[str, dict[str, DefinitionRow]] = {}
    newest: dict[str, str] = {}
    datasources: dict[str, DatasourceRow] = {}
    policies: dict[str, PolicyRow] = {}
    policy: PolicyHead | None = None
    audit: list[AuditEntry] = []
    noted: int = 0
    budgets: dict[tuple[str, str], BudgetRow] = {}
    """By scope and unit."""
    amounts: dict[tuple[str, str], KeptAmounts] = {}
    """By account and unit."""
    reservations: dict[tuple[str, str], KeptReservation] = {}
    """By run and key."""
    pins: dict[str, PinRow] = {}
    api_keys: dict[str, ApiKeyRow] = {}
    factors: dict[str, FactorRow] = {}
    spent: dict[str, int] = {}
    attempts: dict[str, Attempts] = {}


class Database:
    """What is stored, by namespace; `bell` is rung when there may be a letter, a run to claim or a free place."""

    def __init__(self) -> None:
        self.bell = Bell()
        self._namespaces: dict[str, KeptNamespace] = {}

    def __getitem__(self, namespace: str) -> KeptNamespace:
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = KeptNamespace()
        return found

    def items(self) -> ItemsView[str, KeptNamespace]:
        """Every namespace, by name."""
        return self._namespaces.items()

    def live(self) -> list[tuple[str, str, KeptRun]]:
        """The runs that have not ended, of every namespace."""
        return [
            (name, run, kept)
            for name, namespace in self._namespaces.items()
            for run, kept in namespace.runs.items()
            if kept.expires_at is not None
        ]
