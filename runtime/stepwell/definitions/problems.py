"""What is wrong with a definition, and where."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from stepwell.errors import Code, InvalidRequest

MAX_PROBLEMS = 100
"""More than these are counted, not told: nobody reads them, and a message has a limit."""

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value: ("nodes", 1, "with")."""


class Problem(Struct, frozen=True, kw_only=True):
    """One problem: where (1-based), what, and what would be right."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        text = f"{self.line}:{self.column}: {text}"
        return f"{text}; {self.hint}" if self.hint else text


class InvalidDefinition(InvalidRequest):
    """The definition is not valid; `problems` says where and why, all at once."""

    code = Code.INVALID_DEFINITION

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "a problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        detail: dict[str, str] = {}
        for problem in self.problems:
            field = problem.path or "definition"
            said = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
            detail[field] = f"{detail[field]}; {said}" if field in detail else said
        super().__init__(f"the definition has {count}:\n{listed}", detail=detail)


class Place(Struct, frozen=True):
    """Where something stands, 1-based.

    `inside` is how many columns further the text of a string begins, where the source shows
    it as it is; None where it is written with escapes or over several lines.
    """

    line: int
    column: int
    inside: int | None = None


START = Place(1, 1)


class Report:
    """Collects problems; keeps the first `MAX_PROBLEMS` and counts the rest."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._problems = list(problems)
        self._left_out = 0

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem."""
        if len(self._problems) == MAX_PROBLEMS:
            self._left_out += 1
            return
        problem = Problem(
            line=place.line,
            column=place.column,
            path=path_text(path),
            message=message,
            hint=hint,
        )
        if problem not in self._problems:
            self._problems.append(problem)

    def nearest(self, word: str, names: Iterable[str]) -> str:
        """The hint "did you mean `tool`?"; "" when nothing is near or nobody will read it."""
        if len(self._problems) == MAX_PROBLEMS:
            return ""
        near = difflib.get_close_matches(word[:64], names, n=1)
        return f"did you mean `{near[0]}`?" if near else ""

    def problems(self) -> tuple[Problem, ...]:
        """What was noted, in the order of the source."""
        ordered = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if self._left_out:
            last = Problem(
                line=ordered[-1].line,
                column=ordered[-1].column,
                path="",
                message=f"there are {self._left_out} more problems",
                hint="correct these first",
            )
            ordered.append(last)
        return tuple(ordered)


_SIMPLE_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines


def path_text(path: Path) -> str:
    """A path as people write it: `nodes[1].with.text`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _SIMPLE_KEY.fullmatch(part):
            text += f".{part:.60}" if text else f"{part:.60}"
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """A value of the author's in a message: short, and on one line."""
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:59] + "…"


def render(problems: Iterable[Problem], filename: str, source: bytes) -> str:
    """The problems for a terminal: `file:line:column`, what is wrong, the line with a caret.

    A problem inside an expression brings its own caret, so the line is not shown again.
    """
    lines = _LINE_BREAK.split(source.decode("utf-8-sig", errors="replace"))
    return "\n".join(_rendered(problem, filename, lines) for problem in problems)


def _rendered(problem: Problem, filename: str, lines: list[str]) -> str:
    text = f"{filename}:{problem}"
    if "\n" in problem.message or problem.line > len(lines):
        return text
    line = lines[problem.line - 1]
    begin = max(0, problem.column - 61)
    part = line[begin : begin + 100].replace("\t", " ")
    return f"{text}\n    {part}\n    {' ' * (problem.column - 1 - begin)}^"
