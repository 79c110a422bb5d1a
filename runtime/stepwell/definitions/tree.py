"""Values built from the events of a text, each with its place, within the limits."""

import math
import re
from bisect import bisect_right
from enum import Enum, auto
from typing import NamedTuple

from msgspec import UNSET

from stepwell.definitions.problems import START, Path, Place, Report
from stepwell.engine.values import Json

MAX_DEPTH = 64
MAX_VALUES = 50_000


class Unreadable(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, message: str, hint: str = "", path: Path = ()) -> None:
        super().__init__(message)
        self.place, self.message, self.hint, self.path = place, message, hint, path


class Kind(Enum):
    """What an event says; END ends the map or list that began last."""

    MAP = auto()
    LIST = auto()
    END = auto()
    SCALAR = auto()


class Event(NamedTuple):
    """`text` is a scalar as it was written, `value` what it means, UNSET when nothing."""

    kind: Kind
    place: Place = START
    text: str = ""
    value: Json = None


class _Open:
    """A map or a list that has not ended; `key` is that of the value that comes next."""

    def __init__(self, container: Json, path: Path) -> None:
        self.container = container
        self.path = path
        self.key: str | int | None = None if isinstance(container, dict) else 0


class Tree:
    """Builds values from events, within the limits."""

    def __init__(self, report: Report) -> None:
        self.value: Json = UNSET
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self._report = report
        self._stack: list[_Open] = []

    def take(self, event: Event) -> None:
        """One more event."""
        parent = self._stack[-1] if self._stack else None
        if event.kind is Kind.END:
            self._stack.pop()
        elif parent is not None and parent.key is None:
            self._take_key(parent, event)
        else:
            self._take_value(parent, event)

    def _take_key(self, parent: _Open, event: Event) -> None:
        """A key is a string, however it is written: `1` and `true` are text here."""
        if event.kind is not Kind.SCALAR:
            raise Unreadable(event.place, "a key cannot be a map or a list", path=parent.path)
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

    def _take_value(self, parent: _Open | None, event: Event) -> None:
        if len(self.values) == MAX_VALUES:
            raise Unreadable(event.place, f"the document has more than {MAX_VALUES} values")
        value: Json = {} if event.kind is Kind.MAP else []
        if event.kind is Kind.SCALAR:
            value = event.value
        path = self._place_value(parent, value)
        self.values[path] = event.place
        if event.kind is Kind.SCALAR:
            if trouble := _trouble(value):
                self._report.add(event.place, path, trouble)
            return
        if len(self._stack) == MAX_DEPTH:
            raise Unreadable(event.place, f"maps and lists lie more than {MAX_DEPTH} deep")
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


def line_starts(text: str) -> list[int]:
    """The index at which each line of a text begins."""
    return [0, *(match.end() for match in re.finditer("\n", text))]


def place_at(starts: list[int], index: int) -> Place:
    """The place of the character at an index."""
    line = bisect_right(starts, index)
    return Place(line, index - starts[line - 1] + 1)
