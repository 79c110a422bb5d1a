"""One call of a tool that a command makes and waits for."""

import typer

from stepwell.client import RunStatus
from stepwell.clock import SystemClock
from stepwell.engine.values import Json
from stepwell.errors import Code, StepwellError
from stepwell_server.cli.ending import ended, print_ended, told_how_to_go_on
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.waiting import Asked
from stepwell_server.home import Home


async def answer_of(
    tool: str, arguments: dict[str, Json], output: Output, home: Home, flag: str
) -> Json:
    """The object that the tool answers. While the call is held, the person is told what to do.

    Raises:
        StepwellError: the call failed; `detail` has its run.
    """
    since = SystemClock().now()
    async with connected(home) as client:
        started = await client.call(tool, arguments)
    with told_how_to_go_on(started.id, output, flag):
        run = await ended(home, started.id, Asked(output, flag, since=since))
    if run.failure is not None:
        reason = run.failure.reason
        raise StepwellError(
            run.failure.message,
            code=Code(reason) if reason in Code.__members__ else Code.INTERNAL,
            detail={**run.failure.detail, "run": run.id},
        )
    if run.status is not RunStatus.COMPLETED or not isinstance(run.output, dict):
        print_ended(run, output, flag)
        raise typer.Exit(Exit.FAILED)
    return run.output
