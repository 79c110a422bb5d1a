"""The ports over an SQL database, whichever it is."""

from stepwell_storage.bell import Bell
from stepwell_storage.heads import LogHeads
from stepwell_storage.sql.api_keys import SqlApiKeys
from stepwell_storage.sql.approvals import SqlApprovals
from stepwell_storage.sql.audit import SqlAudit
from stepwell_storage.sql.blobs import SqlBlobs
from stepwell_storage.sql.budgets import SqlBudgets
from stepwell_storage.sql.claims import SqlClaims
from stepwell_storage.sql.counts import SqlCounts
from stepwell_storage.sql.datasources import SqlDatasources
from stepwell_storage.sql.definitions import SqlDefinitions
from stepwell_storage.sql.factors import SqlFactors
from stepwell_storage.sql.inbox import SqlInbox
from stepwell_storage.sql.keys import SqlKeys
from stepwell_storage.sql.log import SqlLog
from stepwell_storage.sql.pins import SqlPins
from stepwell_storage.sql.policies import SqlPolicies
from stepwell_storage.sql.queues import SqlQueues
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.retention import SqlRetention
from stepwell_storage.sql.runs import SqlRuns
from stepwell_storage.sql.schedules import SqlSchedules
from stepwell_storage.sql.writer import Writer


class SqlPorts:
    """What every adapter provides once it can write and read."""

    log: SqlLog
    claims: SqlClaims
    inbox: SqlInbox
    approvals: SqlApprovals
    queues: SqlQueues
    schedules: SqlSchedules
    retention: SqlRetention
    keys: SqlKeys
    blobs: SqlBlobs
    counts: SqlCounts
    runs: SqlRuns
    definitions: SqlDefinitions
    datasources: SqlDatasources
    policies: SqlPolicies
    audit: SqlAudit
    budgets: SqlBudgets
    pins: SqlPins
    api_keys: SqlApiKeys
    factors: SqlFactors

    def _provide(self, writer: Writer, reader: Reader, *, heads: LogHeads, bell: Bell) -> None:
        self.log = SqlLog(writer, reader, heads)
        self.claims = SqlClaims(writer, reader)
        self.inbox = SqlInbox(writer, reader, bell)
        self.approvals = SqlApprovals(reader)
        self.queues = SqlQueues(writer, reader)
        self.schedules = SqlSchedules(writer, reader)
        self.retention = SqlRetention(writer, reader)
        self.keys = SqlKeys(writer, reader)
        self.blobs = SqlBlobs(reader)
        self.counts = SqlCounts(reader)
        self.runs = SqlRuns(reader)
        self.definitions = SqlDefinitions(writer, reader)
        self.datasources = SqlDatasources(writer, reader)
        self.policies = SqlPolicies(writer, reader)
        self.audit = SqlAudit(writer, reader)
        self.budgets = SqlBudgets(writer, reader)
        self.pins = SqlPins(writer, reader)
        self.api_keys = SqlApiKeys(writer, reader)
        self.factors = SqlFactors(writer, reader)
