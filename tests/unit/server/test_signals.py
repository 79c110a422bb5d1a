"""A process that is told to stop does, however its loop is."""

import signal
import subprocess
import sys

import pytest

BOUND = 20.0

PROGRAM = """
import asyncio, sys
from datetime import timedelta
import uvloop
from stepwell_server.signals import stop_on_signals

async def block(stop):
    while True:
        pass

async def hang(stop):
    await stop.wait()
    await asyncio.Event().wait()

async def obey(stop):
    await stop.wait()

async def main(how, limit):
    stop = stop_on_signals(timedelta(seconds=limit))
    asyncio.get_running_loop().call_soon(print, "ready")
    await asyncio.sleep(0)
    sys.stdout.flush()
    await {"block": block, "hang": hang, "obey": obey}[how](stop)

loop, how, limit = sys.argv[1:]
factory = {"uvloop": uvloop.Loop, "asyncio": asyncio.SelectorEventLoop}[loop]
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main(how, float(limit)))
"""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="uvloop, and signals of POSIX"),
    pytest.mark.parametrize("loop", ["uvloop", "asyncio"]),
]


def started(loop: str, how: str, limit: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, loop, how, str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("how", ["block", "hang"])
def test_a_stop_has_a_limit_whatever_the_loop_does(loop: str, how: str) -> None:
    with started(loop, how, 0.2) as process:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 1
    assert (f"in {how}" in said) == (how == "block")


def test_a_second_signal_kills_a_blocked_process(loop: str) -> None:
    with started(loop, "block", BOUND) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # the two may have been taken for the first
            process.send_signal(signal.SIGINT)
    assert -process.returncode in (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_loop_hears_a_signal_at_once(loop: str, signum: signal.Signals) -> None:
    with started(loop, "obey", BOUND) as process:
        process.send_signal(signum)
        assert process.wait(BOUND) == 0
