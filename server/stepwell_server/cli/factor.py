"""`stepwell factor`: what you prove with that it is you who approves."""

import sys
from typing import Annotated

import typer

from stepwell.client import Client, Factor
from stepwell.errors import Code, StepwellError
from stepwell_server.cli.code import CodeOption, asked, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

TRIES = 3


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="Your second factor, which your agents do not have.", no_args_is_help=True
    )
    command(group)(enroll)
    command(group, "list")(list_factors)
    command(group)(remove)
    app.add_typer(group, name="factor")


async def enroll(
    *,
    label: Annotated[
        str, typer.Option(metavar="TEXT", help="What you call it.", show_default=False)
    ] = "",
    code: CodeOption = "",
    home: HomeOption = None,
) -> None:
    """Enrol an authenticator app, with a QR code; passkeys are enrolled on the page /factor."""
    if not sys.stdin.isatty():
        raise StepwellError(
            "a factor is enrolled by a person at a terminal, or on the page /factor",
            code=Code.INVALID_CONFIG,
        )
    output = Output()
    async with connected(home_or_default(home)) as client:
        await enrol_app(client, output, label=label, code=code)


async def list_factors(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List your factors."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.factors.list()
    if json:
        output.document({"factors": found})
        return
    output.table(
        ("factor", "kind", "label", "enrolled", "last used"),
        map(_row, found),
        empty="no factors yet; calls that wait for you cannot be approved before: stepwell factor enroll",
    )


async def remove(
    id: Annotated[str, typer.Argument(metavar="FACTOR", help="The id of the factor.")],
    *,
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Forget a factor; a code of any of yours is needed."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        await proven(code, lambda shown: client.factors.remove(id, code=shown))
    if json:
        output.document({"removed": id})
    else:
        output.note(f"removed the factor {id}")


async def enrol_app(client: Client, output: Output, *, label: str = "", code: str = "") -> None:
    """Shows a QR code, and takes codes until one is right.

    Raises:
        StepwellError: FACTOR_WRONG, none of them was.
    """
    import segno

    offer = await client.factors.offer_totp()
    has_others = bool(await client.factors.list())
    output.note("Scan this with an authenticator app (any that knows time-based codes):")
    segno.make(offer.uri, error="l").terminal(out=sys.stderr, compact=True)
    output.note(f"or type it in: {' '.join(_groups(offer.secret))}")
    if has_others and not code:
        code = asked("code of a factor that you have enrolled before")
    for left in reversed(range(TRIES)):
        try:
            made = await client.factors.enrol_totp(
                offer.ticket, asked("code that the new app shows"), label=label, other_code=code
            )
        except StepwellError as error:
            if error.code is not Code.FACTOR_WRONG or not left or has_others:
                raise
            output.note(error.message)
        else:
            output.note(
                f"enrolled {made.label} ({made.id}). Enrol a second factor soon, such as a passkey "
                "on the page: whoever loses the only one can approve nothing"
            )
            return


def _groups(secret: str) -> list[str]:
    return [secret[at : at + 4] for at in range(0, len(secret), 4)]


def _row(factor: Factor) -> tuple[str, ...]:
    used = day_and_time(factor.used_at) if factor.used_at else "never"
    return (factor.id, factor.kind, factor.label, day_and_time(factor.created_at), used)
