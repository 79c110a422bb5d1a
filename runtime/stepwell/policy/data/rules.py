"""One rule of data: which tables it names, which of their columns and rows, and what may be done.

A rule is one of data when it names one of the actions of data, or a table or a datasource.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from stepwell.policy.data.access import Change, Mask
from stepwell.policy.data.predicate_nodes import Mistake
from stepwell.policy.data.predicates import Predicate, read_predicate
from stepwell.policy.problems import nearest
from stepwell.policy.rules import COMMON, Fault, Mode, reads
from stepwell.policy.schema import DATA_ACTIONS

Verb: TypeAlias = Literal["read", "insert", "update", "delete"]

ACTIONS: Final[Mapping[str, Verb]] = dict(zip(DATA_ACTIONS, get_args(Verb), strict=True))
"""What each action of data does."""

CHANGES: Final[tuple[Change, ...]] = get_args(Change)
MASKS: Final[tuple[Mask, ...]] = get_args(Mask)
TYPES: Final = frozenset({"Table", "Datasource"})
MOST_COLUMNS: Final = 2000
MOST_ROWS: Final = 1_000_000


class DataRule(Struct, frozen=True, kw_only=True):
    """A rule of data as it decides. `source` is Cedar's JSON of who it is for.

    It names the table `table` of `datasource`, or all of them where that is "". `columns` None is all
    of them. A forbid takes away what its one annotation names, and everything without one.
    """

    id: str
    effect: Literal["permit", "forbid"]
    source: Mapping[str, Any]
    verbs: frozenset[Verb]
    datasource: str
    table: str = ""
    mode: Mode = "enforce"
    reason: str = ""
    columns: tuple[str, ...] | None = None
    masks: Mapping[str, Mask] = {}
    rows: Predicate | None = None
    most_rows: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is of whole tables."""
        return (
            self.columns is None and not self.masks and self.rows is None and self.most_rows is None
        )

    def names(self, table: str) -> bool:
        """Whether it is about this table of its datasource."""
        return self.table in ("", table)


def is_of_data(source: Mapping[str, Any]) -> bool:
    """Whether a rule, in Cedar's JSON, is one of data."""
    named = {uid["id"] for uid in _entities(source["action"]) if uid["type"] == "Action"}
    resource = source["resource"]
    types = {uid["type"] for uid in _entities(resource)}
    return bool(named & ACTIONS.keys() or (types | {resource.get("entity_type")}) & TYPES)


def read_data_rule(source: Mapping[str, Any]) -> tuple[DataRule | None, list[Fault]]:
    """A rule of data from Cedar's JSON of it, and all that is wrong with it."""
    faults: list[Fault] = []
    given = {name: text or "" for name, text in source.get("annotations", {}).items()}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in _ANNOTATIONS:
            faults.append(_no_annotation(name))
            continue
        field, read = _ANNOTATIONS[name]
        try:
            values[field] = read(text)
        except _Unreadable as error:
            faults += (
                Fault(f"@rows: {one.message}", one.hint, "rows", one) for one in error.mistakes
            )
        except ValueError as error:
            faults.append(Fault(f"@{name}: {error}", "", name))
    if "id" not in given:
        hint = """write @id("...") before it: explanations name rules by it"""
        faults.append(Fault("the rule has no id", hint))
    effect = source["effect"]
    verbs = _verbs(source, faults)
    datasource, table = _resource(source["resource"], faults)
    faults += _misplaced(effect, verbs, given, values)
    faults += _looks_elsewhere(source)
    if faults:
        return None, faults
    rule = DataRule(
        **values, effect=effect, source=source, verbs=verbs, datasource=datasource, table=table
    )
    return rule, []


# --- what it names -----------------------------------------------------------------------


def _verbs(source: Mapping[str, Any], faults: list[Fault]) -> frozenset[Verb]:
    scope = source["action"]
    if scope["op"] == "All":
        if source["effect"] == "permit":
            hint = 'like action == Action::"db_read", or action in [Action::"db_read", ...]'
            faults.append(Fault("a permit of data names its actions", hint))
        return frozenset(ACTIONS.values())
    named = {str(uid["id"]) for uid in _entities(scope)}
    for other in sorted(named - ACTIONS.keys()):
        hint = nearest(other, ACTIONS) or f"there is {', '.join(ACTIONS)}"
        faults.append(Fault(f"a rule of data cannot name the action {other:.64}", hint))
    return frozenset(ACTIONS[name] for name in named & ACTIONS.keys())


def _resource(scope: Mapping[str, Any], faults: list[Fault]) -> tuple[str, str]:
    """The datasource and the table that a rule names; "" is every table of it."""
    within = scope.get("in", scope)
    if scope.get("entity_type", "Table") != "Table":
        faults.append(Fault("a rule of data names a table, or a datasource", _NAME_ONE))
        return "", ""
    match [(uid["type"], str(uid["id"])) for uid in _entities(within)]:
        case [("Table", id)] if scope["op"] in ("==", "in"):
            datasource, _, table = id.partition(".")
            if datasource and table:
                return datasource, table
            hint = 'write Table::"DATASOURCE.TABLE", like Table::"shop.customers"'
            faults.append(Fault(f"{id:.64} names no table of a datasource", hint))
        case [("Datasource", id)] if within.get("op", "in") == "in" and id:
            return id, ""
        case _:
            faults.append(Fault("a rule of data names a table, or a datasource", _NAME_ONE))
    return "", ""


_NAME_ONE: Final = (
    'write resource == Table::"shop.customers", or resource in Datasource::"shop" for every table'
)


def _entities(scope: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = scope.get("entities", [scope["entity"]] if "entity" in scope else [])
    inner = _entities(scope["in"]) if "in" in scope else []
    return [uid.get("__entity", uid) for uid in found] + inner


def _looks_elsewhere(source: Mapping[str, Any]) -> Iterator[Fault]:
    """Conditions are asked once for a principal, not for every table or call."""
    looked_at = reads(source).context
    variables = _variables(source.get("conditions", ()))
    if looked_at != frozenset() or variables & {"context", "resource", "action"}:
        what = "a condition of a rule of data looks at the principal alone"
        yield Fault(what, "which rows are shown is said by @rows")


def _variables(root: Any) -> set[str]:
    found: set[str] = set()
    ahead = [root]
    while ahead:
        part = ahead.pop()
        if isinstance(part, Mapping):
            if isinstance(name := part.get("Var"), str):
                found.add(name)
            ahead.extend(value for key, value in part.items() if key != "Value")
        elif isinstance(part, list | tuple):
            ahead.extend(part)
    return found


# --- annotations -------------------------------------------------------------------------


def _misplaced(
    effect: str, verbs: frozenset[Verb], given: Mapping[str, str], values: Mapping[str, Any]
) -> Iterator[Fault]:
    """Annotations that say nothing where they stand."""
    named = [name for name in ("columns", "mask", "rows", "most_rows") if name in given]
    if effect == "forbid" and len(named) > 1:
        message = f"a forbid takes away one thing, here it is {' and '.join(named)}"
        yield Fault(message, "write one rule for each", named[1])
    for name in ("mask", "most_rows"):
        if name in given and verbs and "read" not in verbs:
            yield Fault(f"@{name} says nothing of what is written", "it belongs to db_read", name)
    if "columns" in given and verbs == {"delete"}:
        yield Fault("@columns says nothing of db_delete", "whole rows are deleted", "columns")
    shown = values.get("columns")
    if effect == "permit" and shown is not None:
        for column in values.get("masks", {}):
            if column not in shown:
                message = f"@mask: {column} is not in @columns, so it is not shown at all"
                yield Fault(message, nearest(column, shown) or "add it to @columns", "mask")


def _columns(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError('it must be names of columns, like "id, name"')
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"it must have at most {MOST_COLUMNS} names")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{min(twice):.64} is named twice")
    return tuple(names)


def _masks(text: str) -> dict[str, Mask]:
    found: dict[str, Mask] = {}
    for part in text.split(","):
        name, _, word = (piece.strip() for piece in part.rpartition(":"))
        if not name or not word:
            raise ValueError(
                'it must be columns with their masks, like "email: redact, phone: null"'
            )
        mask = _MASK.get(word)
        if mask is None:
            hint = nearest(word, MASKS) or f"there is {', '.join(MASKS)}"
            raise ValueError(f"{word[:40]!r} is no mask; {hint}")
        if name in found:
            raise ValueError(f"{name:.64} is named twice")
        found[name] = mask
    return found


_MASK: Final[Mapping[str, Mask]] = {mask: mask for mask in MASKS}


class _Unreadable(Exception):
    """A predicate with mistakes."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes


def _rows(text: str) -> Predicate:
    predicate, mistakes = read_predicate(text)
    if predicate is None:
        raise _Unreadable(mistakes)
    return predicate


def _most_rows(text: str) -> int:
    if not re.fullmatch(r"\d{1,7}", text) or not 0 < int(text) <= MOST_ROWS:
        raise ValueError(f"it must be a number from 1 to {MOST_ROWS}, it is {text[:40]!r}")
    return int(text)


def _no_annotation(name: str) -> Fault:
    if name in ("effect", "group", "approver", "expires", "retry", "remedy"):
        hint = "what is not permitted is not there, and nobody is asked"
        return Fault(f"@{name} says nothing of data", hint, name)
    hint = nearest(name, ANNOTATIONS) or f"there is {', '.join(ANNOTATIONS)}"
    return Fault(f"there is no annotation @{name}", hint, name)


_ANNOTATIONS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    **COMMON,
    "columns": ("columns", _columns),
    "mask": ("masks", _masks),
    "rows": ("rows", _rows),
    "most_rows": ("most_rows", _most_rows),
}
ANNOTATIONS: Final = tuple(_ANNOTATIONS)
