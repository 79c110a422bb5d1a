"""What expressions may see, and what is wrong with those that see something else.

CEL checks syntax, functions and types. What it cannot know, because every variable is a map
to it, is checked here against the schemas of the input and of the agents' answers: the
members that an expression names.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec import UNSET

from stepwell.definitions.problems import Path, Place
from stepwell.definitions.sheet import Sheet
from stepwell.engine.expressions import Expression, ExpressionError, Template
from stepwell.engine.values import Json

Schema: TypeAlias = Mapping[str, Any]

RUN: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "workflow": {"type": "string"}},
}
INDEX: Schema = {"type": "integer"}
_ERROR: Schema = {
    "type": ["object", "null"],
    "properties": {"reason": {"type": "string"}, "message": {"type": "string"}},
}


def ended_node(output: Schema) -> Schema:
    """What a node is in an expression: a map that has its output, and why it failed or null."""
    return {"type": "object", "properties": {"output": output, "error": _ERROR}}


class Scope:
    """The variables of a document's expressions, each with the schema of its value.

    Nodes, `input` and `run` are maps; the `local` variables of a place may be anything.
    `unfinished` are nodes that have not ended when expressions are evaluated here, with what to
    read instead.
    """

    def __init__(
        self,
        sheet: Sheet,
        variables: Mapping[str, Schema],
        *,
        local: Iterable[str] = (),
        unfinished: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._sheet = sheet
        self._variables = variables
        self._names = frozenset(variables)
        self._local = frozenset(local)
        self._unfinished = unfinished

    def inside(self, node: str, instead: str, **local: Schema) -> "Scope":
        """The scope of expressions that are evaluated while a node goes on: with `local` ones."""
        variables = {**self._variables, **local}
        return Scope(self._sheet, variables, local=local, unfinished={node: instead})

    def undoing(self, node: str, output: Schema) -> "Scope":
        """The scope of what undoes a step of this scope, when all else has ended.

        It sees what the step saw, but not what was the `last` output then.
        """
        variables = {name: known for name, known in self._variables.items() if name != "last"}
        return Scope(
            self._sheet,
            {**variables, "output": output},
            local={"output", *(self._local & variables.keys())},
            unfinished={node: "what its step gave is `output`"},
        )

    def condition(self, text: Json, path: Path) -> Expression | None:
        """Compiles a condition; None, with a problem in the report, when it is wrong."""
        return self._compile(text, path, condition=True) if isinstance(text, str) else None

    def template(self, value: Json, path: Path) -> Template | None:
        """Compiles every string in a value that begins with `=`; None when one is wrong."""
        plan = self._plan(value, path)
        return None if plan is UNSET else Template(plan)

    def _plan(self, value: Json, path: Path) -> Json:
        if isinstance(value, str) and value.startswith("="):
            return self._compile(value, path) or UNSET
        if isinstance(value, dict):
            entries = {key: self._plan(part, (*path, key)) for key, part in value.items()}
            return UNSET if UNSET in entries.values() else entries
        if isinstance(value, list):
            items = [self._plan(part, (*path, index)) for index, part in enumerate(value)]
            return UNSET if UNSET in items else items
        return value

    def _compile(self, text: str, path: Path, *, condition: bool = False) -> Expression | None:
        if not text[1:].strip():
            self._sheet.wrong(path, "there is no expression after the =")
            return None
        try:
            expression = Expression(text[1:], self._names, condition=condition, dynamic=self._local)
        except ExpressionError as error:
            for complaint in error.message.split("\nERROR: "):
                self._explain(complaint, text, path)
            return None
        for name in sorted(expression.refs & self._unfinished.keys()):
            place, hint = self._find(name, text, path), self._unfinished[name]
            self._sheet.report.add(place, path, f"`{name}` has not ended here", hint)
            return None
        for members in expression.paths:
            self._check_members(members, text, path)
        return expression

    # --- what CEL says ------------------------------------------------------------------

    def _explain(self, complaint: str, text: str, path: Path) -> None:
        located = _LOCATED.fullmatch(complaint)
        if located is None:
            self._sheet.wrong(path, complaint)
            return
        undeclared = _UNDECLARED.match(located["reason"])
        if undeclared is not None:
            self._explain_undeclared(undeclared[1], text, path)
            return
        offset = int(located["column"]) if located["line"] == "1" else 0
        reason = _EXPECTING.sub("", located["reason"])
        hint = self._remedy(reason, path)
        place = self._place(path, offset)
        said = f"{reason}; {hint}" if hint else reason
        self._sheet.report.add(place, path, f"{said}{located['caret']}")

    def _remedy(self, reason: str, path: Path) -> str:
        """What would be right, where a mistake is a common one; before the caret, not after."""
        if _MIXED.search(reason):
            return "whole numbers and others do not mix, write double(...) around the whole one"
        word = _UNEXPECTED.match(reason)
        if word is not None and (native := _NATIVE.get(word[1])):
            return f"in CEL that is `{native}`"
        if _CUT_OFF.search(reason) and self._sheet.place(path).inside == 0:
            return (
                "if it was longer, write it in quotes: without them YAML ends it at `, ` and ` #`"
            )
        return ""

    def _explain_undeclared(self, name: str, text: str, path: Path) -> None:
        root = name.partition(".")[0]
        word = re.search(rf"\b{re.escape(name)}\s*(\()?", text)
        native = _NATIVE.get(name)
        hint = f"in CEL that is `{native}`" if native else ""
        if word is not None and word[1]:
            message = f"there is no function `{name}`"
        elif root in _LOCAL:
            message, hint = f"there is no `{root}` here", _LOCAL[root]
        else:
            message = f"there is no node `{root}`"
            hint = hint or self._sheet.report.nearest(root, self._names)
            hint = hint or "an expression sees `input`, `run` and nodes by their id"
        self._sheet.report.add(self._find(root, text, path), path, message, hint)

    # --- what CEL cannot know -----------------------------------------------------------

    def _check_members(self, members: tuple[str, ...], text: str, path: Path) -> None:
        schema = self._variables[members[0]]
        for depth, name in enumerate(members[1:], start=1):
            known = _members(schema)
            if known is None:
                return
            if name not in known:
                owner = ".".join(members[:depth])
                hint = self._sheet.report.nearest(name, known)
                hint = hint or (f"it has {', '.join(known)}"[:200] if known else "")
                place = self._find(name, text, path)
                self._sheet.report.add(place, path, f"`{owner}` has no `{name}`", hint)
                return
            schema = known[name]

    # --- places -------------------------------------------------------------------------

    def _find(self, word: str, text: str, path: Path) -> Place:
        found = re.search(rf"\b{re.escape(word)}\b", text)
        return self._place(path, found.start() if found else 0)

    def _place(self, path: Path, offset: int) -> Place:
        """The place of a character of a string, where the source shows it as it is."""
        place = self._sheet.place(path)
        if place.inside is None:
            return place
        return Place(place.line, place.column + place.inside + offset)


_LOCATED = re.compile(
    r"<input>:(?P<line>-?\d+):(?P<column>-?\d+): (?P<reason>[^\n]*)(?P<caret>.*)", re.DOTALL
)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_UNEXPECTED = re.compile(r"Syntax error: (?:mismatched|extraneous) input '(\w+)'")
_MIXED = re.compile(r"'_[-+*/<>=!]+_' applied to '\((?:int, double|double, int)\)'")
_CUT_OFF = re.compile("token recognition error|mismatched input '<EOF>'")
_NATIVE = {
    "len": "size(...)",
    "str": "string(...)",
    "float": "double(...)",
    "upper": "upperAscii()",
    "lower": "lowerAscii()",
    "strip": "trim()",
    "None": "null",
    "True": "true",
    "False": "false",
    "and": "&&",
    "or": "||",
    "is": "==",
}
"""What people write who come from another language, and what CEL has for it."""

_LOCAL = {
    "item": "it is an item of a map, in its `do`",
    "index": "it counts the steps of a map or a loop, in its `do`",
    "last": "it is what a loop gave the time before, in its `do` and its `while`",
    "output": "it is what a step gave, in its `compensate`; everywhere else that is `ID.output`",
}
"""Variables that are not there everywhere, and where they are."""

_EXPECTING = re.compile(r" expecting \{.*\}$")
"""CEL lists every token that could follow: noise."""

_OPEN_ENDED = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"}
    | {"dependentSchemas", "unevaluatedProperties"}
)
"""Keywords with which a schema may allow more than its `properties` list."""


def _members(schema: Any) -> Mapping[str, Any] | None:
    """The members that a value of this schema may have; None when the schema leaves it open."""
    if not isinstance(schema, Mapping) or _OPEN_ENDED & schema.keys():
        return None
    types = schema.get("type", "object")
    if "object" not in ([types] if isinstance(types, str) else types):
        return {}
    properties = schema.get("properties")
    if properties is None or schema.get("additionalProperties", False) is not False:
        return None
    return dict(properties)
