"""What few appends do beside their own rows, a statement at a time.

They reopen a run, send and take letters, tell what a person is asked, give tickets back.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from stepwell_storage.records import Append, Letter
from stepwell_storage.sql.approvals import note
from stepwell_storage.sql.budgets import settle
from stepwell_storage.sql.ids import packed
from stepwell_storage.sql.inbox import deliver, drop, drop_all
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import leases, runs
from stepwell_storage.sql.tickets import give_back

_RENEW = (
    sa.update(leases)
    .where(
        leases.c.namespace == sa.bindparam("in_namespace"),
        leases.c.run == sa.bindparam("of"),
        leases.c.epoch == sa.bindparam("after_epoch"),
        leases.c.sequence == sa.bindparam("after"),
        leases.c.expires_at.is_(None),
    )
    .values(
        owner=sa.bindparam("holder", type_=sa.Text),
        epoch=leases.c.epoch + 1,
        expires_at=sa.bindparam("until", type_=sa.BigInteger),
        sequence=sa.bindparam("last"),
    )
)
_SHOW = (
    sa.update(runs)
    .where(runs.c.namespace == sa.bindparam("in_namespace"), runs.c.run == sa.bindparam("of"))
    .values(
        status=sa.bindparam("now"),
        updated_at=sa.bindparam("since"),
        ended_at=sa.bindparam("end", type_=sa.BigInteger),
        detail=sa.bindparam("outcome"),
    )
)


def reopen(session: Session, values: Mapping[str, Any]) -> bool:
    """Gives a run that has ended a new lease; False when it has not, or its log ends elsewhere."""
    if not session.change(_RENEW, **values):
        return False
    session.change(_SHOW, **values)
    drop_all(session, values["in_namespace"], values["of"])
    return True


def run_errands(session: Session, appends: Sequence[Append]) -> None:
    """Removes the letters that these appends are done with, notes what they ask and have spent; leaves what they send."""
    letters: dict[str, list[Letter]] = {}
    for append in appends:
        if append.taken:
            drop(session, append.namespace, packed(append.run), append.taken)
        if append.approvals or append.withdraws is not None:
            note(session, append)
        if append.letters:
            letters.setdefault(append.namespace, []).extend(append.letters)
    settle(session, (it for it in appends if it.spent or it.frees or it.budgets))
    for namespace in sorted(letters):
        deliver(session, namespace, letters[namespace])


def leave_queues(session: Session, written: Iterable[Append]) -> None:
    """Gives back the tickets of these appends, after all else of their transaction.

    A step that leaves may have asked for its place just before, by a job, and jobs come after
    appends: its ticket would stay for ever. The other way round cannot be, as who asks for the
    place again does so after the commit of having left it.
    """
    for append in written:
        if append.left:
            give_back(session, append.namespace, packed(append.run), append.left)
            session.announce()
