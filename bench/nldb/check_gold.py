"""Check that the gold SQL of the questions gives the expected answers.

`STEPWELL_DATA` names the folder that has `chinook.sqlite`; without it only the file is checked:

    STEPWELL_DATA=/path/to/data python -m bench.nldb.check_gold
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.nldb.answers import Gold, Unreadable, canonical_text, digest
from bench.nldb.questions import (
    Answer,
    CannotAnswer,
    Clarify,
    Question,
    QuestionSet,
    Write,
    dealt,
    load,
)

DATABASE = "chinook.sqlite"
INLINE_AT_MOST = 15


def main() -> int:
    """Print what is wrong, one line each; the exit status is 1 if anything is."""
    asked = load()
    problems = list(mistakes_in_file(asked))
    folder = os.environ.get("STEPWELL_DATA")
    if folder is None or not (path := Path(folder) / DATABASE).exists():
        print(f"passed over the gold SQL: STEPWELL_DATA names no folder with {DATABASE}")
    else:
        problems += mistakes_in_answers(asked, path)
    print(*problems, f"{len(asked.question)} questions, {len(problems)} problems", sep="\n")
    return 1 if problems else 0


def mistakes_in_file(asked: QuestionSet) -> Iterator[str]:
    """What is wrong with the file itself."""
    ids = [question.id for question in asked.question]
    yield from (f"{id}: two questions have this id" for id in set(ids) if ids.count(id) > 1)
    parts = dealt(asked.question, seed=asked.seed)
    for question in asked.question:
        if question.part != parts[question.id]:
            yield f"{question.id}: seed {asked.seed} deals it to part {parts[question.id]}"
        for gold in golds(question):
            yield from (f"{question.id}: {mistake}" for mistake in _mistakes_in_gold(gold))
        if isinstance(question, Clarify) and len({r.sha256 for r in question.readings}) < 2:
            yield f"{question.id}: its readings do not differ in their answers"


def golds(question: Question) -> list[Gold]:
    """The expected answers of a question; a write has what its table is afterwards."""
    match question:
        case Answer():
            return [question.gold]
        case Clarify():
            return list(question.readings)
        case CannotAnswer():
            return []
        case Write():
            return [question.after]


def _mistakes_in_gold(gold: Gold) -> Iterator[str]:
    if (gold.rows is not None) != (0 < gold.row_count <= INLINE_AT_MOST):
        yield f"rows are inline up to {INLINE_AT_MOST}, and an answer has at least one"
    if gold.rows is None:
        if "FirstName" in gold.columns:
            yield "names of people must be inline, as an answer may join them"
        return
    rows: list[list[object]] = json.loads(gold.rows)
    text = canonical_text(rows, gold.types, ordered=gold.ordered)
    if json.loads(text) != rows or len(rows) != gold.row_count:
        yield "the inline rows are not canonical, or not as many as row_count"
    if digest(text) != gold.sha256:
        yield "the SHA-256 is not that of the inline rows"


def mistakes_in_answers(asked: QuestionSet, path: Path) -> Iterator[str]:
    """What the database at `path` answers otherwise than expected."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for question in asked.question:
            try:
                yield from (f"{question.id}: {it}" for it in _differences(question, database))
            except (sqlite3.Error, Unreadable) as failure:
                yield f"{question.id}: {failure}"


def _differences(question: Question, database: sqlite3.Connection) -> Iterator[str]:
    if isinstance(question, Write):
        yield from _differences_of_write(question, database)
        return
    for gold in golds(question):
        yield from _differences_of_rows(gold, database)


def _differences_of_rows(gold: Gold, database: sqlite3.Connection) -> Iterator[str]:
    rows = database.execute(gold.sql).fetchall()
    text = canonical_text(rows, gold.types, ordered=gold.ordered)
    if len(rows) != gold.row_count:
        yield f"expected {gold.row_count} rows, got {len(rows)}"
    elif digest(text) != gold.sha256:
        yield f"expected {_in_one_line(gold)}, got {text if gold.rows else digest(text)}"


def _in_one_line(gold: Gold) -> str:
    if gold.rows is None:
        return gold.sha256
    return canonical_text(json.loads(gold.rows), gold.types, ordered=gold.ordered)


def _differences_of_write(write: Write, database: sqlite3.Connection) -> Iterator[str]:
    """Writes go to a copy in memory that holds its foreign keys."""
    with closing(sqlite3.connect(":memory:")) as copy:
        database.backup(copy)
        copy.execute("PRAGMA foreign_keys = ON")
        if write.where is not None:
            key = ", ".join(f'"{name}"' for name in write.key)
            touched = f'SELECT {key} FROM "{write.table}" WHERE {write.where} ORDER BY {key}'
            found = [list(row) for row in copy.execute(touched)]
            if found != json.loads(write.keys or "[]"):
                yield f"expected its WHERE to find {write.keys}, found {json.dumps(found)}"
        changes = copy.execute(write.sql).rowcount
        if changes != write.changes:
            yield f"expected {write.changes} changed rows, got {changes}"
        yield from _differences_of_rows(write.after, copy)


if __name__ == "__main__":
    raise SystemExit(main())
