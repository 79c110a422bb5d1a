"""`stepwell page`: the page on which people answer, opened by whoever owns the home."""

import webbrowser
from typing import Annotated
from urllib.parse import urlencode

import typer

from stepwell.clock import SystemClock
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import endpoints_of
from stepwell_server.home import Home
from stepwell_server.tickets import new_ticket


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(page)


def page(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="PATH", help="Where to begin: /approvals or /factor.")
    ] = "/approvals",
    show: Annotated[
        bool, typer.Option("--print", help="Print the link, and open no browser.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Open the page on which you answer, signed in as the owner; the link counts once."""
    output = Output(json=json)
    link = signed_link(home_or_default(home), to)
    if json:
        output.document({"url": link})
        return
    if show or not webbrowser.open(link):
        output.people.print(link, markup=False)


def signed_link(home: Home, path: str) -> str:
    """A link that signs the owner of a home in, once, within minutes.

    Raises:
        StepwellError: DAEMON_NOT_RUNNING.
    """
    endpoints = endpoints_of(home)
    ticket = new_ticket(home.owner_token(), SystemClock())
    query = urlencode({"ticket": ticket, "next": path})
    return f"{endpoints.page or endpoints.http}/sign-in?{query}"
