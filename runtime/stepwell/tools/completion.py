"""What an argument may be, while somebody types it."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from stepwell.engine.values import Json
from stepwell.tools.schema import compiled
from stepwell.tools.shelf import Completer

Choices: TypeAlias = Sequence[str] | Callable[..., Any]
"""The values of an argument: all of them, or a function that finds them.

It is given what was typed so far and, when it takes a second parameter, the other arguments by name; it
may be async. One that is not runs in a thread of the daemon.
"""

PATIENCE: Final = 5.0
"""Seconds that a function has."""


def completers(
    schema: Mapping[str, Any], said: Mapping[str, Choices], what: str
) -> dict[str, Completer]:
    """A completer for each argument of which something is known.

    Raises:
        TypeError: there is no such argument, or its choices are neither a list nor a function.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name in said:
        if name not in properties:
            raise TypeError(f"{what}: complete names {name!r}, which is no parameter")
    found: dict[str, Completer] = {}
    for name, part in properties.items():
        choices = said.get(name, _known(part, schema.get("$defs", {})))
        if callable(choices):
            found[name] = _asked(choices)
        elif isinstance(choices, str):
            raise TypeError(f"{what}: complete[{name!r}] is a list of texts, or a function")
        elif choices:
            found[name] = _listed([str(one) for one in choices])
    return found


def matching(values: Iterable[str], typed: str) -> list[str]:
    """The values that begin with what was typed, then those that have it inside."""
    low = typed.casefold()
    kept = [value for value in values if low in value.casefold()]
    return sorted(kept, key=lambda value: not value.casefold().startswith(low))


def parsed(schema: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Json]:
    """Arguments that came as text, as the schema wants them; what does not fit stays text."""
    definitions = schema.get("$defs", {})
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {
        name: _parsed({"$defs": definitions, **properties[name]}, text)
        if name in properties
        else text
        for name, text in given.items()
    }


def _parsed(schema: Mapping[str, Any], text: str) -> Json:
    check = compiled(schema)
    if not check.problems(text):
        return text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return text if check.problems(value) else value


def _known(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """The values that a type allows."""
    if "$ref" in part:
        part = definitions.get(str(part["$ref"]).rpartition("/")[2], {})
    if part.get("type") == "boolean":
        return ["true", "false"]
    allowed = part.get("enum", [part["const"]] if "const" in part else [])
    return [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in allowed]


def _listed(values: Sequence[str]) -> Completer:
    async def complete(typed: str, _: Mapping[str, str]) -> Sequence[str]:
        return matching(values, typed)

    return complete


def _asked(function: Callable[..., Any]) -> Completer:
    takes_others = len(inspect.signature(function).parameters) > 1

    async def complete(typed: str, others: Mapping[str, str]) -> Sequence[str]:
        given = (typed, others) if takes_others else (typed,)
        async with asyncio.timeout(PATIENCE):
            if inspect.iscoroutinefunction(function):
                values = await function(*given)
            else:
                values = await asyncio.to_thread(function, *given)
        return [str(value) for value in values]

    return complete
