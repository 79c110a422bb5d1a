"""Asks `db_ask` without a model the questions of one part, on both engines, and says how it did.

    STEPWELL_DATA=/path/to/data python -m bench.nldb.evaluate --part open [--verbose] [--gold]

The open part has the questions of `plain.toml` as well, which are put to the matcher. An answer is
right, wrong, refused or asked back. A wrong answer without a word of doubt is silently wrong; there
may be two of a hundred of these. The held-out part is run once, at the end.
"""

import argparse
import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.nldb import asked, gold, plain
from bench.nldb.check_gold import DATABASE
from bench.nldb.databases import read_catalog, read_samples
from bench.nldb.questions import Question, load
from bench.nldb.settling import settled
from stepwell.nldb.keyless import matcher
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.model import open_access
from stepwell.nldb.plan.model import Plan, Select


def main() -> int:
    """Print the shares; the exit status is 1 when more than 2 % are silently wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--part", choices=("open", "held_out"), required=True)
    parser.add_argument(
        "--gold", action="store_true", help="a scripted model answers the gold SQL instead"
    )
    parser.add_argument("--verbose", action="store_true", help="what became of each question")
    given = parser.parse_args()
    path = Path(os.environ.get("STEPWELL_DATA", "")) / DATABASE
    if not path.exists():
        print(f"STEPWELL_DATA names no folder with {DATABASE}")
        return 2
    questions = [question for question in load().question if question.part == given.part]
    if given.gold:
        plans = plans_of(questions, path)
        return _print_gold(asyncio.run(gold.evaluate(questions, plans, path.resolve())))
    told: dict[str, list[asked.Judged | plain.Judged]] = {}
    for one in asyncio.run(asked.evaluate(questions, path.resolve())):
        told.setdefault(f"chinook.toml, {one.dialect}", []).append(one)
    if given.part == "open":
        for other in plain.evaluate(plain.load(), path):
            told.setdefault(f"plain.toml, {other.question.database}", []).append(other)
    statuses = [_print_shares(file, judged, verbose=given.verbose) for file, judged in told.items()]
    return max(statuses)


def _print_shares(
    file: str, judged: Sequence[asked.Judged | plain.Judged], *, verbose: bool
) -> int:
    """Print how many had which verdict; the status is 1 where too many are silently wrong."""
    for one in judged if verbose else ():
        print(f"{one.verdict:15} {one.question.question}\n    {one.said}")
    shares = Counter(one.verdict for one in judged)
    verdicts: tuple[asked.Verdict, ...] = ("right", "refused", "asked back", "silently wrong")
    print(file)
    for verdict in verdicts:
        share = f"{shares[verdict]:3} of {len(judged)}: {shares[verdict] / len(judged):.0%}"
        print(f"  {verdict:15} {share}")
    return 1 if shares["silently wrong"] > len(judged) * 0.02 else 0


def _print_gold(results: Sequence[gold.Same]) -> int:
    """Print the shares by engine; the status is 1 where fewer than 97 % have the same rows."""
    enough = True
    for one in results:
        if not one.is_same:
            print(f"{one.id} on {one.dialect}: {one.problem or 'other rows'}")
    for dialect in ("sqlite", "postgres"):
        of_it = [one for one in results if one.dialect == dialect]
        same = sum(one.is_same for one in of_it)
        enough = enough and same >= 0.97 * len(of_it)
        print(f"{dialect:9} the same rows: {same} of {len(of_it)}")
    return 0 if enough else 1


def plans_of(questions: Sequence[Question], path: Path) -> dict[str, Plan]:
    """The plans that read, of the questions that are understood, by their ids."""
    with _opened(path) as (world, database):
        outcomes = {
            one.id: settled(matcher.understand(one.question, world), world, database)
            for one in questions
        }
    return {
        id: outcome.plan
        for id, outcome in outcomes.items()
        if isinstance(outcome, matcher.Understood) and isinstance(outcome.plan, Select)
    }


@contextmanager
def _opened(path: Path) -> Iterator[tuple[World, sqlite3.Connection]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        known = read_catalog(database)
        yield (
            World(known, open_access(known), ValueIndex(read_samples(database, known))),
            database,
        )


if __name__ == "__main__":
    raise SystemExit(main())
