"""`@resource` declares a function that gives what clients may read under a URI."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from stepwell.tools.completion import Choices, completers
from stepwell.tools.content import Role
from stepwell.tools.icons import Icon, icons_of
from stepwell.tools.port import ToolSpec
from stepwell.tools.python import declare, microseconds
from stepwell.tools.shelf import OURS, ResourceOffer
from stepwell.tools.uris import Template, template

F = TypeVar("F", bound=Callable[..., Any])

PREFIX = "resource."
"""Before the name of the tool by which a resource is read: policy and the log name that one."""


def resource(
    uri: str,
    *,
    name: str = "",
    title: str = "",
    description: str = "",
    mime: str = "",
    size: int | None = None,
    icons: Sequence[Icon | str] = (),
    audience: Sequence[Role] = (),
    priority: float | None = None,
    complete: Mapping[str, Choices] | None = None,
    timeout: timedelta | None = None,
) -> Callable[[F], F]:
    """Declares a function as a resource and returns the function itself.

    Each `{variable}` of the URI is a parameter of the function. It returns a string for a text, bytes
    for a blob, one or several `EmbeddedResource` where a URI or a type is to be said with them, or
    data, which becomes JSON. Reading it is a call of the read-only tool `resource.<name>`.
    `complete` gives the values of a variable as they are typed: a list, or a function of what was
    typed so far; the values of a `Literal` are known without. `priority` is from 0 to 1.

    Raises:
        TypeError: something cannot be described; the message says what to write instead.
    """
    try:
        parts = template(uri)
    except ValueError as error:
        raise TypeError(f"@resource: {error}") from error
    if uri.startswith(f"{OURS}:"):
        raise TypeError(f"@resource: {uri} is in the scheme of Stepwell's own resources")
    notes: dict[str, Any] = {"audience": list(audience)} if audience else {}
    if priority is not None:
        notes["priority"] = priority

    def declared(function: F) -> F:
        own = name or getattr(function, "__name__", "")

        def offer(spec: ToolSpec) -> ResourceOffer:
            _check(parts, spec)
            return ResourceOffer(
                name=own,
                tool=spec.name,
                title=title,
                description=spec.description,
                icons=icons_of(icons),
                uri=uri,
                mime=mime,
                size=size,
                template=parts if parts.variables else None,
                annotations=notes,
                complete=completers(spec.input_schema, complete or {}, f"resource {own}"),
            )

        return declare(function, _reader(own, title, description, timeout), offer=offer)

    return declared


def _reader(name: str, title: str, description: str, timeout: timedelta | None) -> ToolSpec:
    """What is said of the tool by which a resource is read."""
    return ToolSpec(
        name=PREFIX + name,
        title=title,
        description=description,
        input_schema={},
        read_only=True,
        idempotent=True,
        timeout=microseconds(timeout),
        role="resource",
    )


def _check(parts: Template, spec: ToolSpec) -> None:
    """Whether the function takes what the URI names."""
    properties = spec.input_schema.get("properties", {})
    given, taken = set(parts.variables), set(properties)
    if given - taken:
        raise TypeError(
            f"{spec.name}: {parts.text} names {', '.join(sorted(given - taken))}, which the function "
            "does not take"
        )
    missing = set(spec.input_schema.get("required", ())) - set(parts.path)
    if missing:
        raise TypeError(
            f"{spec.name}: {parts.text} does not name {', '.join(sorted(missing))}; write it into the "
            "URI, or give it a default"
        )
