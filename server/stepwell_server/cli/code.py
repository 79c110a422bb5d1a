"""One-time codes on the command line: given with a flag, or asked for on a terminal."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias, TypeVar

import typer

from stepwell.errors import Code, StepwellError

T = TypeVar("T")

CodeOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--code",
        metavar="CODE",
        help="A one-time code of your app; asked for on a terminal where it is needed.",
        show_default=False,
    ),
]


async def proven(code: str, act: Callable[[str], Awaitable[T]]) -> T:
    """Does what may need a code: on a terminal it is asked for once that turns out.

    Raises:
        StepwellError: FACTOR_REQUIRED, where nobody can be asked; whatever `act` does.
    """
    try:
        return await act(code)
    except StepwellError as error:
        can_ask = "totp" in error.detail.get("kinds", "") and sys.stdin.isatty()
        if error.code is not Code.FACTOR_REQUIRED or not can_ask:
            raise
    return await act(asked("code of your authenticator app"))


def asked(what: str) -> str:
    """What is typed in, unseen."""
    answer: str = typer.prompt(what, hide_input=True, err=True)
    return answer.strip()
