"""`@prompt` declares a function that gives the messages of a prompt."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, overload

from stepwell.tools.completion import Choices, completers
from stepwell.tools.icons import Icon, icons_of
from stepwell.tools.port import ToolSpec
from stepwell.tools.python import declare, microseconds
from stepwell.tools.shelf import Argument, PromptOffer

F = TypeVar("F", bound=Callable[..., Any])

PREFIX = "prompt."
"""Before the name of the tool by which a prompt is got: policy and the log name that one."""


@overload
def prompt(function: F, /) -> F: ...
@overload
def prompt(
    *,
    name: str = "",
    title: str = "",
    description: str = "",
    icons: Sequence[Icon | str] = (),
    complete: Mapping[str, Choices] | None = None,
    timeout: timedelta | None = None,
) -> Callable[[F], F]: ...
def prompt(
    function: F | None = None,
    /,
    *,
    name: str = "",
    title: str = "",
    description: str = "",
    icons: Sequence[Icon | str] = (),
    complete: Mapping[str, Choices] | None = None,
    timeout: timedelta | None = None,
) -> F | Callable[[F], F]:
    """Declares a function as a prompt and returns the function itself.

    Its parameters are the arguments of the prompt, which clients write as text: `5` for an `int`,
    JSON for a list. It returns a string, a block or a `Message`, or a list of them; strings
    and blocks are the user's. Getting it is a call of the read-only tool `prompt.<name>`. `complete` is
    that of `resource`.

    Raises:
        TypeError: something cannot be described; the message says what to write instead.
    """

    def declared(decorated: F) -> F:
        own = name or getattr(decorated, "__name__", "")

        def offer(spec: ToolSpec) -> PromptOffer:
            return PromptOffer(
                name=own,
                tool=spec.name,
                title=title,
                description=spec.description,
                icons=icons_of(icons),
                arguments=_arguments(spec.input_schema),
                complete=completers(spec.input_schema, complete or {}, f"prompt {own}"),
            )

        said = ToolSpec(
            name=PREFIX + own,
            title=title,
            description=description,
            input_schema={},
            read_only=True,
            idempotent=True,
            timeout=microseconds(timeout),
            role="prompt",
        )
        return declare(decorated, said, offer=offer)

    return declared if function is None else declared(function)


def _arguments(schema: Mapping[str, Any]) -> tuple[Argument, ...]:
    required = set(schema.get("required", ()))
    return tuple(
        Argument(
            name=name,
            title=part.get("title", ""),
            description=part.get("description", ""),
            required=name in required,
        )
        for name, part in schema.get("properties", {}).items()
    )
