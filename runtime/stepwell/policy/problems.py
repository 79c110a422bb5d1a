"""What is wrong with a policy, and where: all of it at once."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from stepwell.errors import Code, InvalidRequest

MAX_PROBLEMS: Final = 100
"""More than these are counted, not told: nobody reads them, and a message has a limit."""

_WIDTH: Final = 100
"""Characters of a line that are shown around a problem."""


class PolicyProblem(Struct, frozen=True, kw_only=True):
    """One problem: the file, where in it (1-based), what, and what would be right.

    `text` is the line as it stands there, `length` how many characters of it are meant.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    rule: str = ""
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        said = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{said}; {self.hint}" if self.hint else said


class InvalidPolicy(InvalidRequest):
    """The policy is not valid; `problems` says where and why, all at once."""

    code = Code.INVALID_POLICY

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        self.problems = tuple(problems)
        count = "a problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"the policy has {count}:\n{listed}")


def bounded(problems: Iterable[PolicyProblem]) -> tuple[PolicyProblem, ...]:
    """By file and place; the first `MAX_PROBLEMS`, and how many more there are."""
    ordered = sorted(problems, key=lambda one: (one.file, one.line, one.column))
    shown = ordered[:MAX_PROBLEMS]
    if (left := len(ordered) - len(shown)) > 0:
        last = shown[-1]
        message, hint = f"there are {left} more problems", "correct these first"
        shown.append(
            PolicyProblem(
                file=last.file, line=last.line, column=last.column, message=message, hint=hint
            )
        )
    return tuple(shown)


def nearest(word: str, names: Iterable[str]) -> str:
    """The hint "did you mean `tool`?"; "" when nothing is near."""
    near = difflib.get_close_matches(word[:64], list(names), n=1)
    return f"did you mean `{near[0]}`?" if near and near[0] != word else ""


def render(problems: Iterable[PolicyProblem]) -> str:
    """The problems for a terminal: where, what is wrong, and the line with what is meant."""
    return "\n".join(map(_rendered, problems))


def _rendered(problem: PolicyProblem) -> str:
    if not problem.text:
        return str(problem)
    begin = max(0, problem.column - 1 - _WIDTH // 2)
    part = problem.text[begin : begin + _WIDTH].replace("\t", " ")
    indent = problem.column - 1 - begin
    carets = "^" * max(1, min(problem.length, len(part) - indent))
    return f"{problem}\n    {part}\n    {' ' * indent}{carets}"
