"""What the text of an expression tells without CEL: the names it reads and the calls it makes."""

import re
from collections.abc import Iterator

from msgspec import Struct

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STRING = (
    r"""[rRbB]*(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''"""
    r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
)
_PASSED_OVER = re.compile(rf"(?P<string>{_STRING})|//[^\n]*|{_NAME}", re.DOTALL)
_PATH = re.compile(
    rf"[0-9][0-9A-Za-z_]*"  # passed over
    rf"|(?P<path>(?P<dot>\.\s*)?(?:\?\s*)?{_NAME}(?:\s*\.\s*\??\s*{_NAME})*)(?P<call>\s*\()?"
)
_PARENTHESIS = re.compile(rf"(?P<name>{_NAME})?\s*\(|(?P<close>\))")
_PLAIN = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*")

LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
"""The macros that go through a list or a map."""

BINDERS = LOOPS | {"optMap", "optFlatMap", "bind"}
"""The macros that give a name to something; it hides a variable of the same name."""


class Mention(Struct, frozen=True):
    """A dotted name that begins at a variable, without the method called on it."""

    path: tuple[str, ...]
    start: int


class Call(Struct, frozen=True):
    """A function, a method or a macro, and where between its parentheses the arguments stand."""

    name: str
    start: int
    end: int
    arguments: str
    binds: str = ""
    """The name that a macro gives."""

    def encloses(self, place: int) -> bool:
        """Whether a place lies between the parentheses."""
        return self.start <= place < self.end


def plain_path(text: str) -> tuple[str, ...]:
    """The names of a text that is nothing but a path, `ask.output.total`; else ()."""
    match = _PLAIN.fullmatch(text)
    return tuple(re.findall(_NAME, match[1])) if match else ()


def mentions(text: str) -> tuple[Mention, ...]:
    """The variables that a text reads, in its order; those that macros bind as well."""
    text = _blanked(text, strings=True)
    found = []
    for match in _PATH.finditer(text):
        if match["path"] is None:
            continue
        before = text[: match.start()].rstrip()[-1:]
        if match["dot"] and (before.isalnum() or before in tuple("_)]}\"'`")):
            continue  # a member of what stands before it; a leading dot alone means the root
        path = tuple(re.findall(_NAME, match["path"]))
        path = path[:-1] if match["call"] else path  # the last name is a function or a method
        if path:
            found.append(Mention(path, match.start()))
    return tuple(found)


def calls(text: str) -> Iterator[Call]:
    """The calls of a text, inner ones before those around them."""
    bare, text = _blanked(text, strings=True), _blanked(text)
    opened: list[tuple[str, int]] = []
    for match in _PARENTHESIS.finditer(bare):
        if not match["close"]:
            opened.append((match["name"] or "", match.end()))
        elif opened:
            name, start = opened.pop()
            if name:
                arguments = text[start : match.start()]
                bound = re.match(rf"\s*({_NAME})\s*,", arguments) if name in BINDERS else None
                yield Call(name, start, match.start(), arguments, bound[1] if bound else "")


def builds(text: str) -> bool:
    """Whether something may be put together in a text: by `+`, as a list or map, by a method."""
    bare = _blanked(text, strings=True)
    return re.search(r"[+\[{]|\b(?:replace|join|format)\b", bare) is not None


def literals(text: str) -> tuple[str, ...] | None:
    """The strings between commas that a text consists of, numbers left out; else None."""
    if not re.fullmatch(rf"\s*(?:(?:{_STRING}|[0-9]+)\s*(?:,\s*|$))*", text, re.DOTALL):
        return None
    return tuple(re.findall(_STRING, text, re.DOTALL))


def _blanked(text: str, *, strings: bool = False) -> str:
    """The text with spaces for its comments, and `'''` for its strings if they are in the way.

    What is left stands where it stood.
    """

    def blank(match: re.Match[str]) -> str:
        if match["string"]:
            return "'" * len(match[0]) if strings else match[0]
        return " " * len(match[0]) if match[0].startswith("//") else match[0]

    return _PASSED_OVER.sub(blank, text)
