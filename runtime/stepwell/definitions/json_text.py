"""JSON as events.

YAML reads almost all of JSON, but not escaped surrogate pairs, DEL and long keys.
"""

import json
import re
from collections.abc import Iterator

from stepwell.definitions.problems import Place
from stepwell.definitions.tree import Event, Kind, line_starts, place_at
from stepwell.engine.values import Json

_JSON_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|[^\s,:{}\[\]"]+')


def json_events(text: str) -> Iterator[Event] | None:
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


def _tokens(text: str) -> Iterator[Event]:
    starts = line_starts(text)
    for match in _JSON_TOKEN.finditer(text):
        word, place = match.group(), place_at(starts, match.start())
        if word in "{[":
            yield Event(Kind.MAP if word == "{" else Kind.LIST, place)
        elif word in "}]":
            yield Event(Kind.END)
        else:
            value = json.loads(word)
            said = value if isinstance(value, str) else word
            inside = 1 if word == f'"{said}"' else None
            yield Event(Kind.SCALAR, Place(place.line, place.column, inside), said, value)
