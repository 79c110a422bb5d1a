"""What may be a JSON Schema here: 2020-12, complete in itself, and within bounds.

The validator is native code and recurses on its thread's stack, which ends the process when it
is used up. How deep it can go is the product of two things, so both are bounded: how many
subschemas look at the same part of a value one after another, and how many levels a value has.
How long it takes is bounded likewise: by how often subschemas look at the same part of a value.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest
from stepwell.tools.schema_misfits import Misfit, misfits, named
from stepwell.tools.schema_visits import MAX_VISITS, Visits

MAX_SIZE = 256 * 1024
"""Bytes of JSON that one schema may have."""

MAX_DEPTH = 64
"""Levels of lists and objects that one schema may have, and subschemas that may follow one
another, through references too, without going deeper into the value."""

MAX_PATTERNS = 256
"""Regular expressions that one schema may have; each may take a MiB once compiled."""

MAX_VALUE_DEPTH = 200
"""Levels of lists and objects of a value that is checked against a schema with references."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_MAX_FRAMES = 1024
"""Subschemas that may be at work inside one another: 2 MiB of stack at the worst."""

# Patterns without lookaround and backreferences take time linear in the text. The others, which
# generators of schemas like to write, are given up after so many steps back.
_PATTERNS = FancyRegexOptions(backtrack_limit=10_000, size_limit=1024 * 1024)

_METASCHEMA = Draft202012Validator(
    {"$ref": DIALECT}, offline=True, validate_formats=True, pattern_options=_PATTERNS
)


class Checked(Struct, frozen=True):
    """A mapping that is a schema of ours."""

    mapping: dict[str, Any]
    """As plain JSON."""
    validator: Draft202012Validator
    has_references: bool
    levels: int
    """Levels of a value that stack and time suffice for; without references they always do."""


def checked(mapping: Mapping[str, Any]) -> Checked:
    """The schema, compiled.

    Raises:
        InvalidRequest: INVALID_DEFINITION, as `stepwell.tools.schema.Schema`.
    """
    plain = _plain(mapping)
    _check_dialect(plain)
    if found := mistakes(plain):
        raise _mistaken(found[0])
    reach = _Reach(plain)
    try:
        validator = Draft202012Validator(plain, offline=True, pattern_options=_PATTERNS)
    except ValidationError as error:
        raise _mistaken(*misfits([error], value=plain, schema={})) from error
    levels = min(MAX_VALUE_DEPTH, _MAX_FRAMES // reach.longest)
    if reach.has_references:
        levels = Visits(plain, same=reach.same, counts=reach.visits).levels(levels)
    return Checked(
        mapping=plain,
        validator=validator,
        has_references=reach.has_references,
        levels=levels,
    )


def mistakes(value: Json) -> tuple[Misfit, ...]:
    """Where a JSON value differs from what a JSON Schema may be; () where it does not.

    References are not looked at, and neither is what is nested too deeply to be a schema.
    """
    if _depth(value, MAX_DEPTH) > MAX_DEPTH or _METASCHEMA.is_valid(value):
        return ()
    return misfits(_METASCHEMA.iter_errors(value), value=value, schema={})


def _mistaken(mistake: Misfit) -> InvalidRequest:
    return _invalid(named(mistake.path), f"it {mistake.text}")


def _invalid(place: str, reason: str) -> InvalidRequest:
    where = f" at {place}" if place else ""
    return InvalidRequest(
        f"the JSON Schema is not valid{where}: {reason}",
        code=Code.INVALID_DEFINITION,
        detail={"schema": f"{place}: {reason}" if place else reason},
    )


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    if _depth(mapping, MAX_DEPTH) > MAX_DEPTH:
        raise _invalid("", f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        text = msgspec.json.encode(mapping)
    except (TypeError, ValueError) as error:
        raise _invalid("", f"it is not JSON: {error}") from error
    if len(text) > MAX_SIZE:
        raise _invalid("", f"it has {len(text)} bytes, the limit is {MAX_SIZE}")
    return msgspec.json.decode(text, type=dict[str, Any])


def _check_dialect(part: Mapping[str, Any]) -> None:
    dialect = part.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != DIALECT:
        raise _invalid("$schema", f"only {DIALECT} is understood, leave $schema out")


def _depth(part: object, bound: int) -> int:
    """Levels below and including this one; stops counting beyond `bound`."""
    if bound < 0 or not isinstance(part, Mapping | list | tuple):
        return 0
    inner = part.values() if isinstance(part, Mapping) else part
    return 1 + max((_depth(each, bound - 1) for each in inner), default=0)


_REFERENCES = ("$ref", "$dynamicRef")

# Where subschemas stand, and which of them look at the same value as the schema around them.
_SAME = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_SINGLE = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


_ANYTHING: dict[str, Any] = {}


class _Reach:
    """Follows every reference of a schema, in subschemas that nothing refers to as well."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.has_references = False
        self._root = root
        self._anchors = {
            part[key]: part
            for part in _all(root)
            for key in ("$anchor", "$dynamicAnchor")
            if key in part
        }
        self._patterns = 0
        self._rows: dict[int, int] = {}
        self.same: dict[int, list[dict[str, Any]]] = {}
        """The subschemas that look at the same value as another one, by its identity."""
        self.visits: dict[int, int] = {}
        """How many they are, with those that they contain and refer to; each time counts."""
        self._open: set[int] = set()
        self._ahead = [root]
        self._follow()
        self.longest = max(self._rows.values())
        """Subschemas in the longest row that look at the same value."""

    def _follow(self) -> None:
        seen: set[int] = set()
        while self._ahead:
            part = self._ahead.pop()
            if id(part) in seen:
                continue
            seen.add(id(part))
            self._check(part)
            self._row(part)
            self._ahead.extend(inner for _, inner in _subschemas(part))

    def _check(self, part: dict[str, Any]) -> None:
        if "$id" in part and part is not self._root:
            raise _invalid("$id", "only the root may have an $id; use $defs and #/$defs/NAME")
        _check_dialect(part)
        by_name = part.get("patternProperties")
        self._patterns += "pattern" in part
        self._patterns += len(by_name) if isinstance(by_name, dict) else 0
        if self._patterns > MAX_PATTERNS:
            raise _invalid("pattern", f"the schema has more than {MAX_PATTERNS} patterns")

    def _row(self, part: dict[str, Any]) -> int:
        """Subschemas in the longest row that begins here."""
        if id(part) in self._rows:
            return self._rows[id(part)]
        if len(self._open) >= MAX_DEPTH:
            raise _too_long()
        self._open.add(id(part))
        same = [inner for key, inner in _subschemas(part) if key in _SAME]
        same += [self._target(key, part[key]) for key in _REFERENCES if key in part]
        row = 1 + max(map(self._row, same), default=0)
        self._open.remove(id(part))
        self.same[id(part)] = same
        self.visits[id(part)] = 1 + sum(self.visits[id(inner)] for inner in same)
        if self.has_references and self.visits[id(part)] > MAX_VISITS:
            raise _invalid("", f"subschemas look at one value more than {MAX_VISITS} times")
        if row > MAX_DEPTH:
            raise _too_long()
        self._rows[id(part)] = row
        return row

    def _target(self, key: str, reference: Json) -> dict[str, Any]:
        self.has_references = True
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise _invalid(
                key,
                f"{reference!r} lies outside the schema; nothing is fetched, "
                "put what it names under $defs and refer to #/$defs/NAME",
            )
        name = unquote(reference[1:])
        try:
            target = self._anchors[name] if name and name[0] != "/" else self._at(name)
        except (LookupError, TypeError, ValueError) as error:
            raise _invalid(key, f"{reference!r} names nothing in the schema") from error
        if not isinstance(target, dict):
            return _ANYTHING
        if id(target) in self._open:
            raise _invalid(key, f"{reference!r} leads back to itself, and so says nothing")
        self._ahead.append(target)
        return target

    def _at(self, pointer: str) -> Json:
        part: Json = self._root
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            part = part[int(step)] if isinstance(part, list) else part[step]
        return part


def _too_long() -> InvalidRequest:
    return _invalid(
        "",
        f"more than {MAX_DEPTH} subschemas follow one another without going deeper into the "
        "value; merge some of them",
    )


def _all(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield part
    for _, inner in _subschemas(part):
        yield from _all(inner)


def _subschemas(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The subschemas right below one, each with its keyword; `true` and `false` left out."""
    for key, value in part.items():
        if key in _LISTS and isinstance(value, list):
            inner = value
        elif key in _MAPS and isinstance(value, dict):
            inner = list(value.values())
        elif key in _SINGLE:
            inner = [value]
        else:
            continue
        yield from ((key, each) for each in inner if isinstance(each, dict))
