"""Where in the log of a run another one can go on from."""

from stepwell.engine.events import Event, RunForked, StepScheduled
from stepwell.errors import Code, NotFound
from stepwell.orchestrator.journal import Journal


async def find_fork(journal: Journal, namespace: str, run: str, step: str) -> tuple[str, int]:
    """The run whose log is shared, and its last event that is: the one before the step began.

    A step that a fork did not do itself is found in the run that it was forked from.

    Raises:
        NotFound: STEP_NOT_FOUND, the step never ran.
    """
    of = run
    while True:
        first, sequence = await _scheduled(journal, namespace, of, step)
        if sequence:
            return of, sequence - 1
        if not isinstance(first, RunForked):
            raise NotFound(
                f"the step {step!r} of the run {run} never ran, so there is nothing to go on from; "
                f"`stepwell show {run}` lists the steps that did",
                code=Code.STEP_NOT_FOUND,
            )
        of = first.run


async def _scheduled(
    journal: Journal, namespace: str, run: str, step: str
) -> tuple[Event | None, int]:
    """The first event of a run, and the sequence of the one that scheduled the step, or 0."""
    first: Event | None = None
    before = 0
    async for page in journal.read(namespace, run):
        first = first or page[0]
        for sequence, event in enumerate(page, before + 1):
            if isinstance(event, StepScheduled) and event.step == step:
                return first, sequence
        before += len(page)
    return first, 0
