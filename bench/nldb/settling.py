"""Readings of a question that have the same answer are one, as `db_ask` has it."""

import sqlite3
from typing import TypeAlias

from stepwell.nldb.keyless import matcher
from stepwell.nldb.keyless.world import World
from stepwell.nldb.plan.model import Plan
from stepwell.nldb.plan.sql import compile_plan

Rows: TypeAlias = list[tuple[object, ...]]


def settled(
    outcome: matcher.Outcome, world: World, database: sqlite3.Connection
) -> matcher.Outcome:
    """The outcome, where nobody is asked about readings that do not differ."""
    if not isinstance(outcome, matcher.Ambiguous):
        return outcome
    answers = [sorted(map(repr, rows_of(r.plan, world, database))) for r in outcome.readings]
    if all(answer == answers[0] for answer in answers):
        return matcher.Understood(outcome.readings[0].plan)
    return outcome


def rows_of(plan: Plan, world: World, database: sqlite3.Connection) -> Rows:
    """What a plan brings."""
    compiled = compile_plan(plan, world.catalog)
    return database.execute(compiled.sql, compiled.parameters).fetchall()
