"""What people teach a datasource: one document with a glossary, metrics and verified queries.

    terms: { employees: [rep] }
    metrics: { revenue: { table: order_items, value: sum(unit_price * quantity) } }
    verified:
      - question: orders from {city}
        sql: SELECT id FROM orders WHERE ship_city = :city
        by: ann

The keys besides `verified` are those of `stepwell.nldb.glossary`. It is checked when it is taught,
and every mistake is told at once. When the schema changes afterwards, what no longer fits is passed over.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from stepwell.definitions.containers import Key, ListOf, Record
from stepwell.definitions.loader import load
from stepwell.definitions.problems import InvalidDefinition, Path, Problem
from stepwell.definitions.shapes import Text
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json
from stepwell.nldb.glossary import GLOSSARY, Glossary, glossary_of
from stepwell.nldb.guard import Refused, check_read
from stepwell.nldb.keyless.world import visible
from stepwell.nldb.model import Access, Catalog, Dialect
from stepwell.nldb.verified import Unusable, Verified, check_verified

MOST_VERIFIED: Final = 1000

TAUGHT: Final = Record(
    "what a datasource is taught",
    {
        **GLOSSARY.keys,
        "verified": Key(
            ListOf(
                Record(
                    "a verified query",
                    {
                        "question": Key(
                            Text("a question"),
                            "The question; `{name}` is a slot for a value.",
                            required=True,
                        ),
                        "sql": Key(
                            Text("a query"),
                            "SQL that answers it, with `:name` for each slot.",
                            required=True,
                        ),
                        "by": Key(Text("a name"), "Who has checked it."),
                    },
                    example="{ question: how many orders, sql: SELECT count(*) FROM orders }",
                ),
                most=MOST_VERIFIED,
            ),
            "Questions with SQL that somebody has checked.",
        ),
    },
)


class Taught(Struct, frozen=True):
    """What of it fits the schema as it is."""

    glossary: Glossary = Glossary()
    verified: tuple[Verified, ...] = ()


NOTHING_TAUGHT: Final = Taught()


class _Lesson(Struct, frozen=True):
    """As it is stored: the document, and the schema that its queries were checked on."""

    source: str
    fingerprint: str
    dialect: Dialect
    by: str


def lesson(source: bytes, catalog: Catalog, access: Access, *, by: str) -> bytes:
    """A document as it is stored, if it fits what its author may read.

    Raises:
        InvalidDefinition: with every problem, in the order of the source.
    """
    _, problems = _examine(source, catalog, access, catalog.fingerprint, by)
    if problems:
        raise InvalidDefinition(problems)
    kept = _Lesson(source.decode(), catalog.fingerprint, catalog.dialect, by)
    return msgspec.json.encode(kept)


def read_taught(stored: bytes, catalog: Catalog, access: Access) -> Taught:
    """What was stored, as far as it fits the catalog, and what the asker may read of it."""
    kept = msgspec.json.decode(stored, type=_Lesson)
    taught, _ = _examine(kept.source.encode(), catalog, access, kept.fingerprint, kept.by)
    return taught


def source_of(stored: bytes) -> str:
    """The document that was taught, as its author wrote it."""
    return msgspec.json.decode(stored, type=_Lesson).source


def _examine(
    source: bytes, catalog: Catalog, access: Access, fingerprint: str, by: str
) -> tuple[Taught, tuple[Problem, ...]]:
    sheet = Sheet(load(source))
    parsed = TAUGHT.read(sheet.document.value, (), sheet)
    if not isinstance(parsed, dict):
        return NOTHING_TAUGHT, sheet.report.problems()
    glossary = glossary_of(parsed, sheet, visible(catalog, access))
    reader = _Verifier(sheet, catalog, access)
    verified = reader.read(parsed.get("verified", UNSET), fingerprint, by)
    return Taught(glossary, verified), sheet.report.problems()


class _Verifier:
    """Reads verified queries; what is wrong with one goes to the report."""

    def __init__(self, sheet: Sheet, catalog: Catalog, access: Access) -> None:
        self._sheet = sheet
        self._catalog = catalog
        self._access = access

    def read(self, parsed: Json, fingerprint: str, by: str) -> tuple[Verified, ...]:
        """Those that may be used."""
        found: list[Verified] = []
        for number, entry in enumerate(parsed if isinstance(parsed, list) else ()):
            if entry is UNSET or UNSET in (entry.get("question", UNSET), entry.get("sql", UNSET)):
                continue
            one = Verified(
                question=entry["question"],
                sql=entry["sql"].strip(),
                dialect=self._catalog.dialect,
                fingerprint=fingerprint,
                by=_name(entry, by),
            )
            if self._is_usable(one, ("verified", number)):
                found.append(one)
        return tuple(found)

    def _is_usable(self, one: Verified, path: Path) -> bool:
        try:
            check_verified(one)
        except Unusable as error:
            self._sheet.wrong((*path, "question"), str(error))
            return False
        try:
            values = dict.fromkeys(one.slots, "x")
            check_read(one.sql, self._catalog, self._access, params=values)
        except Refused as error:
            self._sheet.wrong((*path, "sql"), f"{error.message} (rule {error.rule})", error.hint)
            return False
        return True


def _name(entry: Mapping[str, Json], by: str) -> str:
    name = entry.get("by", UNSET)
    return by if name is UNSET else str(name)
