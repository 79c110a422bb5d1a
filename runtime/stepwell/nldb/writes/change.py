"""What happens in the transaction of a change, the same for both engines.

It is a generator: it asks statements and is sent their rows, so that the child that speaks to
SQLite and the loop that speaks to PostgreSQL run the very same steps. Rows are read by key after
all triggers have run, so what is shown is what would stay. Whoever runs it rolls back, unless it
ends with `Outcome.done` of a job with an application.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb import applied_table
from stepwell.nldb.writes import applied, effects
from stepwell.nldb.writes.ask import Ask, Asking
from stepwell.nldb.writes.digests import digest, place_of
from stepwell.nldb.writes.job import Applied, Batch, Change, Done, Effect, Job, Outcome, Row
from stepwell.nldb.writes.refusals import refused, stale, too_many
from stepwell.quoting import quoted
from stepwell.tools.port import ToolFailed

AT_ONCE: Final = 200
"""Rows that are read by their keys with one statement."""


def change(job: Job) -> Asking[Outcome]:
    """Does all of a job but beginning and ending the transaction.

    Raises:
        ToolFailed: QUERY_REFUSED or PREVIEW_STALE; roll back.
    """
    has_table = False
    if job.application is not None:
        has_table = bool((yield applied.exists(job.dialect, job.schema)))
        if has_table and (before := (yield from _before(job))) is not None:
            return Outcome(applied=before)
    done = yield from _Changing(job).run()
    if job.application is None:
        return Outcome(done=done)
    return Outcome(done=done, applied=(yield from _keep(job, done, has_table=has_table)))


def look(dialect: str, schema: str, key: str, preview: str) -> Asking[Outcome]:
    """Whether a preview is applied already, by this call or another."""
    if not (yield applied.exists(dialect, schema)):
        return Outcome()
    rows = yield applied.find(dialect, schema, key, preview)
    return Outcome(applied=applied.read(rows[0]) if rows else None)


def _before(job: Job) -> Asking[Applied | None]:
    assert job.application is not None
    one = job.application
    rows = yield applied.find(job.dialect, job.schema, one.key, one.preview)
    return applied.read(rows[0]) if rows else None


def _keep(job: Job, done: Done, *, has_table: bool) -> Asking[Applied]:
    """Compares what was done with what was shown, and says that it was."""
    wanted = job.application
    assert wanted is not None
    if done.digest != wanted.digest:
        raise stale("the rows that it changes, or what the database does by itself, have changed")
    if done.result != wanted.result:
        raise stale("the new values would be others: something that they depend on has changed")
    if not has_table:
        yield Ask(applied_table.create_sql(job.schema))
    made = Applied(
        key=wanted.key,
        preview=wanted.preview,
        at=wanted.at,
        keys=done.order,
        state=done.state,
    )
    yield applied.put(job.dialect, job.schema, made)
    return made


class _Changing:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._places = [job.columns.index(name) for name in job.key]
        self._left = job.size
        self._met = 0
        self._found: list[Effect] = []

    def run(self) -> Asking[Done]:
        job = self._job
        changes: list[Change] = []
        self._found += yield from effects.triggers(job)
        rules = yield from effects.cascades(job)
        if job.dialect == "postgres" and len(job.batches[0].runs) > 1:
            yield Ask("SET CONSTRAINTS ALL DEFERRED")  # they hold for all of the runs together
        for batch in job.batches:
            for parameters in batch.runs:
                changes += yield from self._once(batch, parameters, rules)
        if job.dialect == "postgres":
            yield Ask("SET CONSTRAINTS ALL IMMEDIATE")  # what is checked at the end, before it
        return self._done(changes)

    def _once(
        self, batch: Batch, parameters: tuple[object, ...], rules: Sequence[effects.Rule]
    ) -> Asking[list[Change]]:
        old = yield from self._old(batch, parameters)
        if batch.kind != "insert":
            yield from self._cascades(batch, parameters, rules)
        acting = frozenset(rule.bare.lower() for rule in rules)
        returned = yield Ask(batch.run, parameters, checked=True, acting=acting)
        keys = [row[:-1] for row in returned]
        if any(row[-1] != 1 for row in returned):
            raise _leaves()
        self._check_keys(keys)
        if batch.kind == "insert":
            self._count(len(keys))
            return [Change(None, row) for row in (yield from self._read(keys))]
        by_key = {_text(self._key(row)): row for row in old}
        if batch.kind == "delete" and any(rule.place == self._place for rule in rules):
            keys = [self._key(row) for row in old]  # its own cascade may come before it to a row
        if {_text(key) for key in keys} != set(by_key):
            raise refused(
                "write.trigger",
                "a trigger or a rule of the table makes it another change than that which is asked",
                "change the rows where the database expects it, or ask whoever keeps it",
            )
        if batch.kind == "delete":
            if (yield from self._present(keys)):
                raise refused(
                    "write.trigger",
                    "a trigger puts rows back that it deletes",
                    "ask whoever keeps the database",
                )
            return [Change(row, None) for row in old]
        new = yield from self._read(keys)
        return [Change(by_key[_text(self._key(row))], row) for row in new]

    def _old(self, batch: Batch, parameters: tuple[object, ...]) -> Asking[list[Row]]:
        if not batch.select:
            return []
        taken = tuple(parameters[place] for place in batch.takes)
        rows = yield from self._fetched(Ask(batch.select, taken, checked=True))
        self._count(len(rows))
        self._weigh(rows)
        self._check_keys([self._key(row) for row in rows])
        return rows

    def _read(self, keys: list[Row]) -> Asking[list[Row]]:
        """The rows with these keys, in their order, as triggers have left them."""
        found: dict[bytes, Row] = {}
        for ask in self._by_key(keys, [*map(quoted, self._job.columns), self._check]):
            for row in (yield from self._fetched(ask)):
                if row[-1] != 1:
                    raise _leaves()
                found[_text(self._key(row))] = row[:-1]
        try:
            rows = [found[_text(key)] for key in keys]
        except KeyError:
            raise refused(
                "write.trigger",
                "a trigger takes away, or gives another key to, a row that it writes",
                "ask whoever keeps the database",
            ) from None
        self._weigh(rows)
        return rows

    def _fetched(self, ask: Ask) -> Asking[list[Row]]:
        """The rows, if there is room for them: a client of PostgreSQL has all of them at once."""
        if self._job.dialect == "postgres":
            size = (
                "SELECT coalesce(sum(octet_length(CAST(stepwell_row AS text))), 0) "  # noqa: S608
                f"FROM ({ask.sql}) AS stepwell_row"
            )
            told = yield msgspec.structs.replace(ask, sql=size)
            if int(str(told[0][0])) > self._left:
                raise self._too_large()
        return (yield ask)

    def _present(self, keys: list[Row]) -> Asking[bool]:
        for ask in self._by_key(keys, ["1"]):
            if (yield ask):
                return True
        return False

    def _by_key(self, keys: list[Row], shown: Sequence[str]) -> Iterator[Ask]:
        job = self._job
        mark = "$" if job.dialect == "postgres" else "?"
        width = len(job.key)
        names = ", ".join(quoted(name) for name in job.key)
        for begin in range(0, len(keys), AT_ONCE):
            part = keys[begin : begin + AT_ONCE]
            tuples = [
                "(" + ", ".join(f"{mark}{at * width + n + 1}" for n in range(width)) + ")"
                for at in range(len(part))
            ]
            if width == 1:
                where = f"{names} IN ({', '.join(one[1:-1] for one in tuples)})"
            elif job.dialect == "postgres":
                where = f"({names}) IN ({', '.join(tuples)})"
            else:
                where = f"({names}) IN (VALUES {', '.join(tuples)})"
            values = tuple(cell for key in part for cell in key)
            yield Ask(f"SELECT {', '.join(shown)} FROM {job.table} WHERE {where}", values)  # noqa: S608

    def _cascades(
        self, batch: Batch, parameters: tuple[object, ...], rules: Sequence[effects.Rule]
    ) -> Asking[None]:
        """Names what the database would do to other tables, and how many rows it meets there."""
        taken = tuple(parameters[place] for place in batch.takes)
        met: set[tuple[str, str]] = set()
        for rule in rules:
            may = self._job.may_change.get(rule.child, {})
            within = may.get(rule.verb, "")
            rows: int | None = None
            # Of rows further down it is not known how many they are, and so not whether all are open.
            is_open = not within
            if rule.parent is None:
                counted = yield Ask(rule.counting(self._job, batch, within), taken, checked=True)
                rows, inside = (int(str(cell)) for cell in counted[0])
                is_open = rows == inside
            if rows == 0 or (rule.parent is not None and rule.parent not in met):
                continue
            if rule.verb not in may or not is_open or not self._may_set(rule):
                raise refused(
                    "write.cascade",
                    f"the database would {rule.verb} rows of another table too, and the data "
                    "policy does not open that",
                    "change those rows first, or ask whoever writes the policies",
                )
            met.add(rule.place)
            self._add(rule.effect(rows))

    def _may_set(self, rule: effects.Rule) -> bool:
        """Whether the policy opens the columns that a cascade sets; to delete sets none."""
        opened = self._job.may_set.get(rule.child, rule.columns)
        return rule.verb == "delete" or set(rule.columns) <= set(opened)

    def _add(self, effect: Effect) -> None:
        for place, known in enumerate(self._found):
            if (known.name, known.table, known.what) == (effect.name, effect.table, effect.what):
                total = (known.rows or 0) + (effect.rows or 0)
                self._found[place] = msgspec.structs.replace(known, rows=total or None)
                return
        self._found.append(effect)

    def _done(self, changes: list[Change]) -> Done:
        job = self._job
        order = [self._key(one.new or one.old or []) for one in changes]
        if job.kind != "insert":
            changes = sorted(changes, key=lambda one: place_of(self._key(one.old or [])))
        old = [one.old for one in changes if one.old is not None]
        new = [one.new for one in changes if one.new is not None]
        state = sorted(new, key=lambda row: place_of(self._key(row)))
        if job.expects and digest(job.salt, old) != job.expects:
            raise ToolFailed(
                "it cannot be undone: the rows have changed since, and undoing would lose that; "
                "look at them, and change them with a statement of its own",
                code=Code.PREVIEW_STALE,
                retryable=False,
            )
        fixed = [job.columns.index(name) for name in job.fixed]
        return Done(
            digest=digest(job.salt, job.head, self._found, old),
            result=digest(job.salt, [[row[place] for place in fixed] for row in new]),
            state=digest(job.salt, state),
            changes=changes,
            order=order,
            effects=tuple(self._found),
        )

    @property
    def _place(self) -> tuple[str, str]:
        return self._job.schema, self._job.bare

    @property
    def _check(self) -> str:
        check = self._job.row_check
        return f"CASE WHEN {check} THEN 1 ELSE 0 END" if check else "1"

    def _key(self, row: Sequence[Json]) -> Row:
        return [row[place] for place in self._places]

    def _check_keys(self, keys: Iterable[Row]) -> None:
        if any(cell is None for key in keys for cell in key):
            raise refused(
                "write.key",
                "a row has no value in the primary key",
                "give it one with a tool of the database first",
            )

    def _count(self, rows: int) -> None:
        self._met += rows
        if self._met > self._job.most_rows:
            raise too_many(self._job.most_rows)

    def _weigh(self, rows: list[Row]) -> None:
        self._left -= len(msgspec.json.encode(rows))
        if self._left < 0:
            raise self._too_large()

    def _too_large(self) -> ToolFailed:
        return refused(
            "write.size",
            f"the rows, old and new, have more than {self._job.size} bytes",
            "change fewer rows at a time",
        )


def _text(key: Sequence[Json]) -> bytes:
    return msgspec.json.encode(key)


def _leaves() -> ToolFailed:
    return ToolFailed(
        "the change is refused: it leaves a row that lies outside of the rows that you may see "
        "(rule write.row_check); give it values that stay within them",
        code=Code.QUERY_REFUSED,
        retryable=False,
        detail={"rule": "write.row_check"},
    )
