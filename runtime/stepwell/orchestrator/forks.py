"""Where in the log of a run another one can go on from."""

from stepwell.engine.events import Event, RunForked, StepCompleted, StepScheduled
from stepwell.engine.graph import UNDO
from stepwell.errors import Code, FailedPrecondition, NotFound
from stepwell.orchestrator.journal import Journal


async def find_fork(journal: Journal, namespace: str, run: str, step: str) -> tuple[str, int]:
    """The run whose log is shared, and its last event that is: the one before the step began.

    A step that a fork did not do itself is found in the run that it was forked from.

    Raises:
        NotFound: STEP_NOT_FOUND, the step never ran.
        FailedPrecondition: NOT_APPLICABLE, what ended before it has been undone since.
    """
    of, undone = run, set[str]()
    while True:
        first, sequence = await _scheduled(journal, namespace, of, step)
        undone |= await _undone(journal, namespace, of, until=sequence - 1)
        if sequence:
            _refuse_undone(run, step, undone)
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


async def _undone(journal: Journal, namespace: str, run: str, *, until: int) -> set[str]:
    """Steps that a run has undone, of those that a fork from after its event `until` would share.

    `until` is -1 where the fork goes on from an older run: what this one has undone of that counts.
    """
    began: dict[str, int] = {}
    undone: set[str] = set()
    before = 0
    async for page in journal.read(namespace, run):
        for sequence, event in enumerate(page, before + 1):
            if isinstance(event, StepScheduled):
                began.setdefault(event.step, sequence)
            elif isinstance(event, StepCompleted) and event.step.endswith(UNDO):
                undone.add(event.step.removesuffix(UNDO))
        before += len(page)
    return {step for step in undone if began.get(step, 0) <= until or step not in began}


def _refuse_undone(run: str, step: str, undone: set[str]) -> None:
    if undone:
        raise FailedPrecondition(
            f"before the step {step!r} of the run {run} come steps that have been undone since: "
            f"{', '.join(sorted(undone))}; fork it from the first of them",
            code=Code.NOT_APPLICABLE,
        )
