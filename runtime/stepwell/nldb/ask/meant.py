"""What a question means, as one statement that can be run, and what is told of it."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.ask.outcomes import Explained, Statement
from stepwell.nldb.model import Catalog
from stepwell.nldb.plan.explain import explain
from stepwell.nldb.plan.model import Insert, Plan, Select
from stepwell.nldb.plan.sql import compile_lookup, compile_plan

VERIFIED, PATTERN, MODEL = "verified query", "pattern", "model"
_DIGITS: Final = 12


class Meant(Struct, frozen=True, kw_only=True):
    """One way to understand a question. `by` is who did; `meaning` tells it from other ways."""

    by: str
    statement: Statement
    explained: Explained = Explained(summary="")
    """Without a summary or tables: those that the guard finds are told."""
    assumptions: tuple[str, ...] = ()
    is_change: bool = False
    fills: Insert | None = None
    """The insert whose rows the statement looks up."""
    meaning: str = ""
    reading: str = ""
    """By which name it is chosen when the question is asked again."""

    @property
    def reads(self) -> bool:
        """Whether its statement changes nothing."""
        return not self.is_change or self.fills is not None


def meant_by(plan: Plan, catalog: Catalog, *, by: str, meaning: str = "") -> Meant:
    """What a plan means, told from nothing but the plan.

    Raises:
        InvalidPlan: it does not fit the catalog.
    """
    fills = plan if isinstance(plan, Insert) and plan.select is not None else None
    compiled = compile_plan(plan, catalog) if fills is None else compile_lookup(fills, catalog)
    told = explain(plan)
    return Meant(
        by=by,
        statement=Statement(written=compiled.sql, parameters=dict(compiled.parameters)),
        explained=Explained(summary=told.summary, tables=told.tables, filters=told.filters),
        assumptions=told.assumptions,
        is_change=not isinstance(plan, Select),
        fills=fills,
        meaning=meaning or told.summary,
        reading=name_of(plan),
    )


def filled(
    insert: Insert, looked_up: Meant, rows: Sequence[Sequence[Json]], catalog: Catalog
) -> Meant:
    """What an insert means whose rows have been looked up.

    Raises:
        InvalidPlan: it does not fit the catalog.
    """
    plan = msgspec.structs.replace(insert, rows=tuple(map(tuple, rows)), select=None)
    meant = meant_by(plan, catalog, by=looked_up.by, meaning=looked_up.meaning)
    said = f"what was looked up: {looked_up.explained.summary}"
    return assuming(msgspec.structs.replace(meant, assumptions=looked_up.assumptions), said)


def name_of(plan: Plan) -> str:
    """The name of a reading: the same whenever the same is meant."""
    bare = msgspec.structs.replace(plan, assumptions=())
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()[:_DIGITS]


def assuming(meant: Meant, *said: str) -> Meant:
    """The same, with more that was assumed."""
    return msgspec.structs.replace(meant, assumptions=(*meant.assumptions, *said))
