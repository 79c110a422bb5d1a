"""One rule of a policy: what its annotations say, which actions it can name, what it looks at."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, Literal, Protocol, TypeAlias

from msgspec import Struct

from stepwell.durations import parse_duration
from stepwell.policy.port import DAY, Terms

Effect: TypeAlias = Literal["permit", "deny", "require_approval", "throttle"]
Mode: TypeAlias = Literal["enforce", "log_only"]

RETRY: Final = 10_000_000
"""Microseconds until a call that is throttled is decided on again, where its rule says nothing."""

RECORDS: Final = frozenset({"input", "time", "usage"})
"""The parts of the context that have parts themselves."""

CALL: Final = "call"
"""The built-in workflow of direct calls."""

_ID: Final = re.compile(r"[a-z][a-z0-9_.-]{0,127}")
_RESERVED: Final = ("tools", "internal", "default.")
_MICROSECOND: Final = timedelta(microseconds=1)


class Reads(Struct, frozen=True):
    """What of the context a rule looks at; None is all of it.

    `inside` has what it looks at of `input`, `usage` and `time`, each where it does at all.
    """

    context: frozenset[str] | None
    inside: Mapping[str, frozenset[str] | None] = {}

    def of(self, part: str) -> frozenset[str] | None:
        """What it looks at inside a part of the context; None is all of it."""
        return None if self.context is None else self.inside.get(part, frozenset())

    @property
    def input(self) -> frozenset[str] | None:
        """The arguments that it looks at; None is all of them."""
        return self.of("input")

    def and_of(self, other: "Reads") -> "Reads":
        """What either of two looks at."""
        if self.context is None or other.context is None:
            return Reads(None)
        inside = dict(self.inside)
        for part, names in other.inside.items():
            have = inside.get(part, frozenset())
            inside[part] = None if have is None or names is None else have | names
        return Reads(self.context | other.context, inside)


class Rule(Struct, frozen=True, kw_only=True):
    """A rule as it decides. `source` is Cedar's own JSON of it.

    It can name the actions `actions` on the tools `tools` alone; None is any. `groups` and
    `approver` say who may answer when it asks a person, `expires_us` for how long.
    """

    id: str
    effect: Effect
    source: Mapping[str, Any]
    reads: Reads
    mode: Mode = "enforce"
    reason: str = ""
    remedy: str = ""
    group: str = ""
    approver: Literal["other", "caller"] = "other"
    expires_us: int = DAY
    retry_us: int = RETRY
    actions: frozenset[str] | None = None
    tools: frozenset[str] | None = None
    names_principal: bool = False

    def may_name(self, tool: str) -> bool:
        """Whether there is any call of this tool to which it applies."""
        return (self.actions is None or tool in self.actions) and (
            self.tools is None or tool in self.tools
        )

    @property
    def is_soft(self) -> bool:
        """Whether what it forbids can come to pass without anything else being different."""
        return self.effect in ("require_approval", "throttle")

    @property
    def terms(self) -> Terms:
        """On which terms it asks a person."""
        groups = (self.group,) if self.group else ()
        return Terms(expires_us=self.expires_us, groups=groups, approver=self.approver)


class Span(Protocol):
    """A part of the text of an annotation."""

    @property
    def start(self) -> int:
        """Where it begins."""
        ...

    @property
    def end(self) -> int:
        """Where it has ended."""
        ...


class Fault(Struct, frozen=True):
    """What is wrong with a rule: `at` is the annotation that it is about, "" for the rule.

    `span` is the part of what the annotation says that is meant.
    """

    message: str
    hint: str = ""
    at: str = ""
    span: Span | None = None


def read_rule(source: Mapping[str, Any]) -> tuple[Rule, list[Fault]]:
    """A rule from Cedar's JSON of it, and all that is wrong with its annotations.

    A rule with faults is good for nothing but to look for more.
    """
    faults: list[Fault] = []
    given = {name: text or "" for name, text in source.get("annotations", {}).items()}
    values: dict[str, Any] = {"id": "", "effect": "deny"}
    for name, text in given.items():
        if name not in _ANNOTATIONS:
            faults.append(Fault(f"there is no annotation @{name}", "", name))
            continue
        field, read = _ANNOTATIONS[name]
        try:
            values[field] = read(text)
        except ValueError as error:
            faults.append(Fault(f"@{name}: {error}", "", name))
    if "id" not in given:
        hint = """write @id("...") before it: decisions and events name rules by it"""
        faults.append(Fault("the rule has no id", hint))
    faults += _misplaced(source["effect"], given)
    if source["effect"] == "permit":
        values["effect"] = "permit"
    actions, tools = _scope(source["action"], "Action"), _scope(source["resource"], "Tool")
    rule = Rule(
        **values,
        source=source,
        reads=reads(source),
        actions=actions,
        tools=tools,
        names_principal=source["principal"]["op"] != "All",
    )
    return rule, faults


def _misplaced(effect: str, given: Mapping[str, str]) -> Iterator[Fault]:
    """Annotations that say nothing where they stand."""
    asks, waits = given.get("effect") == "require_approval", given.get("effect") == "throttle"
    for name in given:
        if name == "effect" and effect == "permit":
            hint = "a forbid holds a call back, a permit lets it pass"
            yield Fault("@effect says nothing of a permit", hint, name)
        elif name in ("group", "approver", "expires") and not asks:
            hint = 'it belongs to a forbid with @effect("require_approval")'
            yield Fault(f"@{name} says nothing here", hint, name)
        elif name == "retry" and not waits:
            hint = 'it belongs to a forbid with @effect("throttle")'
            yield Fault("@retry says nothing here", hint, name)
        elif name == "remedy" and effect == "permit":
            yield Fault("@remedy says nothing of a permit", "a forbid refuses", name)


# --- annotations -------------------------------------------------------------------------


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} cannot be the id of a rule: 1 to 128 of a-z 0-9 _ . - beginning with "
            "a letter"
        )
    if text.startswith(_RESERVED[2]) or text in _RESERVED:
        raise ValueError(f"{text!r} is the id of a rule of Stepwell's own; take another one")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be {' or '.join(words)}, it is {text[:40]!r}")
        return text

    return read


def _text(text: str) -> str:
    if not 0 < len(text) <= 500:
        raise ValueError("it must have 1 to 500 characters")
    return text


_ISO: Final = re.compile(
    r"P(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?"
)
"""The durations of ISO 8601 that have one length: no years and no months."""

_MAX_LENGTH: Final = timedelta(days=366)


def _length(text: str) -> int:
    """A duration in microseconds: as Cedar's users write them (PT24H), or as we do (24h)."""
    iso = _ISO.fullmatch(text)
    if iso and any(iso.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    else:
        length = parse_duration(text)
    if not timedelta() < length <= _MAX_LENGTH:
        raise ValueError("it must be more than nothing, and at most 366 days")
    return length // _MICROSECOND


COMMON: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "id": ("id", _id),
    "mode": ("mode", _one_of("enforce", "log_only")),
    "reason": ("reason", _text),
}
"""The annotations of any rule: the field that each fills, and how it is read."""

_ANNOTATIONS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    **COMMON,
    "effect": ("effect", _one_of("deny", "require_approval", "throttle")),
    "remedy": ("remedy", _text),
    "group": ("group", _text),
    "approver": ("approver", _one_of("other", "caller")),
    "expires": ("expires_us", _length),
    "retry": ("retry_us", _length),
}
ANNOTATIONS: Final = tuple(_ANNOTATIONS)


# --- what a rule names and looks at --------------------------------------------------------


def _scope(scope: Mapping[str, Any], type: str) -> frozenset[str] | None:
    """The ids that a scope allows; None where it allows any."""
    match scope["op"]:
        case "==":
            return frozenset({_named(scope["entity"], type)})
        case "in":
            entities = scope.get("entities", [scope["entity"]] if "entity" in scope else [])
            return frozenset(_named(entity, type) for entity in entities)
    return None


def _named(entity: Mapping[str, Any], type: str) -> str:
    """The id of an entity; one that no tool has where the type is another."""
    uid = entity.get("__entity", entity)
    return str(uid["id"]) if uid["type"] == type else ""


def reads(source: Mapping[str, Any]) -> Reads:
    """Which parts of the context, and of the records in it, the conditions of a rule look at."""
    found = Reads(frozenset())
    ahead: list[Any] = [condition["body"] for condition in source.get("conditions", ())]
    while ahead:
        part = ahead.pop()
        if isinstance(part, list):
            ahead.extend(part)
        if not isinstance(part, dict):
            continue
        for name, inner in part.items():
            if name == "Record":
                ahead.extend(inner.values())  # its keys are names of the author's
            elif name == "Var" and inner == "context":
                return Reads(None)
            elif name in (".", "has") and (path := _path(part)):
                found = found.and_of(_looked_at(path))
            elif name not in ("Value", "Var"):
                ahead.append(inner)
    return found


def _looked_at(path: list[str]) -> Reads:
    part, *rest = path
    if part not in RECORDS:
        return Reads(frozenset({part}))
    return Reads(frozenset({part}), {part: frozenset(rest[:1]) if rest else None})


def _path(part: Any) -> list[str]:
    """The names of `context.a.b`, of `context has a`, or of `context.a has b`; else []."""
    names: list[str] = []
    while isinstance(part, dict) and len(part) == 1:
        ((operator, inner),) = part.items()
        if operator == "Var":
            return names[::-1] if inner == "context" else []
        if operator not in (".", "has"):
            return []
        attr = inner["attr"]
        names += [attr] if isinstance(attr, str) else attr[::-1]
        part = inner["left"]
    return []


def compared(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Arguments, each with a text that it is compared with."""
    ahead: list[Any] = [condition["body"] for condition in source.get("conditions", ())]
    while ahead:
        part = ahead.pop()
        if isinstance(part, list):
            ahead.extend(part)
        if not isinstance(part, dict):
            continue
        for operator in ("==", "!="):
            if isinstance(sides := part.get(operator), dict):
                yield from _comparison(sides.get("left"), sides.get("right"))
                yield from _comparison(sides.get("right"), sides.get("left"))
        ahead.extend(part.values())


def _comparison(named: Any, value: Any) -> Iterator[tuple[str, str]]:
    path = _path(named)
    text = value.get("Value") if isinstance(value, dict) else None
    if len(path) == 2 and path[0] == "input" and isinstance(text, str):
        yield path[1], text
