"""Verbs that a date is called by."""

from itertools import pairwise

from stepwell.nldb.keyless.frame import Columns
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.world import ColumnName
from stepwell.nldb.link.names import noun
from stepwell.nldb.link.words import stem, words_of_name

_PARTICLES = frozenset(("up", "out", "in", "off", "on", "over"))


def dated(reader: Reader, at: int) -> tuple[int, Columns] | None:
    """A verb that a date is called by: `hired` and hire_date, `shipped` and shipped_at."""
    word = reader.word(at)
    world = reader.world
    if end := reader.says(
        at,
        "joined the company",
        "joined us",
        "joined the team",
        "started working",
        "join the company",
        "started with us",
        "joined",
    ):
        stems = {"hir", "hire", "join", "start", "employ", "enter"}
    elif word == "born":
        end, stems = at + 1, {"birth", "born", "dob", "birthday", "birthdate"}
    elif word.endswith("ed") or word in (
        "sold",
        "due",
        "sent",
        "paid",
        "bought",
        "made",
        "written",
    ):
        end, stems = at + 1, {stem(word)}
    else:
        return None
    if reader.word(end) in _PARTICLES and _has_particle(reader, stems, reader.word(end)):
        end, stems = end + 1, stems
    columns: Columns = ()
    for name in world.catalog.tables:
        for column in world.dates(name):
            words = {stem(part) for part in words_of_name(column.name)} | set(
                words_of_name(column.name)
            )
            if words & stems and not set(noun(world.table(name).bare)) & stems:
                columns += (ColumnName(name, column.name, 0),)
    return (end, columns) if columns else None


def _has_particle(reader: Reader, stems: set[str], particle: str) -> bool:
    """Whether a date is called by the verb with its particle: `signed up` and signed_up_on."""
    for name in reader.world.catalog.tables:
        for column in reader.world.dates(name):
            words = words_of_name(column.name)
            if any(stem(a) in stems and b == particle for a, b in pairwise(words)):
                return True
    return False
