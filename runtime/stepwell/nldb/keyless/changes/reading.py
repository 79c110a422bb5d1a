"""Parts of a change, read: rows by their names, and new values as they were written."""

from collections.abc import Iterator

from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.tokens import Token
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.values import Hit
from stepwell.nldb.plan.model import Scalar

_GOES_ON = frozenset(
    "and or to but where if when unless except only not".split()  # noqa: SIM905
)


def named(reader: Reader, at: int) -> Iterator[tuple[int, tuple[tuple[Hit, ...], tuple[Hit, ...]]]]:
    """Rows by their names, alone or after the name of their owner: Nirvana's Come As You Are."""
    bare = reader.skip(at)
    for end, tables, _ in [*reader.tables(bare), *((place, (), False) for place in {at, bare})]:
        for stop, hits in reader.values(end):
            kept = tuple(
                h for h in hits if _is_name(reader.world, h) and (not tables or h.table in tables)
            )
            if kept:
                yield stop, (kept, ())
                for last, names, _ in reader.tables(stop):
                    if own := tuple(h for h in kept if h.table in names):
                        yield last, (own, ())
            if reader.tokens[stop : stop + 1] and reader.tokens[stop].possessive and kept:
                for further, (inner, none) in named(reader, stop + 1):
                    if not none:
                        yield further, (inner, kept)


def _is_name(world: World, hit: Hit) -> bool:
    return hit.columns == world.label(hit.table)


def conditions(hit: Hit) -> list[tuple[str, Scalar]]:
    """What the columns of a row that was found are."""
    return list(zip(hit.columns, hit.values, strict=True))


def rest(reader: Reader, at: int) -> str:
    """The rest of the words as they were written; only what is quoted may have marks in it."""
    tokens = list(reader.tokens[at:])
    while tokens and tokens[-1].is_mark:
        tokens.pop()
    if tokens and tokens[-1].word == "please":
        tokens.pop()
    if any(token.is_sign for token in tokens) or any(map(_is_apart, tokens)):
        return ""
    if len(tokens) == 1:
        return tokens[0].text
    if any(token.word in _GOES_ON for token in tokens if not token.quoted):
        return ""  # `to Rome and the country to Italy`: whoever means that as a text quotes it
    plain = all(not token.is_mark and not token.possessive and not token.quoted for token in tokens)
    return "".join(map(_as_said, tokens)).lstrip() if plain else ""


def _is_apart(token: Token) -> bool:
    """Whether signs before a token were dropped that do not join it to the one before."""
    return not token.is_glued and bool(token.dropped.strip("'\u2018\u2019`"))


def _as_said(token: Token) -> str:
    return (token.dropped if token.is_glued else " ") + token.text
