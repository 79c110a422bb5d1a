"""Plain questions over three databases, each with SQL that answers it: `plain.toml`.

An answer is right if it has the rows of one of the gold queries, whatever else it shows of them and
in whatever order. A change is right if every table is afterwards as the gold change leaves it. A
question that has neither asks for what the database or the matcher does not have: any answer to it
is silently wrong.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from bench.nldb.databases import read_catalog, read_samples
from bench.nldb.settling import Rows, settled
from stepwell.nldb.glossary import Glossary, read_glossary
from stepwell.nldb.keyless import matcher
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.model import open_access
from stepwell.nldb.plan.model import Select
from stepwell.nldb.plan.sql import Compiled, compile_plan

FILE: Final = Path(__file__).with_name("plain.toml")
SCHEMAS: Final = Path(__file__).with_name("schemas")
TODAY: Final = date(2026, 11, 26)
"""The day of the questions that say `last year`."""

Database: TypeAlias = Literal["chinook", "desk", "lager"]
Verdict: TypeAlias = Literal["right", "refused", "asked back", "silently wrong"]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, and what answers it: any of `gold`, or `change`."""

    part: Literal["open"] = "open"
    database: Database
    question: str
    gold: list[str] = []
    change: str = ""


class Judged(NamedTuple):
    """A question and what became of it."""

    question: Question
    verdict: Verdict
    said: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    question: list[Question]


def load(path: Path = FILE) -> list[Question]:
    """The questions of the file.

    Raises:
        msgspec.ValidationError: the file is not as the types say; the message names the place.
    """
    return msgspec.toml.decode(path.read_bytes(), type=_File).question


def evaluate(questions: Sequence[Question], chinook: Path) -> list[Judged]:
    """Each question with its verdict, in the order of the databases."""
    judged: list[Judged] = []
    for name in dict.fromkeys(question.database for question in questions):
        with closing(_opened(name, chinook)) as database:
            world = _world(name, database)
            asked = [question for question in questions if question.database == name]
            judged += [_judged(question, world, database) for question in asked]
    return judged


def _opened(name: Database, chinook: Path) -> sqlite3.Connection:
    if name == "chinook":
        return sqlite3.connect(f"file:{chinook}?mode=ro", uri=True)
    made = sqlite3.connect(":memory:")
    made.executescript((SCHEMAS / f"{name}.sql").read_text())
    return made


def _world(name: Database, database: sqlite3.Connection) -> World:
    known = read_catalog(database)
    taught = SCHEMAS / f"{name}.yaml"
    glossary = read_glossary(taught.read_bytes(), known) if taught.exists() else Glossary()
    values = ValueIndex(read_samples(database, known))
    return World(known, open_access(known), values, glossary=glossary, today=TODAY)


def _judged(question: Question, world: World, database: sqlite3.Connection) -> Judged:
    outcome = settled(matcher.understand(question.question, world), world, database)
    match outcome:
        case matcher.CannotAnswer():
            has_answer = bool(question.gold or question.change)
            return Judged(question, "refused" if has_answer else "right", outcome.reason)
        case matcher.Ambiguous():
            meanings = " | ".join(reading.meaning for reading in outcome.readings)
            return Judged(question, "asked back", meanings)
        case matcher.Understood():
            sql = compile_plan(outcome.plan, world.catalog)
            is_right = (
                _has_rows(question, sql, database)
                if isinstance(outcome.plan, Select)
                else _makes_change(question, sql, database)
            )
            return Judged(
                question, "right" if is_right else "silently wrong", f"{sql.sql} {sql.parameters}"
            )


def _has_rows(question: Question, sql: Compiled, database: sqlite3.Connection) -> bool:
    rows = database.execute(sql.sql, sql.parameters).fetchall()
    return any(have_rows(database.execute(gold).fetchall(), rows) for gold in question.gold)


def have_rows(gold: Rows, rows: Rows) -> bool:
    """Whether the columns of the gold rows are among those of other rows, in any order of both."""
    if len(gold) != len(rows):
        return False
    if not gold:
        return True
    wanted = sorted(tuple(map(_cell, row)) for row in gold)
    given = [tuple(map(_cell, row)) for row in rows]
    own = [sorted(column) for column in zip(*given, strict=True)]
    alike = [
        [place for place, column in enumerate(own) if column == sorted(one)]
        for one in zip(*wanted, strict=True)
    ]
    return any(
        len(set(places)) == len(places)
        and sorted(tuple(row[place] for place in places) for row in given) == wanted
        for places in product(*alike)
    )


def _cell(value: object) -> str:
    """A number with two digits after the point, be it written as a text or not."""
    try:
        return f"{float(str(value)):.2f}"
    except ValueError:
        return str(value)


def _makes_change(question: Question, sql: Compiled, database: sqlite3.Connection) -> bool:
    if not question.change:
        return False
    after: list[list[tuple[str, str]]] = []
    for statement, parameters in ((question.change, {}), (sql.sql, sql.parameters)):
        with closing(sqlite3.connect(":memory:")) as copy:
            database.backup(copy)
            copy.execute(statement, parameters)
            after.append(sorted(_all_rows(copy)))
    return after[0] == after[1]


def _all_rows(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for name in read_catalog(database).tables:
        for row in database.execute(f'SELECT * FROM "{name}"'):
            yield name, repr(row)
