"""`stepwell secrets`: the local store behind `secret://store/NAME`."""

import os
import sys
from typing import Annotated

import typer

from stepwell.config import load_settings
from stepwell.vault.secret_store import SecretStore
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.home import Home

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the secret.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="Secrets that settings refer to as secret://store/NAME.", no_args_is_help=True
    )
    command(group, "set")(set_secret)
    command(group, "list")(list_secrets)
    command(group)(remove)
    app.add_typer(group, name="secrets")


def set_secret(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Keep a secret, which is asked for, or read from standard input; it is never shown."""
    secret = (
        typer.prompt(f"The secret {name}", hide_input=True, err=True)
        if sys.stdin.isatty()
        else sys.stdin.read().rstrip("\r\n")
    )
    place = home_or_default(home)
    place.create()
    store_of(place).set(name, secret)
    output = Output(json=json)
    if json:
        output.document({"set": name, "reference": f"secret://store/{name}"})
    else:
        output.note(f"kept {name}; refer to it as secret://store/{name}")


def list_secrets(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the names of the secrets that there are."""
    output = Output(json=json)
    names = store_of(home_or_default(home)).names()
    if json:
        output.document({"secrets": names})
        return
    output.table(
        ("secret", "reference"),
        ((name, f"secret://store/{name}") for name in names),
        empty="no secrets yet; keep one with: stepwell secrets set NAME",
    )


def remove(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a secret; what refers to it cannot be started any more."""
    store_of(home_or_default(home)).remove(name)
    output = Output(json=json)
    if json:
        output.document({"removed": name})
    else:
        output.note(f"forgot {name}")


def store_of(home: Home) -> SecretStore:
    """The store of a home."""
    return SecretStore(home.path, key=load_settings(home.path, os.environ).secrets.key)
