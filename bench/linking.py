"""Finding the tables of a question in a schema of a thousand: how many are found, and how fast.

The schema and the questions are generated from a seed. A question names tables and columns as
people do (in the plural, by another word, by a value), and its gold tables are those that a query
needs, with those in between that it does not name.
"""

# ruff: noqa: SIM905

import random
import statistics
import time
from typing import Final, NamedTuple

from stepwell.nldb.link.linker import MOST_TABLES, Linker
from stepwell.nldb.link.values import Sample, ValueIndex
from stepwell.nldb.model import Catalog, Column, ForeignKey, Kind, Table, catalog

TABLES: Final = 1000
QUESTIONS: Final = 400

_OWNERS: Final = (
    "customer vendor project employee warehouse campaign contract service asset vehicle student "
    "patient branch partner supplier tenant event course clinic region machine sensor policy "
    "shipment subscription"
).split()
_THINGS: Final = (
    "invoice order payment address contact note task document schedule rating review claim visit "
    "budget target report alert reading session account plan item transfer incident inspection "
    "booking certificate log message price discount return category request approval measurement "
    "salary profile goal"
).split()
_SAID: Final = {
    "customer": "client", "employee": "colleague", "supplier": "vendor", "invoice": "bill",
    "item": "article", "salary": "wage", "order": "purchase",
}  # fmt: skip
_ATTRIBUTES: Final[tuple[tuple[str, Kind], ...]] = (
    ("name", "text"), ("status", "text"), ("created_at", "timestamp"), ("amount", "decimal"),
    ("quantity", "integer"), ("due_date", "date"), ("priority", "integer"), ("currency", "text"),
    ("city", "text"), ("country", "text"), ("email", "text"), ("phone", "text"),
    ("weight", "float"), ("duration_minutes", "integer"), ("description", "text"),
    ("score", "integer"), ("start_date", "date"), ("end_date", "date"), ("owner_name", "text"),
    ("postal_code", "text"), ("discount_percent", "decimal"), ("serial_number", "text"),
    ("temperature", "float"), ("mileage", "integer"), ("capacity", "integer"),
)  # fmt: skip
_SYLLABLES: Final = "ba ke lo mi nu ra se ti vo zu dar fen gol hal jin kor".split()


class Asked(NamedTuple):
    """A question and the tables that a query for it needs."""

    question: str
    tables: frozenset[str]


async def measure_linking(database: str, *, quick: bool) -> dict[str, float]:
    """The share of gold tables among the first twelve, and the time of a question when warm."""
    dice = random.Random(20_25)
    known = thousand_tables(dice)
    samples = sampled(known, dice)
    questions = asked(known, samples, dice, 20 if quick else QUESTIONS)
    began = time.perf_counter()
    linker = Linker(known, ValueIndex(samples))
    made = time.perf_counter() - began
    linker.link(questions[0].question)
    found, times = [], []
    for one in questions:
        began = time.perf_counter()
        linked = linker.link(one.question, most=MOST_TABLES)
        times.append(time.perf_counter() - began)
        names = {table.name for table in linked.tables}
        found.append(len(one.tables & names) / len(one.tables))
    return {
        "linking.recall_at_12": statistics.mean(found),
        "linking.all_found_share": sum(share == 1 for share in found) / len(found),
        "linking.warm_p50_ms": statistics.median(times) * 1000,
        "linking.warm_p99_ms": statistics.quantiles(times, n=100)[98] * 1000,
        "linking.build_s": made,
    }


def thousand_tables(dice: random.Random) -> Catalog:
    """Tables with names of two words; each owner has one, to which its things refer."""
    tables: dict[str, Table] = {}
    for owner in _OWNERS:
        tables[owner] = _table(owner, (), dice)
    names = [f"{owner}_{thing}" for owner in _OWNERS for thing in _THINGS][: TABLES - len(_OWNERS)]
    for name in names:
        owner = name.partition("_")[0]
        others = [t for t in tables if t != owner and t.startswith(owner + "_")]
        refers = [owner, *dice.sample(others, min(len(others), dice.choice((0, 0, 1, 2))))]
        if dice.random() < 0.1:
            refers.append(dice.choice([o for o in _OWNERS if o != owner]))
        tables[name] = _table(name, refers, dice)
    return catalog(dialect="postgres", version="18", default_schema="public", tables=tables)


def _table(name: str, refers: list[str] | tuple[()], dice: random.Random) -> Table:
    columns = [Column(name=f"{name}_id", kind="integer", nullable=False)]
    columns += [Column(name=a, kind=k) for a, k in dice.sample(_ATTRIBUTES, dice.randint(4, 10))]
    if not any(column.name == "name" for column in columns):
        columns.append(Column(name="name", kind="text"))
    columns += [Column(name=f"{other}_ref", kind="integer") for other in refers]
    comment = f"Every {name.replace('_', ' ')} that was recorded." if dice.random() < 0.3 else ""
    return Table(
        name=name,
        schema="public",
        columns=tuple(columns),
        primary_key=(f"{name}_id",),
        foreign_keys=tuple(
            ForeignKey(columns=(f"{other}_ref",), table=other, referred=(f"{other}_id",))
            for other in refers
        ),
        comment=comment,
    )


def sampled(known: Catalog, dice: random.Random) -> list[Sample]:
    """A few names of rows for each table, some of them there in more than one."""
    samples = []
    for name in known.tables:
        values = {_name(dice): 1 for _ in range(20)}
        rows = tuple(((value,), count) for value, count in values.items())
        samples.append(Sample(name, ("name",), rows))
    return samples


def _name(dice: random.Random) -> str:
    return " ".join("".join(dice.choices(_SYLLABLES, k=3)).title() for _ in range(2))


def asked(known: Catalog, samples: list[Sample], dice: random.Random, count: int) -> list[Asked]:
    """Questions over one table, over two that are joined, over two with a third in between."""
    by_name = {sample.table: sample for sample in samples}
    makers = (_of_one, _of_two, _of_three)
    return [dice.choice(makers)(known, by_name, dice) for _ in range(count)]


def _of_one(known: Catalog, samples: dict[str, Sample], dice: random.Random) -> Asked:
    name = dice.choice(list(known.tables))
    column = dice.choice([c.name for c in known.tables[name].columns[1:5]])
    said = column.replace("_", " ")
    form = dice.choice(
        ("What is the average {c} of the {t}?", "List the {t} by {c}", "How many {t} have no {c}?")
    )
    return Asked(form.format(t=_said(name, dice), c=said), frozenset({name}))


def _of_two(known: Catalog, samples: dict[str, Sample], dice: random.Random) -> Asked:
    name = dice.choice([n for n, t in known.tables.items() if t.foreign_keys])
    other = dice.choice(known.tables[name].foreign_keys).table
    if dice.random() < 0.3:
        value = dice.choice(samples[other].rows)[0][0]
        return Asked(f"Which {_said(name, dice)} belong to {value}?", frozenset({name, other}))
    form = dice.choice(("How many {t} are there for each {o}?", "Show the {o} with the most {t}"))
    return Asked(form.format(t=_said(name, dice), o=_said(other, dice)), frozenset({name, other}))


def _of_three(known: Catalog, samples: dict[str, Sample], dice: random.Random) -> Asked:
    """Two things, and what both refer to, or what leads from the one to the other."""
    while True:
        name = dice.choice([n for n, t in known.tables.items() if t.foreign_keys])
        middle = dice.choice(known.tables[name].foreign_keys).table
        further = [key.table for key in known.tables[middle].foreign_keys if key.table != name]
        direct = {key.table for key in known.tables[name].foreign_keys}
        if further and further[0] not in direct:
            break
        others = [
            n for n, t in known.tables.items()
            if n != name and n not in direct and [k.table for k in t.foreign_keys] == [middle]
        ]  # fmt: skip
        if others:
            further = [dice.choice(others)]
            break
    form = dice.choice(("Which {t} go with which {o}?", "Count the {t} of every {o}"))
    question = form.format(t=_said(name, dice), o=_said(further[0], dice))
    return Asked(question, frozenset({name, middle, further[0]}))


def _said(name: str, dice: random.Random) -> str:
    words = [_SAID[w] if w in _SAID and dice.random() < 0.25 else w for w in name.split("_")]
    last = words[-1]
    words[-1] = (
        last[:-1] + "ies" if last.endswith("y") else last + ("es" if last[-1] in "sxh" else "s")
    )
    return " ".join(words)
