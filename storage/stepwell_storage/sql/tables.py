"""The tables, in SQLAlchemy Core. What a statement may rely on is said here.

Every primary key begins with the namespace: no lookup can cross tenants by leaving it out, and
the rows of a tenant lie together. A run is a UUID: 16 bytes here, text in the ports (`sql.ids`).
Times are UTC microseconds. There are no foreign keys: `append` writes the rows of a run in one
transaction, and retention deletes a whole run table by table.

`events` is the log. It is ordered twice: by `sequence` inside its run, and by `position` over its
namespace. A plain table with two indexes was as fast as one that is kept in either order, and an
event of 16 KiB does not bloat it. A row holds consecutive events of one append by one principal
(`sql.rows`): `sequence` and `position` are those of its last event, `kind` is their kinds with a
space between, and `body` is a JSON array of their bodies, or the body itself where there is one
event. So the row that holds the event after N is the first one above N, in both orders, and a step
of three small events costs one key and two index entries instead of three and six.

`log_heads` has the position last given in a namespace. The newest event cannot tell: it may have
been deleted with its run, and no position is ever given twice.

`runs` is what the list of runs shows. The log alone decides what a run is; this is its summary,
written in the same transaction. `run_key` is taken by one run that has not ended, and the index
`runs_open_keys` refuses the second. `parent` and `forked_from` have indexes because retention asks
who refers to a run. What most runs have not, such as a key, is in no index of theirs.

`labels` has the labels of runs once more, one a row, in the order in which a list of the runs with
one label shows them.

`leases` says who may append. Each append is one step of its row from (epoch, sequence) to the next
sequence, so the row is at once the fence and the proof that the log has no gap, and the database
itself refuses a writer that lost the run. `owner` is NULL when nobody holds it; `expires_at` is
NULL when the run has ended and nobody ever will. A run that is parked has no owner and expires when
it may be claimed, which may be never (`records.FOR_EVER`). So claiming looks at the first entries of
`leases_live` and waking at the first of `leases_parked`, however many runs are at rest behind them.

`letters` wait for their run. `letters_oldest` is the order in which they are fetched: few wait at a
time, so asking each whose it is costs less than asking all runs of an owner for theirs. One whose run
has ended is as good as gone, and is removed by whoever comes across it.

`approvals` lists what runs ask of people, and what came of it. The log alone decides; this is its
summary, written in the same transaction, so that nobody who looks for what waits has to go through
runs. It holds no data of a run: the arguments of a call stand in the event at `sequence`.

`queues` has the limits of named queues, and its row is the lock under which they hold: who admits
takes it, counts in `tickets` who is inside (`admitted_at` is set) and in `admissions` who came lately,
and lets in the first of the line. `admissions` has the number that were let in at one time, for as
long as the rate of the queue looks back.

`schedules` says what is run again and when next; `schedules_due` has those that will fire.

`retention` says how long the ended runs of a namespace are kept; one that is not in it keeps all.
`runs_ended` has them in the order in which their time is over.

`keys` has the data keys that blobs are encrypted with, each wrapped by a key of the key ring. A
subject has one that is not destroyed; a destroyed one stays as a row without its key.

`requests` remembers which run a request id began, so that a request that is repeated finds it.

`blobs` holds content that an event names by its digest. It is kept per run, not shared, so that
deleting a run deletes what only that run may show. `label` is what policy and retention go by,
`key_id` the key it is encrypted with ("" is plain).

`definitions` holds workflow versions, never changed; `definition_heads` says which one a bare
name means.

`datasources` names the databases that SQL tools may reach; `taught` is what people told of one, for
questions in plain words.

`policies` holds versions of policies, never changed; `policy_heads` says which one is in force.

`audit` is the chain of what was done: each row has the hash of the one before it, and nothing ever
deletes one. `audit_heads` has its last sequence and hash once more, and its row is the lock under which
a chain grows; `noted` is the position of the log up to which entries of the chain vouch for events.

`budgets` has what may be spent in a scope, `amounts` what is spent and reserved in an account, and
`reservations` what for: a call, known by its run and its key. `budget_locks` has a row for each
namespace that has budgets; who reserves or counts holds it until the commit. Rows with a `run` go with
that run.

`pins` says what a tool of another's server was like when somebody took it for good.

`api_keys` has the keys that callers show, without their secrets. Who shows one does not say of which
namespace it is, so `api_keys_id` has them all; it also keeps an id from being given twice.

`factors` has what principals prove with that it is they, sealed; `factor_tokens` the tokens that were
spent, for as long as they could be shown again, and `factor_attempts` who has failed how often.

`meta` is one row about the database itself, and the one table without a namespace. `readable_by` is
the oldest schema whose Stepwell may still work with it (`migrate.is_due`).
"""

from typing import Any

import sqlalchemy as sa

from stepwell_storage.sql.types import Text

metadata = sa.MetaData()


def _partial(
    name: str,
    *columns: sa.Column[Any],
    where: sa.ColumnElement[bool],
    unique: bool = False,
) -> None:
    """An index of some rows only."""
    # Another database's adapter says the same of its own: naming a dialect here loads all of it.
    sa.Index(name, *columns, unique=unique, sqlite_where=where)


events = sa.Table(
    "events",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("events_position", "namespace", "position", unique=True),
)

log_heads = sa.Table(
    "log_heads",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("workflow", Text, nullable=False),
    sa.Column("version", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("labels", Text, nullable=False),
    sa.Column("detail", sa.LargeBinary, nullable=False),
    sa.Column("run_key", Text),
    sa.Column("parent", sa.LargeBinary(16)),
    sa.Column("forked_from", sa.LargeBinary(16)),
    sa.Index("runs_newest", "namespace", "created_at", "run"),
    sa.Index("runs_by_status", "namespace", "status", "created_at", "run"),
    sa.Index("runs_by_workflow", "namespace", "workflow", "created_at", "run"),
)
_partial(
    "runs_open_keys",
    runs.c.namespace,
    runs.c.run_key,
    where=sa.and_(runs.c.run_key.is_not(None), runs.c.ended_at.is_(None)),
    unique=True,
)
for _column in (runs.c.run_key, runs.c.parent, runs.c.forked_from):
    _partial(
        f"runs_by_{_column.name}",
        runs.c.namespace,
        _column,
        runs.c.created_at,
        runs.c.run,
        where=_column.is_not(None),
    )

_partial(
    "runs_ended",
    runs.c.namespace,
    runs.c.ended_at,
    runs.c.run,
    where=runs.c.ended_at.is_not(None),
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("labels_newest", "namespace", "key", "value", "created_at", "run"),
    sqlite_with_rowid=False,
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("owner", Text),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# Leases of ended runs stay, but no question about live ones has to pass over them.
_partial("leases_live", leases.c.expires_at, where=leases.c.expires_at.is_not(None))
_partial("leases_held", leases.c.owner, where=leases.c.owner.is_not(None))
_partial(
    "leases_parked",
    leases.c.owner,
    leases.c.expires_at,
    where=sa.and_(leases.c.owner.is_(None), leases.c.expires_at.is_not(None)),
)

letters = sa.Table(
    "letters",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("letters_id", "namespace", "id", unique=True),
    sa.Index("letters_oldest", "at", "namespace", "id"),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), nullable=False),
    sa.Column("step", Text, nullable=False),
    sa.Column("call", Text, nullable=False),
    sa.Column("about", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("subject", Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("requested_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("decided_at", sa.BigInteger),
    sa.Column("decided_by", Text, nullable=False),
    sa.Column("detail", sa.LargeBinary, nullable=False),
    sa.Index("approvals_newest", "namespace", "requested_at", "id"),
    sa.Index("approvals_by_status", "namespace", "status", "requested_at", "id"),
    sa.Index("approvals_by_run", "namespace", "run"),
)
_partial(
    "approvals_waiting",
    approvals.c.requested_at,
    approvals.c.id,
    where=approvals.c.status == "waiting",
)

queues = sa.Table(
    "queues",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("concurrency", sa.BigInteger),
    sa.Column("rate", sa.BigInteger),
    sa.Column("per_us", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("step", Text, primary_key=True),
    sa.Column("queue", Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("admitted_at", sa.BigInteger),
)
_partial(
    "tickets_waiting",
    tickets.c.namespace,
    tickets.c.queue,
    tickets.c.at,
    tickets.c.run,
    tickets.c.step,
    where=tickets.c.admitted_at.is_(None),
)
_partial(
    "tickets_admitted",
    tickets.c.namespace,
    tickets.c.queue,
    where=tickets.c.admitted_at.is_not(None),
)

admissions = sa.Table(
    "admissions",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("queue", Text, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("last_at", sa.BigInteger),
    sa.Column("last_run", sa.LargeBinary(16)),
    sa.Column("paused", sa.Boolean, nullable=False),
)
_partial(
    "schedules_due",
    schedules.c.next_at,
    schedules.c.namespace,
    schedules.c.name,
    where=sa.and_(schedules.c.next_at.is_not(None), schedules.c.paused.is_(False)),
)

retention = sa.Table(
    "retention",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("keep_us", sa.BigInteger, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("subject", Text, nullable=False),
    sa.Column("ring", Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("destroyed_at", sa.BigInteger),
    sa.Index("keys_by_subject", "namespace", "subject"),
)
_partial(
    "keys_in_use",
    keys.c.namespace,
    keys.c.subject,
    where=keys.c.destroyed_at.is_(None),
    unique=True,
)
_partial(
    "keys_by_ring",
    keys.c.ring,
    keys.c.namespace,
    keys.c.id,
    where=keys.c.destroyed_at.is_(None),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("principal", Text, primary_key=True),
    sa.Column("request_id", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), nullable=False),
    sa.Column("digest", Text, nullable=False),
    sa.Index("requests_by_run", "namespace", "run"),
    sqlite_with_rowid=False,
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("digest", Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("label", Text, nullable=False),
    sa.Column("key_id", Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

definitions = sa.Table(
    "definitions",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("source", sa.LargeBinary, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

definition_heads = sa.Table(
    "definition_heads",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("version", Text, nullable=False),
)

datasources = sa.Table(
    "datasources",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("url", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("taught", sa.LargeBinary),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("source", sa.LargeBinary, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

policy_heads = sa.Table(
    "policy_heads",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("version", Text, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("applied_at", sa.BigInteger, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("action", Text, nullable=False),
    sa.Column("resource", Text, nullable=False),
    sa.Column("detail", Text, nullable=False),
    sa.Column("previous", Text, nullable=False),
    sa.Column("hash", Text, nullable=False),
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", Text, nullable=False),
    sa.Column("noted", sa.BigInteger, nullable=False),
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("scope", Text, primary_key=True),
    sa.Column("unit", Text, primary_key=True),
    sa.Column("amount", sa.BigInteger),
    sa.Column("principal", Text, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("run", sa.LargeBinary(16)),
)
_partial("budgets_shared", budgets.c.namespace, budgets.c.scope, where=budgets.c.run.is_(None))
_partial("budgets_of_run", budgets.c.namespace, budgets.c.run, where=budgets.c.run.is_not(None))

amounts = sa.Table(
    "amounts",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("account", Text, primary_key=True),
    sa.Column("unit", Text, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("run", sa.LargeBinary(16)),
)
_partial("amounts_of_run", amounts.c.namespace, amounts.c.run, where=amounts.c.run.is_not(None))

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("run", sa.LargeBinary(16), primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("account", Text, primary_key=True),
    sa.Column("unit", Text, primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("reservations_over", "namespace", "expires_at"),
)

budget_locks = sa.Table(
    "budget_locks",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
)

pins = sa.Table(
    "pins",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("tool", Text, primary_key=True),
    sa.Column("source", Text, nullable=False),
    sa.Column("definition", Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("principal", Text, nullable=False),
    sa.Column("pinned_at", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("subject", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("created_by", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("is_vouched", sa.Boolean, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("attributes", Text, nullable=False, server_default="{}"),
    sa.Index("api_keys_id", "id", unique=True),
)

factors = sa.Table(
    "factors",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("principal", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("label", Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("counter", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
)

factor_tokens = sa.Table(
    "factor_tokens",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("token", Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("spent_by", Text, nullable=False),
)

factor_attempts = sa.Table(
    "factor_attempts",
    metadata,
    sa.Column("namespace", Text, primary_key=True),
    sa.Column("principal", Text, primary_key=True),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("store", Text, primary_key=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("readable_by", Text, nullable=False),
)
