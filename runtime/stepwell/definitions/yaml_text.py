"""YAML as events: scalars as version 1.2 means them, nothing that JSON cannot say.

libyaml hands out events only, so that nothing is built that a limit would have refused.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import UNSET

from stepwell.definitions.problems import START, Place, Report, shown
from stepwell.definitions.tree import Event, Kind, Unreadable, line_starts, place_at
from stepwell.engine.values import Json

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


def yaml_events(text: str, report: Report) -> Iterator[Event]:
    """The events of the one document in a text; what may be passed over goes to the report.

    Raises:
        Unreadable: while the events are read.
    """
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        place = place_at(line_starts(text), odd.start())
        raise Unreadable(place, f"the character U+{ord(odd.group()):04X} is not allowed in YAML")
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_Parser):
            place = _place_of(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable(
                        place, "a second document begins here", "put each workflow into its own"
                    )
            else:
                yield from _yaml_event(event, place, text, report)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(*_explained(error, text)) from error
    if not documents:
        raise Unreadable(START, "the document is empty", "begin with `workflow: my-name`")


def _yaml_event(event: Any, place: Place, text: str, report: Report) -> Iterator[Event]:
    match event:
        case yaml.AliasEvent():
            report.add(
                place, (), f"aliases are not accepted: *{event.anchor:.40}", "write the value out"
            )
            yield Event(Kind.SCALAR, place, f"*{event.anchor}", UNSET)
        case yaml.MappingStartEvent() | yaml.SequenceStartEvent() | yaml.ScalarEvent():
            _refuse_decoration(event, place, report)
            if isinstance(event, yaml.ScalarEvent):
                yield _yaml_scalar(event, place, text)
            else:
                is_map = isinstance(event, yaml.MappingStartEvent)
                yield Event(Kind.MAP if is_map else Kind.LIST, place)
        case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
            yield Event(Kind.END)
        case _:
            pass


def _refuse_decoration(event: Any, place: Place, report: Report) -> None:
    if event.anchor:
        report.add(place, (), f"anchors are not accepted: &{event.anchor:.40}", "take it away")
    if event.tag:
        report.add(place, (), f"tags are not accepted: {shown(event.tag)}", "take it away")


def _yaml_scalar(event: Any, place: Place, text: str) -> Event:
    said: str = event.value
    raw = text[event.start_mark.index : event.end_mark.index]
    if event.style is None or event.style == "":
        inside = 0 if raw == said else None
        return Event(Kind.SCALAR, Place(place.line, place.column, inside), said, _plain_value(said))
    inside = 1 if raw[1:-1] == said and "\n" not in said else None
    return Event(Kind.SCALAR, Place(place.line, place.column, inside), said, said)


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


_BARE_EXPRESSION = re.compile(r"(?:^|[\s{\[,])(?:[\w.-]+:|-)\s+=")


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str, str]:
    problem = error.problem or "the document cannot be read"
    context = f"{error.context}: " if error.context else ""
    place = _place_of(error.problem_mark or error.context_mark)
    line = text.split("\n")[place.line - 1 : place.line]
    if any(_BARE_EXPRESSION.search(words) for words in line):
        hint = 'write the expression in quotes: "=..."'
    else:
        hint = _HINTS.get(problem, "")
    return place, f"this is not YAML: {context}{problem}", hint


def _place_of(mark: Any) -> Place:
    return START if mark is None else Place(mark.line + 1, mark.column + 1)
