"""`stepwell key`: API keys, with which callers say who they are."""

from typing import Annotated

import typer

from stepwell.client import ApiKey
from stepwell_server.cli.attributes import AttributeOption, read_attributes
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

NamespaceOption = Annotated[
    str,
    typer.Option(
        "--namespace", metavar="NAME", help="Its namespace; else default.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="API keys: how users, agents and services say who they are.",
        no_args_is_help=True,
    )
    command(group)(create)
    command(group, "list")(list_keys)
    command(group)(revoke)
    app.add_typer(group, name="key")


async def create(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="Whose key it is: user:NAME, agent:NAME or service:NAME."
        ),
    ],
    *,
    namespace: NamespaceOption = "",
    expires: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long it counts, like 90d.", show_default=False),
    ] = "",
    attribute: AttributeOption = None,
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key, and print its token: nobody can ask for it again."""
    output = Output(json=json)
    lasts = read_duration(expires, "--expires")
    known = read_attributes(attribute)
    async with connected(home_or_default(home)) as client:
        made, token = await proven(
            code,
            lambda shown: client.api_keys.create(
                subject, namespace=namespace, expires_in=lasts, attributes=known, code=shown
            ),
        )
    if json:
        output.document({"key": made, "token": token})
        return
    output.note(
        f"key {made.id} is of {made.subject} in {made.namespace}. Keep this token, it is shown once; "
        "it is sent as `authorization: Bearer TOKEN`"
    )
    output.people.print(token, markup=False)


async def list_keys(
    *, namespace: NamespaceOption = "", home: HomeOption = None, json: JsonOption = False
) -> None:
    """List the keys; their tokens are known to nobody but their bearers."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.api_keys.list(namespace=namespace)
    if json:
        output.document({"keys": found})
        return
    output.table(
        ("key", "subject", "attributes", "made", "made by", "last used", "state"),
        map(_row, found),
        empty="no API keys yet; make one with: stepwell key create agent:NAME",
    )


async def revoke(
    id: Annotated[str, typer.Argument(metavar="KEY", help="The id of the key.")],
    *,
    namespace: NamespaceOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let nobody in with a key any more, within seconds everywhere."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        revoked = await client.api_keys.revoke(id, namespace=namespace)
    if json:
        output.document(revoked)
    else:
        output.note(f"revoked the key {revoked.id} of {revoked.subject}")


def _row(key: ApiKey) -> tuple[str, ...]:
    used = day_and_time(key.used_at) if key.used_at else "never"
    made = day_and_time(key.created_at)
    known = (f"{name}={'|'.join(texts)}" for name, texts in key.attributes.items())
    return (key.id, key.subject, " ".join(known), made, key.created_by, used, _state(key))


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {day_and_time(key.revoked_at)}"
    return f"until {day_and_time(key.expires_at)}" if key.expires_at else "counts"
