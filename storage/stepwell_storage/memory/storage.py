"""All ports over the memory of the process."""

import secrets

from stepwell_storage.memory.api_keys import MemoryApiKeys
from stepwell_storage.memory.approvals import MemoryApprovals
from stepwell_storage.memory.audit import MemoryAudit
from stepwell_storage.memory.blobs import MemoryBlobs
from stepwell_storage.memory.budgets import MemoryBudgets
from stepwell_storage.memory.claims import MemoryClaims
from stepwell_storage.memory.counts import MemoryCounts
from stepwell_storage.memory.database import Database
from stepwell_storage.memory.datasources import MemoryDatasources
from stepwell_storage.memory.definitions import MemoryDefinitions
from stepwell_storage.memory.factors import MemoryFactors
from stepwell_storage.memory.inbox import MemoryInbox
from stepwell_storage.memory.keys import MemoryKeys
from stepwell_storage.memory.log import MemoryLog
from stepwell_storage.memory.pins import MemoryPins
from stepwell_storage.memory.policies import MemoryPolicies
from stepwell_storage.memory.queues import MemoryQueues
from stepwell_storage.memory.retention import MemoryRetention
from stepwell_storage.memory.runs import MemoryRuns
from stepwell_storage.memory.schedules import MemorySchedules


class MemoryStorage:
    """All ports over the memory of the process; see `ports.Storage`.

    Closed and opened again it still has what it had, as a database would.
    """

    is_shared = False

    def __init__(self) -> None:
        database = Database()
        self.id = secrets.token_hex(16)
        self.log = MemoryLog(database)
        self.claims = MemoryClaims(database)
        self.inbox = MemoryInbox(database)
        self.approvals = MemoryApprovals(database)
        self.queues = MemoryQueues(database)
        self.schedules = MemorySchedules(database)
        self.retention = MemoryRetention(database)
        self.keys = MemoryKeys(database)
        self.blobs = MemoryBlobs(database)
        self.counts = MemoryCounts(database)
        self.runs = MemoryRuns(database)
        self.definitions = MemoryDefinitions(database)
        self.datasources = MemoryDatasources(database)
        self.policies = MemoryPolicies(database)
        self.audit = MemoryAudit(database)
        self.budgets = MemoryBudgets(database)
        self.pins = MemoryPins(database)
        self.api_keys = MemoryApiKeys(database)
        self.factors = MemoryFactors(database)

    async def open(self) -> None:
        self.log.open()

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        self.log.close()
