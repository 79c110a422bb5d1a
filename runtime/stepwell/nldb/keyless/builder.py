"""Builds a question from a root table outwards, along foreign keys.

What lies on the side of one row (an album's artist) is joined; what lies on the side of many (an
artist's albums) becomes a condition that such rows exist, so that no row is ever doubled.
"""

from collections.abc import Callable, Sequence

from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.paths import Edge, Path
from stepwell.nldb.plan.model import (
    Col,
    Condition,
    Exists,
    Expression,
    Filter,
    Join,
    Order,
    Output,
    Select,
)


class Unfit(Exception):
    """The slots do not fit together from this root; the text is for whoever asks why."""


class _Group:
    """Conditions that hold for one and the same row on the side of many."""

    def __init__(self, first: Join) -> None:
        self.first = first
        self.joins: dict[Path, Join] = {}
        self.where: list[Condition] = []


class Builder:
    """The question that grows."""

    def __init__(self, world: World, root: str, *, joins: bool = True) -> None:
        """Without `joins` whatever is not in the root becomes a condition, as a change needs it."""
        self.world = world
        self.root = root
        self._may_join = joins
        self._names: dict[str, int] = {}
        self.name = self._fresh(root)
        self._joins: dict[Path, Join] = {}
        self._groups: dict[Path, _Group] = {}
        self.where: list[Condition] = []
        self.outputs: list[Output] = []
        self.group: list[Expression] = []
        self.having: list[Filter] = []
        self.order: list[Order] = []
        self.limit: int | None = None
        self.ties = False
        self.distinct = False
        self.assumptions: list[str] = []
        self.meanings: list[str] = []

    def _fresh(self, table: str) -> str:
        bare = self.world.table(table).bare
        count = self._names.get(bare, 0) + 1
        self._names[bare] = count
        return bare if count == 1 else f"{bare}_{count}"

    def joined(self, path: Path, *, outer: bool = False) -> str:
        """The name of the table at the end of a path, which is joined."""
        name = self.name
        for length in range(1, len(path) + 1):
            prefix = path[:length]
            if prefix not in self._joins:
                edge = prefix[-1]
                self._joins[prefix] = Join(
                    edge.other, self._fresh(edge.other), name, edge.on, outer
                )
            name = self._joins[prefix].name
        return name

    def column(self, path: Path, column: str) -> Col:
        """A column that there is once for each row of the root.

        Raises:
            Unfit: it lies on the side of many.
        """
        if not all(edge.to_one for edge in path):
            raise Unfit(f"each row of {self.root} has several {path[-1].other}")
        outer = any(self._is_optional(edge) for edge in path)
        return Col(self.joined(path, outer=outer), column)

    def _is_optional(self, edge: Edge) -> bool:
        known = self.world.table(edge.table)
        return any(c.nullable for c in known.columns if c.name in edge.key)

    def add(
        self,
        path: Path,
        conditions: Callable[[str], Sequence[Condition]],
        *,
        outer: bool = False,
    ) -> None:
        """Conditions on the table at the end of a path, made for its name in the question.

        With `outer` they are also about rows that have no row there.
        """
        many = next(
            (
                i
                for i, edge in enumerate(path)
                if not (edge.to_one and self._may_join) and path[: i + 1] not in self._joins
            ),
            None,
        )
        if many is None:
            self.where += conditions(self.joined(path, outer=outer))
            return
        prefix = path[: many + 1]
        if prefix not in self._groups:
            edge = prefix[-1]
            there = self.joined(path[:many])
            self._groups[prefix] = _Group(Join(edge.other, self._fresh(edge.other), there, edge.on))
        group = self._groups[prefix]
        name = group.first.name
        for length in range(many + 2, len(path) + 1):
            inner = path[:length]
            if inner not in group.joins:
                edge = inner[-1]
                group.joins[inner] = Join(edge.other, self._fresh(edge.other), name, edge.on)
            name = group.joins[inner].name
        group.where += conditions(name)

    def without(self, path: Path) -> None:
        """That no row is there at the end of a path."""
        if not path:
            raise Unfit("nothing is without itself")
        first, name = None, self.name
        joins: list[Join] = []
        for edge in path:
            join = Join(edge.other, self._fresh(edge.other), name, edge.on)
            name = join.name
            if first is None:
                first = join
            else:
                joins.append(join)
        assert first is not None
        self.where.append(Exists(first, tuple(joins), (), True))

    def conditions(self) -> tuple[Condition, ...]:
        """All conditions, those on the side of many included."""
        made = [
            Exists(group.first, tuple(group.joins.values()), tuple(group.where))
            for group in self._groups.values()
        ]
        return (*self.where, *made)

    def select(self) -> Select:
        """The question as a plan."""
        return Select(
            table=self.root,
            name=self.name,
            joins=tuple(self._joins.values()),
            outputs=tuple(self.outputs),
            where=self.conditions(),
            group=tuple(self.group),
            having=tuple(self.having),
            order=tuple(self.order),
            limit=self.limit,
            ties=self.ties,
            distinct=self.distinct,
            assumptions=tuple(dict.fromkeys(self.assumptions)),
        )

    def output(self, value: Expression, name: str) -> None:
        """One more column of the answer; its name is made unlike the others'."""
        if any(output.value == value for output in self.outputs):
            return
        taken = {output.name for output in self.outputs}
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        self.outputs.append(Output(value, unique))
