"""`=` expressions: Google's CEL behind our own small port.

A string that begins with `=` is an expression, everything else is literal. What an
expression may see is `input`, `run` (id, workflow) and the nodes that ended, each as a map
with `output`. CEL has no loops without a bound, and its regular expressions are RE2; here
the text, what it may make of what goes in, and what comes out are capped besides.

A text that is nothing but a path, `ask.output.total`, is checked by CEL and then read without
it: so it gives the very value, whatever its size, its numbers and the order of its keys.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache
from math import isfinite
from typing import Any

from cel_expr_python import cel

from stepwell.engine.depth import MAX_LEVELS, is_too_deep
from stepwell.engine.expression_cost import MAX_COST, Cost, measured
from stepwell.engine.expression_text import calls, mentions, plain_path
from stepwell.engine.values import Json
from stepwell.errors import Code, StepwellError

MAX_TEXT = 4096
MAX_OUTPUT = 1024 * 1024
"""Characters and elements that the result of an expression other than a path may hold."""

MAX_PART = 4 * 1024 * 1024
"""Characters and elements that a path may give where it is not all that a template has."""

EXTENSIONS = ("strings", "math", "optional", "bindings")
"""What an expression may use besides CEL's own functions. They are named, not imported: each
module of `cel_expr_python.ext` is CEL all over again, 3 MB of memory. `lists` and `sets` stay
out: the budget of iterations does not count theirs, and `lists.range(1000000000)` takes 30 GB."""


class ExpressionError(StepwellError):
    """An expression does not compile, or has no value for what it was given.

    `unquoted` says the same without quoting what it was given.
    """

    code = Code.EXPRESSION_ERROR

    def __init__(self, message: str, *, unquoted: str = "") -> None:
        super().__init__(message)
        self.unquoted = unquoted or message


class Expression:
    """One compiled expression. `refs` are the variables that it reads.

    `paths` are the members that it reads of them by name, each with its variable first:
    `ask.output.total > 3` has the path ("ask", "output", "total"). The variables are maps; those
    in `dynamic` may be anything. `plain` is the path that the whole expression is, or ().

    Raises:
        ExpressionError: it is too long, does not parse, names something that is not in
            `variables`, or cannot be of type bool where `condition` is set.
    """

    __slots__ = ("_cost", "_members", "_program", "paths", "plain", "refs", "text")

    def __init__(
        self,
        text: str,
        variables: Iterable[str],
        *,
        condition: bool = False,
        dynamic: Iterable[str] = (),
    ) -> None:
        if len(text) > MAX_TEXT:
            raise ExpressionError(
                f"the expression has {len(text)} characters, the limit is {MAX_TEXT}"
            )
        self.text = text
        names, anything = frozenset(variables), frozenset(dynamic)
        try:
            program = _environment(names, anything).compile(text)
            kind = program.return_type()
        except RuntimeError as error:
            raise ExpressionError(_reason(error)) from error
        if condition and kind not in (cel.Type.BOOL, cel.Type.DYN):
            raise ExpressionError(f"a condition must be a bool, this is {kind.name().lower()}")
        path = plain_path(text)
        self.plain: tuple[str, ...] = path if path and path[0] in names else ()
        # A program keeps its environment, which has 100 KB: a path goes without.
        self._program = None if self.plain else program
        bound = frozenset(call.binds for call in calls(text))
        paths = [mention.path for mention in mentions(text) if mention.path[0] in names]
        self.paths = tuple(path for path in paths if path[0] not in bound)
        self.refs = frozenset(
            name
            for name in {path[0] for path in paths}
            if name not in bound or not _compiles(text, names - {name}, anything)
        )
        self._cost = Cost(text, self.refs)
        self._members = {name: self._members_of(name) for name in self.refs}

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, bindings: Mapping[str, Json]) -> Json:
        """The value for these bindings of `refs`, as JSON.

        Raises:
            ExpressionError: a key is not there, types do not fit, too much would have to be
                done, or the result is too large or not JSON.
        """
        if self._program is None:
            return self._read(bindings)
        try:
            return self._compute(self._narrowed(bindings))
        except (MemoryError, RecursionError) as error:
            raise ExpressionError(f"={self.text:.200} takes more memory than there is") from error
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise self._failed(error) from error

    def _compute(self, bindings: dict[str, Json]) -> Json:
        assert self._program is not None, "a path is read"
        if self._cost.of(bindings) > MAX_COST:
            raise ExpressionError(
                f"={self.text:.200} may make more than {MAX_COST} characters and elements of what "
                "it reads; let it read less, or let a tool do it"
            )
        if any(_has_nul(value) for value in bindings.values()):
            raise ExpressionError(
                f"={self.text:.200} reads a text with a NUL character, at which CEL would end it"
            )
        result = self._program.eval(data=bindings)
        kind = result.type()
        if kind == cel.Type.ERROR:
            raise self._failed(result.value())
        # A null is never asked for its value: on Python 3.11 the library gives a reference to
        # `None` away each time, and a process whose last one is gone is aborted.
        return None if kind == _NULL else _as_json(result.value(), self.text)

    def _members_of(self, name: str) -> frozenset[str] | None:
        """The members of a variable that are read by name; None when all of it may be."""
        paths = [path for path in self.paths if path[0] == name]
        if not paths or any(len(path) == 1 for path in paths):
            return None
        return frozenset(path[1] for path in paths)

    def _narrowed(self, bindings: Mapping[str, Json]) -> dict[str, Json]:
        """The variables, with nothing in them but what is read.

        CEL takes in all that it is given: an expression that reads one word beside a long list
        would cost as much as the list is long, for every step that evaluates it.
        """
        narrowed = {}
        for name, members in self._members.items():
            value = bindings[name]
            if members is not None and isinstance(value, dict):
                value = {member: value[member] for member in members if member in value}
            narrowed[name] = value
        return narrowed

    def _read(self, bindings: Mapping[str, Json]) -> Json:
        """The value at the end of a plain path, the very one."""
        value = bindings[self.plain[0]]
        for name in self.plain[1:]:
            if not isinstance(value, dict):
                kind = _KINDS[type(value)]
                raise ExpressionError(f"{kind} has no member {name!r} (in ={self.text})")
            if name not in value:
                raise ExpressionError(f'Key not found in map : "{name}" (in ={self.text})')
            value = value[name]
        return value

    def _failed(self, error: object) -> ExpressionError:
        return ExpressionError(
            f"{_reason(error)} (in ={self.text})",
            unquoted=f"={self.text} has no value for what it was given",
        )

    def holds(self, bindings: Mapping[str, Json]) -> bool:
        """The value, which has to be true or false.

        Raises:
            ExpressionError: as `evaluate`, or it is neither.
        """
        value = self.evaluate(bindings)
        if not isinstance(value, bool):
            raise ExpressionError(
                f"={self.text} gave {value!r:.80}, a condition must be a bool",
                unquoted=f"={self.text} gave what is no bool, and a condition must be one",
            )
        return value


class Template:
    """JSON with expressions in it; `refs` are the variables that they read."""

    __slots__ = ("_plan", "refs")

    def __init__(self, plan: Json | Expression) -> None:
        """`plan` is JSON in which a leaf may be an `Expression`."""
        self._plan = plan
        self.refs: frozenset[str] = frozenset().union(*(e.refs for e in _leaves(plan)))

    def render(self, bindings: Mapping[str, Json]) -> Json:
        """The JSON with every expression replaced by its value.

        Raises:
            ExpressionError: one of them has none, or has too large a value. A path that stands
                alone may have any: it cannot make more of it.
        """
        if isinstance(self._plan, Expression):
            return self._plan.evaluate(bindings)
        return _render(self._plan, bindings)


def _has_nul(value: Json) -> bool:
    """Whether a text in a value has the character at which the library takes it to end."""
    ahead = [value]
    while ahead:
        part = ahead.pop()
        if isinstance(part, str):
            if "\0" in part:
                return True
        elif isinstance(part, dict):
            ahead += part
            ahead += part.values()
        elif isinstance(part, list):
            ahead += part
    return False


def _render(plan: Json | Expression, bindings: Mapping[str, Json]) -> Json:
    if type(plan) is dict:
        return {key: _render(part, bindings) for key, part in plan.items()}
    if type(plan) is list:
        return [_render(part, bindings) for part in plan]
    return _part(plan, bindings) if isinstance(plan, Expression) else plan


def _part(expression: Expression, bindings: Mapping[str, Json]) -> Json:
    # Two paths to the same output double it, and a row of such nodes would fill the memory.
    value = expression.evaluate(bindings)
    if expression.plain and sum(measured(value, MAX_PART)) > MAX_PART:
        raise ExpressionError(
            f"={expression.text} gives more than {MAX_PART} characters and elements"
        )
    return _shallow(value, expression.text) if expression.plain else value


def _shallow(value: Json, text: str) -> Json:
    # Nodes of which each wraps the output of the one before would make it ever deeper.
    if isinstance(value, dict | list) and is_too_deep(value):
        raise ExpressionError(f"={text} gives more than {MAX_LEVELS} maps and lists in one another")
    return value


def _leaves(plan: Json | Expression) -> list[Expression]:
    if isinstance(plan, Expression):
        return [plan]
    parts = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    return [leaf for part in parts for leaf in _leaves(part)]


@lru_cache(maxsize=64)
def _environment(names: frozenset[str], dynamic: frozenset[str]) -> cel.Env:
    of_map = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    kinds = {name: cel.Type.DYN if name in dynamic else of_map for name in names}
    return cel.NewEnv(config=_config(), variables=kinds)


@cache
def _config() -> cel.EnvConfig:
    names = "".join(f"  - name: {name}\n" for name in EXTENSIONS)
    return cel.NewEnvConfigFromYaml(f"extensions:\n{names}")


def _compiles(text: str, names: frozenset[str], dynamic: frozenset[str]) -> bool:
    try:
        _environment(names, dynamic).compile(text)
    except RuntimeError:
        return False
    return True


def _reason(error: object) -> str:
    """CEL's own sentence, without the status it is wrapped in."""
    text = str(error).strip()
    text = re.sub(r"^[A-Z_]+: (ERROR: )?", "", text)
    return re.sub(r"\s*\[[A-Z_]+\]$", "", text) or "the expression failed"


_KINDS = {
    type(None): "null",
    bool: "a bool",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
}
_NULL = cel.Type.NULL
_ATOMS = frozenset({bool, int, str})
_SIZED = frozenset({str, list, dict})


def _as_json(value: Any, text: str) -> Json:
    """What an expression gave, as JSON; inside of maps and lists are values of the library."""
    budget = MAX_OUTPUT

    def convert(value: Any) -> Json:
        nonlocal budget
        kind = type(value)
        budget -= len(value) if kind in _SIZED else 0
        if budget < 0:
            raise ExpressionError(f"={text} gives more than {MAX_OUTPUT} characters and elements")
        if kind in _ATOMS:
            return value
        if kind is dict:
            # A map of CEL has another order each time; the same expression gives the same bytes.
            return {
                str(key): None if part.type() == _NULL else convert(part.value())
                for key, part in sorted(value.items(), key=lambda item: str(item[0]))
            }
        if kind is list:
            return [None if part.type() == _NULL else convert(part.value()) for part in value]
        if kind is float and isfinite(value):
            return value
        if kind is datetime:
            return value.isoformat()
        if kind is timedelta:
            return f"{value.total_seconds():g}s"
        shown = value if kind is float else f"a {kind.__name__}"
        raise ExpressionError(f"={text} gives {shown}, which is not JSON")

    return _shallow(convert(value), text)
