"""What a question means, as one statement that can be run, and what is told of it."""

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.nldb.ask.outcomes import Explained, Statement
from stepwell.nldb.model import Catalog
from stepwell.nldb.plan.explain import explain
from stepwell.nldb.plan.model import Plan, Select
from stepwell.nldb.plan.sql import compile_plan

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
    meaning: str = ""
    reading: str = ""
    """By which name it is chosen when the question is asked again."""


def meant_by(plan: Plan, catalog: Catalog, *, by: str, meaning: str = "") -> Meant:
    """What a plan means, told from nothing but the plan.

    Raises:
        InvalidPlan: it does not fit the catalog.
    """
    compiled = compile_plan(plan, catalog)
    told = explain(plan)
    return Meant(
        by=by,
        statement=Statement(written=compiled.sql, parameters=dict(compiled.parameters)),
        explained=Explained(summary=told.summary, tables=told.tables, filters=told.filters),
        assumptions=told.assumptions,
        is_change=not isinstance(plan, Select),
        meaning=meaning or told.summary,
        reading=name_of(plan),
    )


def name_of(plan: Plan) -> str:
    """The name of a reading: the same whenever the same is meant."""
    bare = msgspec.structs.replace(plan, assumptions=())
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()[:_DIGITS]


def assuming(meant: Meant, *said: str) -> Meant:
    """The same, with more that was assumed."""
    return msgspec.structs.replace(meant, assumptions=(*meant.assumptions, *said))
