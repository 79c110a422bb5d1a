"""What a Python function says of itself as a tool: schema, description, how it is called."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.tools import content
from stepwell.tools.port import CallContext, ToolFailed, ToolSpec
from stepwell.tools.shelf import Offer

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
"""What a tool may be called: what MCP clients and every model provider accept, less a little."""

Function = Callable[..., Any]


class Declaration(Struct, frozen=True, kw_only=True):
    """A function as a tool.

    `parameters` decodes the arguments; None hands them over as the JSON that they are.
    `context` is the parameter that takes the `CallContext`, if there is one. `offer` is the
    resource or the prompt that it is, where it is one.
    """

    spec: ToolSpec
    parameters: type[Struct] | None = None
    context: str = ""
    offer: Offer | None = None

    def value(self, result: object) -> object:
        """What the function has returned, as the log will hold it; not yet encoded.

        Raises:
            ToolFailed: INVALID_RESULT, it is no resource, or no prompt.
        """
        match self.spec.role:
            case "tool":
                return content.tool_value(result)
            case "resource":
                return content.resource_value(result)
            case "prompt":
                return content.prompt_value(result)

    def bind(self, arguments: Mapping[str, Json], context: CallContext | None) -> dict[str, Any]:
        """The keyword arguments for the function.

        Raises:
            ToolFailed: INVALID_ARGUMENTS, a value fits the schema but not the type (a
                malformed date, for instance).
        """
        keywords = dict(arguments) if self.parameters is None else self._decoded(arguments)
        if self.context:
            keywords[self.context] = context
        return keywords

    def _decoded(self, arguments: Mapping[str, Json]) -> dict[str, Any]:
        assert self.parameters is not None
        try:
            decoded = _convert(arguments, self.parameters)
        except msgspec.ValidationError as error:
            message = f"the arguments of {self.spec.name} do not fit: {error}"
            raise ToolFailed(message, code=Code.INVALID_ARGUMENTS, retryable=False) from error
        return {
            name: value
            for name in decoded.__struct_fields__
            if (value := getattr(decoded, name)) is not UNSET
        }


def described_parameters(function: Function, name: str) -> tuple[type[Struct], str]:
    """The parameters of a function as a struct, and the one that takes the context.

    Raises:
        TypeError: one of them cannot be described; the message says what to write instead.
    """
    hints = _hints(function, name)
    fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
    context = ""
    for parameter in inspect.signature(function).parameters.values():
        kind, word = parameter.kind, parameter.name
        if kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"tool {name}: {parameter} cannot be described; name every parameter, "
                "or give input_schema="
            )
        if kind is parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"tool {name}: {word} is positional only; arguments come by name, remove the /"
            )
        if word not in hints:
            raise TypeError(f"tool {name}: {word} has no type; write for instance {word}: str")
        if hints[word] is CallContext:
            context = word
        elif parameter.default is parameter.empty:
            fields.append((word, hints[word]))
        else:
            fields.append((word, hints[word] | UnsetType, UNSET))
    struct = msgspec.defstruct(
        f"{function.__name__}_arguments", fields, kw_only=True, forbid_unknown_fields=True
    )
    return struct, context


def context_parameter(function: Function, name: str) -> str:
    """The parameter that takes the `CallContext`; "" when there is none."""
    hints = _hints(function, name)
    return next((word for word, hint in hints.items() if hint is CallContext), "")


def input_schema(function: Function, name: str, parameters: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of the parameters, with defaults and what the docstring says of them.

    Raises:
        TypeError: a type has no JSON Schema.
    """
    schema = _object_schema(parameters, f"tool {name}")
    signature = inspect.signature(function)
    said = _argument_docs(function)
    for word, part in schema.get("properties", {}).items():
        if word in said:
            part.setdefault("description", said[word])
        default = signature.parameters[word].default
        if default is not inspect.Parameter.empty:
            try:
                part["default"] = msgspec.to_builtins(default)
            except TypeError:  # a marker of the function's own: it is optional, that is all
                continue
    return schema


def output_schema(function: Function, name: str) -> dict[str, Any] | None:
    """The JSON Schema of a result with named fields; None for every other one."""
    returned = _hints(function, name).get("return")
    if not isinstance(returned, type) or content.is_rich(returned):
        return None
    if not (
        issubclass(returned, Struct)
        or hasattr(returned, "__dataclass_fields__")
        or typing.is_typeddict(returned)
    ):
        return None
    return _object_schema(returned, f"tool {name}, its result")


def description(function: Function) -> str:
    """The first paragraph of the docstring, in one line."""
    paragraph = (inspect.getdoc(function) or "").split("\n\n", 1)[0]
    return " ".join(paragraph.split())


# --- reading a function ------------------------------------------------------------------


def _hints(function: Function, name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"tool {name}: the name {error.name} in its type hints is not known when the module "
            "is imported; import it outside of TYPE_CHECKING, at the top of the module"
        ) from error


def _object_schema(described: type, what: str) -> dict[str, Any]:
    """The schema of a type with fields, at the root; what it refers to is under $defs."""
    try:
        (root,), parts = msgspec.json.schema_components([described], ref_template="#/$defs/{name}")
    except TypeError as error:
        reason = str(error).splitlines()[-1]
        raise TypeError(
            f"{what} cannot be described as JSON: {reason}; use str, int, float, bool, list, dict, "
            "Literal, datetime, an enum, a dataclass, a TypedDict or a msgspec.Struct, or give "
            "the schema yourself"
        ) from error
    name = root["$ref"].removeprefix("#/$defs/")
    refers_to_itself = f'"#/$defs/{name}"'.encode() in msgspec.json.encode(parts)
    schema = dict(parts[name]) if refers_to_itself else parts.pop(name)
    if described.__name__.endswith("_arguments"):
        schema.pop("title", None)
    return {**schema, "$defs": parts} if parts else schema


_SECTION = re.compile(r"^(Args|Arguments|Parameters):[ \t]*\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def _argument_docs(function: Function) -> dict[str, str]:
    """What the section `Args:` of a Google style docstring says, by parameter."""
    section = _SECTION.search(text := inspect.getdoc(function) or "")
    if section is None:
        return {}
    said: dict[str, str] = {}
    indent, word = "", ""
    for line in text[section.end() :].splitlines():
        if line.strip() and not line[0].isspace():
            break
        entry = _ENTRY.match(line)
        if entry and (not indent or entry[1] == indent):
            indent, word = entry[1], entry[2]
            said[word] = entry[3].strip()
        elif word and line.strip():
            said[word] = f"{said[word]} {line.strip()}".strip()
    return {name: docs for name, docs in said.items() if docs}


def _convert(arguments: Mapping[str, Json], parameters: type[Struct]) -> Struct:
    try:
        return msgspec.convert(arguments, parameters)
    except msgspec.ValidationError:
        # In JSON Schema 5.0 is an integer, and some models write all their numbers so.
        return msgspec.convert(_whole(arguments), parameters)


def _whole(value: Json) -> Json:
    """The value with every float that is a whole number as an int."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return value
