"""How often the subschemas of a schema look at a value, which grows with its levels.

A schema that refers to itself twice for the same part of a value has the validator look there
twice as often with each level: such values may have fewer levels than others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

MAX_VISITS = 10_000
"""Times that subschemas may look at one and the same part of a value."""

_MAX_STEPS = 1_000_000
"""Steps that finding out may take."""


class _Children(Struct, frozen=True):
    """The subschemas, by identity, that look at the members of an object or of an array."""

    named: dict[str | int, Counter[int]]
    others: Counter[int]

    def of(self, name: str | int) -> Counter[int]:
        """Those that look at one member."""
        return self.named.get(name, self.others)


class Visits:
    """Counts for one schema, whose references have been followed already."""

    def __init__(
        self,
        root: dict[str, Any],
        *,
        same: Mapping[int, Sequence[dict[str, Any]]],
        counts: Mapping[int, int],
    ) -> None:
        """`same` are the subschemas that look at the same value as another, by its identity.

        `counts` tells how many they are together, one inside the other.
        """
        self._same = same
        self._counts = counts
        self._parts = {id(root): root}
        self._known: dict[int, tuple[_Children, ...]] = {}
        self._root = id(root)
        self._steps = 0

    def levels(self, most: int) -> int:
        """Levels that a value may have so that no part is looked at too often; 0 is none."""
        below = self._below()
        steps = 1 + sum(len(child) for children in below.values() for child in children)
        bound = min(most, _MAX_STEPS // steps)
        counts = {part: self._counts[part] for part in below}
        for level in range(1, bound + 1):
            deeper = {
                part: self._counts[part]
                + max((_total(child, counts) for child in children), default=0)
                for part, children in below.items()
            }
            if deeper[self._root] > MAX_VISITS:
                return level - 1
            if deeper == counts:
                return most
            counts = deeper
        return bound

    def _below(self) -> dict[int, list[Counter[int]]]:
        """What looks at each member, for the root and all that is reached from it."""
        below: dict[int, list[Counter[int]]] = {}
        ahead = [self._root]
        while ahead:
            part = ahead.pop()
            if part in below or self._steps > _MAX_STEPS:
                continue
            below[part] = [
                child
                for children in self._children(self._parts[part])
                for child in (*children.named.values(), children.others)
                if child
            ]
            ahead.extend(target for child in below[part] for target in child)
        if self._steps > _MAX_STEPS:  # nobody writes such a schema by hand
            return {self._root: [Counter({self._root: MAX_VISITS})]}
        return below

    def _children(self, part: dict[str, Any]) -> tuple[_Children, ...]:
        known = self._known.get(id(part))
        if known is None:
            own = self._own(part)
            known = own
            for inner in self._same[id(part)]:
                known = tuple(map(self._merged, known, self._children(inner)))
            self._known[id(part)] = known
        return known

    def _own(self, part: dict[str, Any]) -> tuple[_Children, ...]:
        named = part.get("properties", {})
        patterns = part.get("patternProperties", {}).values()
        every = self._counter([*patterns, part.get("unevaluatedProperties")])
        members = self._family(named.items(), part.get("additionalProperties"), every)
        every = self._counter([part.get("contains"), part.get("unevaluatedItems")])
        items = self._family(enumerate(part.get("prefixItems", ())), part.get("items"), every)
        return members, items

    def _family(
        self, named: Iterable[tuple[str | int, Any]], others: Any, every: Counter[int]
    ) -> _Children:
        return _Children(
            {name: self._counter([inner]) + every for name, inner in named},
            self._counter([others]) + every,
        )

    def _counter(self, parts: Iterable[Any]) -> Counter[int]:
        found = [part for part in parts if isinstance(part, dict)]
        self._parts.update((id(part), part) for part in found)
        return Counter(id(part) for part in found)

    def _merged(self, one: _Children, other: _Children) -> _Children:
        if not (one.named or one.others):
            return other
        if not (other.named or other.others):
            return one
        self._steps += len(one.named) + len(other.named) + len(one.others) + len(other.others)
        if self._steps > _MAX_STEPS:
            return one
        names = one.named.keys() | other.named.keys()
        named = {name: one.of(name) + other.of(name) for name in names}
        return _Children(named, one.others + other.others)


def _total(child: Counter[int], counts: Mapping[int, int]) -> int:
    return sum(times * counts[part] for part, times in child.items())
