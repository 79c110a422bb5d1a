"""How much an expression may make of what it reads, told before it is evaluated.

CEL's own budget counts the turns of loops and nothing else: not what one turn copies or
compares, not strings that double, not what `replace` puts in. An evaluation cannot be stopped
and is not a process of its own, so we estimate beforehand: the size of everything mentioned,
again for every turn of a loop that it is mentioned in, times what the calls can multiply.
"""

from collections.abc import Mapping, Sequence

from stepwell.engine.expression_text import (
    LOOPS,
    Call,
    Mention,
    builds,
    calls,
    literals,
    mentions,
)
from stepwell.engine.values import Json

MAX_COST = 4 * 1024 * 1024
"""Characters and elements that an evaluation may have to do with."""

MAX_TURNS = 10_000
"""Turns that all loops of one evaluation may take together; CEL's own limit."""


class Cost:
    """What evaluating a text may cost, for any values of its variables."""

    __slots__ = ("_again", "_factor", "_length", "_once", "_sized", "_splits")

    def __init__(self, text: str, names: frozenset[str]) -> None:
        found, made = mentions(text), tuple(calls(text))
        bound = {call.binds for call in made if call.binds}
        self._length = len(text)
        self._once = [m.path for m in found if m.path[0] in names]
        repeated = [m for m in found if _is_repeated(m, made)]
        # What a macro's name stands for may be anything that the expression reads.
        self._again = [m.path if m.path[0] not in bound else None for m in repeated]
        self._again = [path for path in self._again if path is None or path[0] in names]
        self._splits = any(call.name == "split" for call in made)
        self._factor = 1
        self._sized = 0
        for call in made:
            growth = _growth(call)
            self._factor *= growth or 1
            self._sized += growth is None

    def of(self, bindings: Mapping[str, Json]) -> int:
        """Characters and elements, at most; counting ends soon after `MAX_COST`."""
        size, elements = self._length, self._length
        for path in self._once:
            characters, members = measured(_reached(bindings, path), MAX_COST)
            size += characters + members
            elements += members + (characters if self._splits else 0)
            if size > MAX_COST:
                return size
        turns = min(MAX_TURNS, elements)
        again = sum(
            size if path is None else sum(measured(_reached(bindings, path), MAX_COST))
            for path in self._again
        )
        growth = self._factor
        for _ in range(self._sized):
            growth *= size
        return (size + turns * again) * growth


def measured(value: Json, enough: int) -> tuple[int, int]:
    """The characters and the elements of a value; counting ends when there are `enough`."""
    characters, elements = 0, 1
    ahead = [value]
    while ahead and characters + elements <= enough:
        part = ahead.pop()
        if isinstance(part, str):
            characters += len(part)
        elif isinstance(part, dict):
            characters += sum(map(len, part))
            elements += len(part)
            ahead += part.values()
        elif isinstance(part, list):
            elements += len(part)
            ahead += part
    return characters, elements


def _reached(bindings: Mapping[str, Json], path: Sequence[str]) -> Json:
    """What a path reads; what is not there has no size."""
    value: Json = bindings.get(path[0])
    for name in path[1:]:
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return value


def _is_repeated(mention: Mention, made: Sequence[Call]) -> bool:
    """Whether each turn of a loop reads the whole of it, not one item after the other."""
    around = [call for call in made if call.encloses(mention.start)]
    loop = next((call for call in around if call.name in LOOPS), None)
    if loop is None:
        return False
    binder = next((call for call in around if call.binds == mention.path[0]), None)
    return binder is None or binder.start < loop.start


def _growth(call: Call) -> int | None:
    """How many times its value a call may give; None is as many times as the value is large."""
    if call.binds:
        return _uses(call) if builds(call.arguments) else 1
    if call.name not in ("replace", "join"):
        return 1
    given = literals(call.arguments)
    if given is None:
        return None
    return max(1, len(given[-1]) - len("''")) if given else 1


def _uses(call: Call) -> int:
    """How often a macro uses the same part of what it gives a name to."""
    paths = [m.path for m in mentions(call.arguments) if m.path[0] == call.binds][1:]
    return max((sum(_overlap(one, other) for other in paths) for one in paths), default=1)


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))
