"""How far a map or a loop is, as a decision sees it: what ended, and what comes next."""

from msgspec import Struct

from stepwell.engine.expressions import ExpressionError
from stepwell.engine.graph import MAX_ITEMS, LoopNode, MapNode
from stepwell.engine.sight import Sight
from stepwell.engine.state import Fan, StepState
from stepwell.engine.values import NOTHING, Data


def child_step(owner: str, index: int) -> str:
    """The id of a step that a map or a loop makes."""
    return f"{owner}[{index}]"


def listed(items: Data) -> Data:
    """The items of a map.

    Raises:
        ExpressionError: it is no list, or has too many.
    """
    if not isinstance(items.value, list):
        kind = "null" if items.value is None else type(items.value).__name__
        raise ExpressionError(f"`map` needs a list, and was given {_KINDS.get(kind, kind)}")
    if len(items.value) > MAX_ITEMS:
        raise ExpressionError(
            f"the list has {len(items.value)} items, and one map may have {MAX_ITEMS}; split it, "
            "for instance into child workflows"
        )
    return items


_KINDS = {"dict": "a map", "str": "a string", "int": "a number", "float": "a number"}


class FanView:
    """A map or a loop and what this decision has added to it; the state does not change."""

    def __init__(self, owner: str, node: MapNode | LoopNode, input: Data, fan: Fan | None) -> None:
        """`fan` is None when the step is scheduled in this very decision."""
        self.owner = owner
        self.node = node
        self._items = _items(input)
        self._seal = input.sealed
        self._outputs = fan.outputs if fan is not None else [None] * len(self._items)
        self._added: dict[int, Data] = {}
        self._last = Data(value=fan.last, sealed=fan.sealed) if fan is not None else NOTHING
        self._sealed = fan.sealed if fan is not None else ""
        self.next = fan.next if fan is not None else 0
        self._ended = fan.ended if fan is not None else 0

    def begin(self) -> int:
        """Takes the next index."""
        self.next += 1
        return self.next - 1

    def end(self, index: int, output: Data) -> None:
        """A step of it has ended."""
        self._added[index] = self._last = output
        self._ended += 1
        self._sealed = self._sealed or output.sealed

    def may_begin(self, sight: Sight) -> bool:
        """Whether another step of it is to be scheduled now.

        Raises:
            ExpressionError: the condition of a loop has no value.
        """
        if isinstance(self.node, MapNode):
            return self.next < len(self._items) and self.next - self._ended < self.node.concurrency
        if self.next > self._ended or self.next >= self.node.max:
            return False
        again = self.node.again
        return again.holds(sight.see(again.refs, self.beside(self.next)))

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is left, once `may_begin` has said no."""
        return self._ended == self.next

    def beside(self, index: int) -> dict[str, Data]:
        """What the expressions of its step see, besides what all see."""
        beside = {"index": Data(value=index)}
        if isinstance(self.node, MapNode):
            beside["item"] = Data(value=self._items[index], sealed=self._seal)
        else:
            beside["last"] = self._last
        return beside

    def output(self) -> Data:
        """What it gives, when it has ended."""
        if isinstance(self.node, LoopNode):
            return self._last
        outputs = list(self._outputs)
        for index, output in self._added.items():
            outputs[index] = output.value
        return Data(value=outputs, sealed=self._sealed or self._seal)


def _items(input: Data) -> list[object]:
    return input.value if isinstance(input.value, list) else []


class Child(Struct, frozen=True):
    """The next step of a fan, to be scheduled."""

    fan: FanView
    index: int

    @property
    def step(self) -> str:
        """Its id."""
        return child_step(self.fan.owner, self.index)


def view_of(owner: StepState) -> FanView:
    """The fan of a step that is active."""
    assert isinstance(owner.spec, MapNode | LoopNode), f"{owner.id} repeats nothing"
    return FanView(owner.id, owner.spec, owner.input, owner.fan)
