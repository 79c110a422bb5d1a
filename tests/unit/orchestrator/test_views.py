"""What a view of a run says of it."""

import pytest

from stepwell.orchestrator.views import Run, RunStatus, Waiting, stuck


def run(status: RunStatus, *waits: str) -> Run:
    waiting = tuple(Waiting(step="s", on=on) for on in waits)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return Run(
        id="r",
        workflow="w",
        version="v",
        principal="agent:local",
        status=status,
        created_at=0,
        updated_at=0,
        waiting=waiting,
    )


@pytest.mark.parametrize(
    ("view", "is_stuck"),
    [
        (run(RunStatus.WAITING, "human"), True),
        (run(RunStatus.WAITING, "signal", "input"), True),
        (run(RunStatus.PAUSED), True),
        (run(RunStatus.PAUSED, "budget"), True),
        (run(RunStatus.WAITING, "timer"), False),
        (run(RunStatus.WAITING, "human", "timer"), False),
        (run(RunStatus.WAITING, "queue"), False),
        (run(RunStatus.RUNNING, "human"), False),
        (run(RunStatus.RUNNING), False),
    ],
)
def test_a_run_is_stuck_while_nothing_happens_to_it_by_itself(view: Run, is_stuck: bool) -> None:
    assert stuck(view) is is_stuck
