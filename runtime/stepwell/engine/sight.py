"""What expressions see of a run while a decision is being made, and under which seal."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from stepwell.engine.expressions import Template
from stepwell.engine.graph import CONTINUE
from stepwell.engine.state import RunState, StepPhase
from stepwell.engine.values import NOTHING, Data, Failure, Json


class Ended(Struct, frozen=True, gc=False):
    """How a node ended, as the nodes after it see it.

    `handled` is that of its failure; a node that was skipped has no output and no failure.
    """

    output: Data = NOTHING
    failure: Failure | None = None
    handled: str = ""
    is_skipped: bool = False

    @property
    def is_passed_over(self) -> bool:
        """Whether nodes that need it count it as skipped: it was, or another took over."""
        return self.is_skipped or self.handled not in ("", CONTINUE)


SKIPPED = Ended(is_skipped=True)


class Sight:
    """A state that does not change, and beside it what this decision has added."""

    __slots__ = ("_ended", "_input", "_state")

    def __init__(self, state: RunState, given: Data | None = None) -> None:
        """`given` is the input of a run that is just being started."""
        self._state = state
        self._input = state.input if given is None else given
        self._ended: dict[str, Ended] = {}

    def add(self, node: str, ended: Ended) -> None:
        """A node has ended in this decision."""
        self._ended[node] = ended

    @property
    def added(self) -> int:
        """How many nodes have ended in this decision."""
        return len(self._ended)

    def of(self, node: str) -> Ended:
        """How a node ended that has."""
        ended = self._ended.get(node)
        if ended is not None:
            return ended
        step = self._state.steps[node]
        if step.phase is StepPhase.SKIPPED:
            return SKIPPED
        return Ended(step.output, step.failure, step.handled)

    def render(self, template: Template | None, beside: Mapping[str, Data] | None = None) -> Data:
        """A template's value; `beside` are variables that only this one sees.

        Raises:
            ExpressionError: it has none.
        """
        if template is None:
            return NOTHING
        if not template.refs:
            return Data(template.render({}))
        value = template.render(self.see(template.refs, beside))
        return Data(value=value, sealed=self.seal(template.refs, beside))

    def see(self, refs: Iterable[str], beside: Mapping[str, Data] | None = None) -> dict[str, Json]:
        """The values of variables."""
        beside = beside or {}
        return {
            name: beside[name].value if name in beside else self._variable(name) for name in refs
        }

    def seal(self, refs: Iterable[str], beside: Mapping[str, Data] | None = None) -> str:
        """What is computed from sealed data is sealed: the label, "" where none is."""
        for name in sorted(refs):
            if beside and name in beside:
                data = beside[name]
            elif name == "input":
                data = self._input
            else:
                data = NOTHING if name == "run" else self.of(name).output
            if data.sealed:
                return data.sealed
        return ""

    def _variable(self, name: str) -> Json:
        if name == "input":
            return self._input.value
        if name == "run":
            return {"id": self._state.run, "workflow": self._state.graph.name}
        ended = self.of(name)
        why = ended.failure
        error = None if why is None else {"reason": str(why.reason), "message": why.message}
        return {"output": ended.output.value, "error": error}
