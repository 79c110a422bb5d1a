"""Marks, fillers and small words."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    Copies,
    Frame,
    Money,
    Named,
    Target,
)
from stepwell.nldb.keyless.meanings.roots import copies_of
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.names import is_done_by
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.times import times


def mark(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """Punctuation; a sentence that ends takes along what was named just before."""
    token = reader.tokens[at]
    if token.is_mark:
        ends = token.word in ".?!:;"
        yield (
            at + 1,
            replace(frame, near=() if ends else frame.near, last="." if ends else frame.last),
        )
    elif token.possessive:
        yield at + 1, frame


def filler(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """Words and phrases that carry nothing of their own."""
    if end := reader.one_of(at, english.FILLER_PHRASES):
        yield end, frame
        return
    word = reader.word(at)
    if reader.tokens[at].text.isupper() and len(word) > 1 and reader.values(at):
        return  # `in AT`, where AT is Austria
    if word in _PREPOSITIONS and reader.word(at + 1) in ("and", "or", "but"):
        return  # `with and without`
    if word in english.FILLERS:
        lead = frame.lead or (
            word if word in ("who", "what", "which", "list", "show", "whose") else ""
        )
        who = frame.who or (word == "who" and not frame.subject and not frame.outputs)
        yield at + 1, replace(frame, lead=lead, who=who)


_PREPOSITIONS = frozenset(["with", "in", "on", "at", "for", "from", "to", "of", "into"])


def and_also(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`and` between things of the same kind."""
    if reader.word(at) in ("and", "&") and frame.last in (
        "subject",
        "output",
        "slot",
        "measure",
        "sorting",
        "group",
        ".",
    ):
        yield at + 1, replace(frame, last="and:" + frame.last)
    if reader.word(at) == "and" and reader.says(at + 1, "how many", "how much"):
        yield at + 1, frame


def light_verb(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """Verbs that only say that things belong together."""
    word = reader.word(at)
    if word in english.HAVE and frame.subject:
        yield at + 1, frame
    if (
        word in english.LIVE
        and (frame.subject or frame.who)
        and reader.word(at + 1) in ("in", "at", "near", "", "?", ".")
    ):
        yield at + 1, frame
    if word in ("belong", "belongs", "belonging") and reader.word(at + 1) == "to":
        yield at + 2, frame
    end = reader.says(at, word, f"{word} in") if word in english.GENERATE else 0
    if end and reader.says(reader.skip(end, ("the",)), "most", "least", "highest", "lowest"):
        yield end, frame
    if word in english.SELL and any(_is_sold(reader, m.target) for m in frame.measures):
        yield at + 1, frame
    if (
        word in english.DONE
        and frame.subject
        and all(map(reader.world.is_transaction, frame.subject))
    ):
        yield at + 1, replace(frame, notes=(*frame.notes, "done"))
    if word in ("ones", "one") and frame.last == "slot":
        yield at + 1, frame
    if word in ("every", "each") and reader.tables(at + 1) and not _is_begun(frame):
        yield at + 1, frame
    if word in ("values", "value") and frame.last == "output":
        yield at + 1, frame
    if word == "only" and next(times(reader, at + 1), None):
        yield at + 1, frame
    by_whom = reader.skip(at + 1)
    if reader.tables(by_whom) and (
        is_done_by(reader, at, frame)
        or (word == "by" and reader.word(at + 1) in ("a", "an", "any"))
    ):
        yield at + 1, frame
    if (
        word in english.WE_DO
        and reader.word(at - 1) in ("we", "ever", "you")
        and frame.last != "ask"
    ):
        yield at + 1, frame
    for text in ("called", "named", "entitled", "titled", "with the name", "by the name of"):
        if (end := reader.says(at, text)) and reader.values(reader.skip(end)):
            yield end, frame


def _is_begun(frame: Frame) -> bool:
    """Whether something was asked for already, of which there may be one for each."""
    return bool(
        frame.subject or frame.outputs or frame.measures or frame.ask in ("count", "measure")
    )


def _is_sold(reader: Reader, target: Target) -> bool:
    """Whether a figure is of pieces that were sold."""
    if isinstance(target, Named):
        lines = {table for table, _ in copies_of(reader.world)}
        return all(column.table in lines for column in target.columns)
    return isinstance(target, Copies)


def decimals(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`in dollars`, where money is asked for."""
    for end in (reader.says(at, "in dollars", "in euros", "in usd", "in money"),):
        money = any(isinstance(m.target, Money) for m in frame.measures)
        if end and money:
            yield end, frame


def only_different(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`different`, `each one once`."""
    end = reader.says(
        at, "different", "distinct", "unique", "list each one once", "each one once", "each only once",
        "without duplicates", "without repeats", "no duplicates", "only once", "each once", "list each once",
    )  # fmt: skip
    if end:
        yield end, replace(frame, distinct=True)
