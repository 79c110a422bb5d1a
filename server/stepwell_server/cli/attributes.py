"""What is known of a principal, on the command line."""

from typing import Annotated, TypeAlias

import typer

from stepwell.errors import Code, InvalidRequest

AttributeOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=TEXT",
        help="What rules of data know of it; repeatable, also for one name.",
        show_default=False,
    ),
]


def read_attributes(pairs: list[str] | None) -> dict[str, list[str]]:
    """The attributes that `--attribute` was given.

    Raises:
        InvalidRequest: one has no text.
    """
    found: dict[str, list[str]] = {}
    for pair in pairs or []:
        name, _, text = pair.partition("=")
        if not text:
            raise InvalidRequest(
                f"--attribute {pair!r} has no text; write it like tenant=42",
                code=Code.INVALID_CONFIG,
            )
        found.setdefault(name, []).append(text)
    return found
