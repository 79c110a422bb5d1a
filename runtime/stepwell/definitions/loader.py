"""Reads YAML or JSON strictly, and remembers where everything stands.

YAML as its version 1.2 means it and JSON can say it: `true`, `false`, `null`, numbers and
strings; `on`, `yes` and `no` are strings. One document, string keys without duplicates, no
anchors, aliases, tags and merge keys, bounded in size, depth and number of values. Bad input
becomes problems, never an exception. libyaml reads events only, so that nothing is built
that a limit would have refused.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, NamedTuple

import yaml
from msgspec import UNSET, Struct

from stepwell.definitions.problems import START, Path, Place, Problem, Report, shown
from stepwell.engine.values import Json

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 50_000


class Document(Struct, frozen=True, kw_only=True):
    """What was read. A value that could not be read is UNSET; `problems` says why.

    `values` has the place of every value by its path, `keys` that of every key.
    """

    value: Json
    values: dict[Path, Place]
    keys: dict[Path, Place]
    problems: tuple[Problem, ...] = ()


def load(source: bytes) -> Document:
    """Reads one document. It never raises: what is wrong is in `problems`."""
    report = Report()
    tree = _Tree(report)
    try:
        text = _decode(source)
        for event in _json_events(text) or _yaml_events(text, report):
            tree.take(event)
    except _Unreadable as error:
        report.add(error.place, error.path, error.message, error.hint)
        tree.value = UNSET
    return Document(
        value=tree.value, values=tree.values, keys=tree.keys, problems=report.problems()
    )


class _Unreadable(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, message: str, hint: str = "", path: Path = ()) -> None:
        super().__init__(message)
        self.place, self.message, self.hint, self.path = place, message, hint, path


def _decode(source: bytes) -> str:
    if len(source) > MAX_BYTES:
        raise _Unreadable(
            START,
            f"the document has {len(source)} bytes, the limit is {MAX_BYTES}",
            "keep data out of the definition and hand it to the run as its input",
        )
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8-sig", errors="replace")
        raise _Unreadable(
            _place_at(_line_starts(before), len(before)),
            f"the document is not UTF-8: byte {error.start} is 0x{source[error.start]:02x}",
            "save the file as UTF-8",
        ) from error
    if not text.strip():
        raise _Unreadable(START, "the document is empty", "begin with `workflow: my-name`")
    return text


# --- what both syntaxes say ---------------------------------------------------------------


class _Kind(Enum):
    MAP = auto()
    LIST = auto()
    END = auto()
    SCALAR = auto()


class _Event(NamedTuple):
    """`text` is a scalar as it was written, `value` what it means, UNSET when nothing."""

    kind: _Kind
    place: Place = START
    text: str = ""
    value: Json = None


class _Open:
    """A map or a list that has not ended; `key` is that of the value that comes next."""

    def __init__(self, container: Json, path: Path) -> None:
        self.container = container
        self.path = path
        self.key: str | int | None = None if isinstance(container, dict) else 0


class _Tree:
    """Builds values from events, within the limits."""

    def __init__(self, report: Report) -> None:
        self.value: Json = UNSET
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self._report = report
        self._stack: list[_Open] = []

    def take(self, event: _Event) -> None:
        """One more event."""
        parent = self._stack[-1] if self._stack else None
        if event.kind is _Kind.END:
            self._stack.pop()
        elif parent is not None and parent.key is None:
            self._take_key(parent, event)
        else:
            self._take_value(parent, event)

    def _take_key(self, parent: _Open, event: _Event) -> None:
        """A key is a string, however it is written: `1` and `true` are text here."""
        if event.kind is not _Kind.SCALAR:
            raise _Unreadable(event.place, "a key cannot be a map or a list", path=parent.path)
        path = (*parent.path, event.text)
        if event.text in parent.container:
            first = self.keys[path].line
            self._report.add(
                event.place, path, "this key is there twice", f"the first one is in line {first}"
            )
        if trouble := _trouble(event.text):
            self._report.add(event.place, path, trouble)
        self.keys[path] = event.place
        parent.key = event.text

    def _take_value(self, parent: _Open | None, event: _Event) -> None:
        if len(self.values) == MAX_VALUES:
            raise _Unreadable(event.place, f"the document has more than {MAX_VALUES} values")
        value: Json = {} if event.kind is _Kind.MAP else []
        if event.kind is _Kind.SCALAR:
            value = event.value
        path = self._place_value(parent, value)
        self.values[path] = event.place
        if event.kind is _Kind.SCALAR:
            if trouble := _trouble(value):
                self._report.add(event.place, path, trouble)
            return
        if len(self._stack) == MAX_DEPTH:
            raise _Unreadable(event.place, f"maps and lists lie more than {MAX_DEPTH} deep")
        self._stack.append(_Open(value, path))

    def _place_value(self, parent: _Open | None, value: Json) -> Path:
        if parent is None:
            self.value = value
            return ()
        assert parent.key is not None, "a value comes after its key"
        path = (*parent.path, parent.key)
        if isinstance(parent.key, int):
            parent.container.append(value)
            parent.key += 1
        else:
            parent.container[parent.key] = value
            parent.key = None
        return path


def _trouble(value: Json) -> str:
    """Why a scalar cannot be kept; "" when it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return "this number is not finite, which JSON cannot say"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "this whole number does not fit into 64 bits; write it as a string"
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return "this string has half of a surrogate pair in it, which UTF-8 cannot say"
    return ""


_SURROGATE = re.compile("[\ud800-\udfff]")


# --- JSON ---------------------------------------------------------------------------------

_JSON_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|[^\s,:{}\[\]"]+')


def _json_events(text: str) -> Iterator[_Event] | None:
    """The events of a JSON object; None when the text is not one, which YAML will explain.

    YAML reads almost all of JSON, but not escaped surrogate pairs, DEL and long keys.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return _tokens(text)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _tokens(text: str) -> Iterator[_Event]:
    starts = _line_starts(text)
    for match in _JSON_TOKEN.finditer(text):
        word, place = match.group(), _place_at(starts, match.start())
        if word in "{[":
            yield _Event(_Kind.MAP if word == "{" else _Kind.LIST, place)
        elif word in "}]":
            yield _Event(_Kind.END)
        else:
            value = json.loads(word)
            said = value if isinstance(value, str) else word
            inside = 1 if word == f'"{said}"' else None
            yield _Event(_Kind.SCALAR, Place(place.line, place.column, inside), said, value)


# --- YAML ---------------------------------------------------------------------------------

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def _yaml_events(text: str, report: Report) -> Iterator[_Event]:
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        place = _place_at(_line_starts(text), odd.start())
        raise _Unreadable(place, f"the character U+{ord(odd.group()):04X} is not allowed in YAML")
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_Parser):
            place = _place_of(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Unreadable(
                        place, "a second document begins here", "put each workflow into its own"
                    )
            else:
                yield from _yaml_event(event, place, text, report)
    except yaml.MarkedYAMLError as error:
        raise _Unreadable(*_explained(error)) from error
    if not documents:
        raise _Unreadable(START, "the document is empty", "begin with `workflow: my-name`")


def _yaml_event(event: Any, place: Place, text: str, report: Report) -> Iterator[_Event]:
    match event:
        case yaml.AliasEvent():
            report.add(
                place, (), f"aliases are not accepted: *{event.anchor}", "write the value out"
            )
            yield _Event(_Kind.SCALAR, place, f"*{event.anchor}", UNSET)
        case yaml.MappingStartEvent() | yaml.SequenceStartEvent() | yaml.ScalarEvent():
            _refuse_decoration(event, place, report)
            if isinstance(event, yaml.ScalarEvent):
                yield _yaml_scalar(event, place, text)
            else:
                is_map = isinstance(event, yaml.MappingStartEvent)
                yield _Event(_Kind.MAP if is_map else _Kind.LIST, place)
        case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
            yield _Event(_Kind.END)
        case _:
            pass


def _refuse_decoration(event: Any, place: Place, report: Report) -> None:
    if event.anchor:
        report.add(place, (), f"anchors are not accepted: &{event.anchor}", "take it away")
    if event.tag:
        report.add(place, (), f"tags are not accepted: {shown(event.tag)}", "take it away")


def _yaml_scalar(event: Any, place: Place, text: str) -> _Event:
    said: str = event.value
    raw = text[event.start_mark.index : event.end_mark.index]
    if event.style is None or event.style == "":
        inside = 0 if raw == said else None
        return _Event(
            _Kind.SCALAR, Place(place.line, place.column, inside), said, _plain_value(said)
        )
    inside = 1 if raw[1:-1] == said and "\n" not in said else None
    return _Event(_Kind.SCALAR, Place(place.line, place.column, inside), said, said)


def _plain_value(text: str) -> Json:
    """What a plain scalar means in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        # More digits than any 64 bits have would only cost time to read.
        return int(text) if len(text) <= 40 else 2**64
    if _BASED.fullmatch(text):
        return int(text, 0) if len(text) <= 40 else 2**64
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_JSON.fullmatch(text):
        return math.inf
    return text


_HINTS = {
    "found character that cannot start any token": "quote the text, or indent with spaces",
    "mapping values are not allowed in this context": "quote a text that has `: ` in it",
}


def _explained(error: yaml.MarkedYAMLError) -> tuple[Place, str, str]:
    problem = error.problem or "the document cannot be read"
    context = f"{error.context}: " if error.context else ""
    place = _place_of(error.problem_mark or error.context_mark)
    return place, f"this is not YAML: {context}{problem}", _HINTS.get(problem, "")


# --- places -------------------------------------------------------------------------------


def _place_of(mark: Any) -> Place:
    return START if mark is None else Place(mark.line + 1, mark.column + 1)


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _place_at(starts: list[int], index: int) -> Place:
    line = bisect_right(starts, index)
    return Place(line, index - starts[line - 1] + 1)
