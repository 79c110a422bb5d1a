"""Makes a preview of what a transaction did that was rolled back."""

from stepwell.engine.values import Json
from stepwell.nldb.writes.job import Done
from stepwell.nldb.writes.port import Ground
from stepwell.nldb.writes.prepare import Prepared, visible
from stepwell.nldb.writes.preview import Asked, ByItself, Preview, RowChange, Undo, name_of


def preview_of(
    key: str,
    datasource: str,
    asked: Asked,
    ready: Prepared,
    done: Done,
    ground: Ground,
    *,
    undoes: str = "",
) -> Preview:
    """The preview of a change that was tried and rolled back; `undo` is still to be found out."""
    job, access = ready.job, ground.access
    shown = [column.name for column in visible(ready.table, access)]
    changes: list[RowChange] = []
    for one in done.changes:
        old, new = _row(job.columns, one.old), _row(job.columns, one.new)
        there = new or old
        changes.append(
            RowChange(
                key={name: there[name] for name in job.key},
                old=_picked(old, shown),
                new=_picked(new, shown),
            )
        )
    filled = [name for name in ready.filled if name in shown and _is_filled(name, changes)]
    return Preview(
        preview=name_of(key, done.digest),
        datasource=datasource,
        kind=job.kind,
        table=ready.table.name,
        sql=ready.checked.told,
        parameters=[list(run) for run in job.batches[0].runs],
        asked=asked,
        rows=len(changes),
        columns=shown,
        changes=changes,
        filled=filled,
        effects=[
            ByItself(kind=e.kind, name=e.name, table=e.table, what=e.what, rows=e.rows)
            for e in done.effects
        ],
        undo=Undo(possible=False),
        notes=_notes(
            ready,
            changes,
            len(job.columns) - len(shown),
            filled,
            is_filtered=bool(access.tables[ready.table.name].rows),
        ),
        digest=done.digest,
        result=done.result,
        schema=ready.schema,
        policy=ready.policy,
        place=ground.place,
        undoes=undoes,
    )


def _is_filled(name: str, changes: list[RowChange]) -> bool:
    return any(
        one.new is not None and (one.old is None or one.old[name] != one.new[name])
        for one in changes
    )


def _notes(
    ready: Prepared,
    changes: list[RowChange],
    left_out: int,
    filled: list[str],
    *,
    is_filtered: bool,
) -> list[str]:
    notes: list[str] = []
    if not changes:
        notes.append("no row matches, so nothing would change")
    if is_filtered and ready.job.kind != "insert":
        notes.append("only rows that you may see are changed; the SQL does not show that")
    if left_out:
        notes.append(f"{left_out} columns are hidden or masked for you, and are not shown")
    if filled:
        notes.append(
            f"the database fills in {', '.join(filled)} when the change is made, maybe with other "
            "values than these"
        )
    if ready.job.dialect == "postgres" and ready.job.kind == "insert":
        notes.append("a preview uses up numbers of sequences, which PostgreSQL never gives back")
    return notes


def _row(columns: tuple[str, ...], row: list[Json] | None) -> dict[str, Json]:
    return {} if row is None else dict(zip(columns, row, strict=True))


def _picked(row: dict[str, Json], shown: list[str]) -> dict[str, Json] | None:
    return {name: row[name] for name in shown} if row else None
