"""Labels on the command line."""

from typing import Annotated, TypeAlias

import typer

from stepwell.errors import Code, InvalidRequest

LabelOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; repeatable.")
]


def read_labels(pairs: list[str] | None) -> dict[str, str]:
    """The labels that `--label` was given.

    Raises:
        InvalidRequest: one has no value.
    """
    labels = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest(
                f"--label {pair!r} has no value; write it like team=shop", code=Code.INVALID_CONFIG
            )
        labels[key] = value
    return labels
