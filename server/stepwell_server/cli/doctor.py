"""`stepwell doctor`: is everything there that Stepwell needs?"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import typer
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from stepwell.config import Settings, load_settings, origins
from stepwell.errors import StepwellError
from stepwell_server.cli import checks, setting_checks
from stepwell_server.cli.checks import Check, Status
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.home import Endpoints, Home

TIMEOUT = 5.0
"""Seconds for an answer of the daemon."""

_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(doctor)


async def doctor(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Check everything that can be wrong, and say how to repair it."""
    output = Output(json=json)
    found: list[Check] = []
    async for check in _checks(home_or_default(home)):
        found.append(check)
        if not json:
            _print(check, output)
    failed = any(check.status is Status.FAIL for check in found)
    if json:
        output.document({"ok": not failed, "checks": found})
    if failed:
        raise typer.Exit(Exit.FAILED)


async def _checks(home: Home) -> AsyncIterator[Check]:
    """Every check in turn; what asks the daemon is left out when none runs."""
    yield checks.check_python()
    yield checks.check_home(home)
    yield checks.check_disk(home)
    try:
        settings = load_settings(home.path, os.environ)
        set_by = origins(home.path, os.environ, {})
    except StepwellError as error:
        yield Check("settings", Status.FAIL, error.message, "correct it there")
        return
    endpoints = home.endpoints()
    yield setting_checks.check_file(home, endpoints)
    yield checks.check_daemon(home, endpoints)
    yield setting_checks.check_database(settings, set_by, endpoints)
    if endpoints:
        async for check in _live(home, endpoints):
            yield check
    else:
        for check in checks.check_ports(settings):
            yield check
    for check in _of_settings(settings, set_by):
        yield check


def _of_settings(settings: Settings, set_by: Mapping[str, str]) -> Iterator[Check]:
    yield from setting_checks.check_tools(settings, set_by)
    yield from setting_checks.check_models(settings, os.environ)
    yield from setting_checks.check_providers(settings)
    yield from setting_checks.check_encryption(settings, os.environ)


async def _live(home: Home, endpoints: Endpoints) -> AsyncIterator[Check]:
    yield await _health(endpoints)
    yield await _handshake(endpoints)
    try:
        async with connected(home) as client:
            datasources = await client.datasources.list()
            servers = await client.tools.servers()
            factors = await client.factors.list()
    except StepwellError as error:
        yield Check("datasources", Status.FAIL, error.message, "repair the database first")
        return
    for one in datasources:
        yield checks.check_datasource(one.name, one.url)
    for server in servers:
        yield checks.check_tool_server(server)
    yield checks.check_factors(len(factors))


async def _health(endpoints: Endpoints) -> Check:
    """The standard health service, which asks the database."""
    async with aio.insecure_channel(endpoints.grpc) as channel:
        try:
            health: Any = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        except aio.AioRpcError as error:
            fix = "stepwell down, then stepwell up"
            return Check("grpc", Status.FAIL, f"{endpoints.grpc}: {error.details()}", fix)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        fix = "look at the disk and the daemon's log"
        return Check("grpc", Status.FAIL, "the daemon cannot use its database", fix)
    return Check("grpc", Status.OK, f"{endpoints.grpc} serves, and its database answers")


async def _handshake(endpoints: Endpoints) -> Check:
    """What an MCP client would see."""
    from stepwell_server.cli.mcp_client import connected_mcp, every_tool  # takes a second

    try:
        async with connected_mcp(endpoints) as client:
            count = len(await every_tool(client))
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises is the finding
        return Check("mcp", Status.FAIL, f"{endpoints.mcp}: {error}", "read the daemon's log")
    return Check("mcp", Status.OK, f"{endpoints.mcp} offers {count} tools")


def _print(check: Check, output: Output) -> None:
    colour = _COLOURS[check.status]
    output.people.print(f"[{colour}]{check.status:<4}[/] {check.name:<18}", end=" ")
    output.people.print(check.message, markup=False)
    if check.fix and check.status is not Status.OK:
        output.people.print(f"     fix: {check.fix}", markup=False)
