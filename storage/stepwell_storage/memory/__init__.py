"""A store in the memory of the process: for tests, for trying things out, and for the simulation.

It keeps every promise of the ports but to outlive the process. It owns no thread, socket or
clock, so it runs as well on an event loop whose time is virtual.
"""

from stepwell_storage.memory.api_keys import MemoryApiKeys
from stepwell_storage.memory.approvals import MemoryApprovals
from stepwell_storage.memory.blobs import MemoryBlobs
from stepwell_storage.memory.claims import MemoryClaims
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
from stepwell_storage.memory.storage import MemoryStorage

__all__ = [
    "MemoryApiKeys",
    "MemoryApprovals",
    "MemoryBlobs",
    "MemoryClaims",
    "MemoryDatasources",
    "MemoryDefinitions",
    "MemoryFactors",
    "MemoryInbox",
    "MemoryKeys",
    "MemoryLog",
    "MemoryPins",
    "MemoryPolicies",
    "MemoryQueues",
    "MemoryRetention",
    "MemoryRuns",
    "MemorySchedules",
    "MemoryStorage",
]
