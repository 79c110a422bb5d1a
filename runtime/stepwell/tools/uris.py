"""Templates of URIs: `shop://orders/{id}`, as far as RFC 6570 is of use in both directions.

`{name}` stands for one segment, `{+name}` for the rest with its slashes, `{?a,b}` at the end for what
may follow in the query.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from msgspec import Struct

_PART: Final = re.compile(r"\{([+?]?)([A-Za-z_][A-Za-z0-9_]*(?:,[A-Za-z_][A-Za-z0-9_]*)*)\}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")
MOST_CHARACTERS: Final = 4096
"""Of a URI; a longer one is none of ours."""


class Template(Struct, frozen=True):
    """A template, taken apart: what each variable may be is in `pattern`, `query` may be left out."""

    text: str
    pattern: re.Pattern[str]
    path: tuple[str, ...]
    query: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable, in the order in which they stand."""
        return (*self.path, *self.query)

    def match(self, uri: str) -> dict[str, str] | None:
        """What the variables are in a URI; None when it is not one of these."""
        if len(uri) > MOST_CHARACTERS:
            return None
        begun, mark, asked = uri.partition("?") if self.query else (uri, "", "")
        found = self.pattern.fullmatch(begun)
        if found is None:
            return None
        values = {name: unquote(text) for name, text in zip(self.path, found.groups(), strict=True)}
        given = dict(parse_qsl(asked, keep_blank_values=True)) if mark else {}
        return values | given if given.keys() <= set(self.query) else None

    def expand(self, values: Mapping[str, str]) -> str:
        """The URI with these values.

        Raises:
            KeyError: one of the path is missing.
        """

        def written(part: re.Match[str]) -> str:
            if part[1] == "?":
                given = {name: values[name] for name in part[2].split(",") if values.get(name)}
                return f"?{urlencode(given)}" if given else ""
            return quote(values[part[2]], safe="/:@!$&'()*+,;=" if part[1] else "")

        return _PART.sub(written, self.text)


def is_uri(text: str) -> bool:
    """Whether a text may be the URI of a resource: nothing in it is unseen."""
    return bool(_SCHEME.match(text)) and text.isprintable() and " " not in text


def template(text: str) -> Template:
    """Takes a template apart.

    Raises:
        ValueError: it is none; the message says why.
    """
    if not is_uri(text):
        raise ValueError(f"{text!r} is no URI: write for instance shop://orders/{{id}}")
    begin, *rest = _PART.split(text)
    parts = list(zip(rest[::3], rest[1::3], rest[2::3], strict=True))
    if any("{" in literal or "}" in literal for literal in (begin, *rest[2::3])):
        raise ValueError(f"{text!r}: a variable is {{name}}, {{+name}} or, at the end, {{?a,b}}")
    pattern, path, query = re.escape(begin), list[str](), tuple[str, ...]()
    for number, (kind, named, literal) in enumerate(parts, 1):
        is_end = number == len(parts)
        if kind == "?":
            if literal or not is_end:
                raise ValueError(f"{text!r}: nothing may follow {{?...}}")
            query = tuple(named.split(","))
            continue
        if "," in named:
            raise ValueError(f"{text!r}: write {{a}}/{{b}}, each variable by itself")
        is_last = is_end or parts[number][0] == "?"
        if not (is_last or literal):
            raise ValueError(f"{text!r}: write something between two variables, as {{a}}/{{b}}")
        path.append(named)
        pattern += _matching(kind, literal, is_last=is_last)
    names = [*path, *query]
    if len(names) != len(set(names)):
        raise ValueError(f"{text!r}: a variable stands in it twice")
    return Template(text, re.compile(pattern), tuple(path), query)


def _matching(kind: str, literal: str, *, is_last: bool) -> str:
    """A variable and the text after it. It ends at the first such text, and is not tried with another end.

    So matching takes as long as the URI is, whatever a server has written: tried with every end, three
    variables would keep us busy for minutes.
    """
    one = "." if kind else "[^/?#]"
    ending = re.escape(literal)
    return f"({one}+){ending}" if is_last else f"(?>({one}+?){ending})"
