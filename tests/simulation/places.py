"""Who is inside which queue, as the log has it: never more than the queue may hold."""

from collections import Counter
from collections.abc import Sequence

from stepwell.engine.state import RunState
from stepwell_storage.records import QueueRow


class Places:
    """The places of all runs."""

    def __init__(self, queues: Sequence[QueueRow]) -> None:
        self._most = {it.name: it.concurrency for it in queues if it.concurrency is not None}
        self._inside: dict[str, Counter[str]] = {}
        """How many places each run has, by queue."""

    def moved(self, state: RunState) -> str:
        """Notes where a run is now; tells of a queue that holds too many."""
        inside = _inside(state)
        if not inside and state.run not in self._inside:
            return ""
        self._inside[state.run] = inside
        for queue in inside.keys() & self._most.keys():
            held = sum(places[queue] for places in self._inside.values())
            if held > self._most[queue]:
                return f"{held} are in {queue}, which holds {self._most[queue]}"
        return ""


def _inside(state: RunState) -> Counter[str]:
    inside: Counter[str] = Counter()
    for ticket in state.tickets:
        if ticket:
            step = state.steps[ticket]
            inside[step.spec.queue] += not step.in_queue
        else:
            inside[state.queue] += state.is_admitted
    return inside
