"""Random workflows: documents as a person would write them, compiled by the shipped compiler.

A workflow calls only those of lower levels, and each level has queues of its own. So whoever
holds a place in a queue never waits for somebody who waits for that same place.
"""

import json
import random
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from tests.simulation.bodies import TOOLS, Bodies

from stepwell.definitions.compile import compile_definition
from stepwell.engine.graph import Graph
from stepwell_storage.records import QueueRow

COUNT = 400
"""How many workflows all worlds share, so that they do not spend their time compiling."""
MOST_NODES = 9
LEVELS = (0.55, 0.3, 0.15)
"""How many of the workflows are of each level; those of level 0 call no other."""
NESTED = 399
"""A workflow that calls itself, so deeply that it is refused."""
MAX_DEPTH = 3
"""Runs that may be above one."""

INPUT = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}},
    "additionalProperties": False,
}

QUEUES = (
    *(QueueRow(f"steps{level}", 2, None, None, 0) for level in range(len(LEVELS))),
    *(QueueRow(f"runs{level}", 1, None, None, 0) for level in range(len(LEVELS))),
    QueueRow("slow", None, 2, 3_000_000, 0),
)
"""The queues of every world. The one called `open` is not there, so it lets everybody in."""


@lru_cache(maxsize=COUNT)
def graph(number: int) -> Graph:
    """The workflow of this number, always the same."""
    return compile_definition(json.dumps(document(number)).encode(), tools=TOOLS)


def graph_of(name: str) -> Graph:
    """The workflow of this name."""
    return graph(int(name.removeprefix("w")))


def document(number: int) -> dict[str, Any]:
    """The source of the workflow of this number."""
    dice = random.Random(f"document {number}")
    if number == NESTED:
        inner = {"id": "inner", "workflow": f"w{NESTED}", "with": {"n": "=input.n + 1"}}
        return {"workflow": f"w{NESTED}", "input": INPUT, "nodes": [inner]}
    return _Author(dice, _level(number)).write(f"w{number}")


def queues_of(graphs: Iterable[Graph]) -> list[QueueRow]:
    """The queues that runs of these workflows, and of those that they call, may ask for."""
    names = frozenset({"slow", "runs2"}).union(*(_queue_names(it.name) for it in graphs))
    return [queue for queue in QUEUES if queue.name in names]


@cache
def _queue_names(name: str) -> frozenset[str]:
    source = document(int(name.removeprefix("w")))
    names = {source.get("queue", "")}
    for node in source["nodes"]:
        body = node.get("do", node)
        names.add(body.get("queue", ""))
        if body.get("workflow", name) != name:
            names |= _queue_names(body["workflow"])
    return frozenset(names)


def _level(number: int) -> int:
    """The level of a workflow."""
    first = 0
    for level, share in enumerate(LEVELS):
        first += round(share * COUNT)
        if number < first:
            return level
    raise AssertionError(f"there are only {COUNT} workflows, and not {number}")


def _below(level: int) -> int:
    """How many workflows there are of lower levels; their numbers count from 0."""
    return round(sum(LEVELS[:level]) * COUNT)


class _Author:
    """Writes one document, node by node; a node refers only to those before it."""

    def __init__(self, dice: random.Random, level: int) -> None:
        self._dice = dice
        self._level = level
        self._nodes: list[dict[str, Any]] = []
        self._chosen: set[str] = set()
        """Nodes of which one other node decides whether they run."""
        self._untold: set[str] = set()
        """Nodes whose output no schema tells: a wrong member is found at run time only."""
        self._lists: list[str] = []
        """Nodes whose output is a list."""
        self._timely: set[str] = set()
        """Nodes whose output depends on when they ran: nothing is computed from that."""
        self._bodies = Bodies(
            dice,
            expression=self._expression,
            queue=self._queue,
            child=lambda: f"w{dice.randrange(_below(level))}" if level else None,
        )

    def write(self, name: str) -> dict[str, Any]:
        count = self._dice.randint(1, MOST_NODES)
        for index in range(count):
            self._nodes.append(self._node(f"n{index}", index, count))
        written: dict[str, Any] = {"workflow": name, "input": INPUT, "nodes": self._nodes}
        if self._bodies.agents:
            written["agents"] = self._bodies.agents
        if self._dice.random() < 0.1:
            written["queue"] = self._dice.choice((f"runs{self._level}", "slow", "open"))
        if self._timely or self._dice.random() < 0.7:
            written["output"] = {"last": self._expression(count), "n": "=input.n"}
        self._dice.shuffle(self._nodes)
        return written

    def _node(self, id: str, index: int, count: int) -> dict[str, Any]:
        free = [f"n{i}" for i in range(index + 1, count) if f"n{i}" not in self._chosen]
        kinds = ("step", "transform", "switch", "map", "loop")
        kind = self._dice.choices(kinds, (15, 2, 2 if free else 0, 3, 2))[0]
        match kind:
            case "step":
                node = self._step(id, index)
            case "transform":
                node = {"transform": {"made": self._expression(index)}}
            case "switch":
                node = {"switch": self._cases(index, free)}
            case "map":
                node = self._map(id, index)
            case _:
                node = self._loop(id, index)
        if kind not in ("transform", "switch") and self._dice.random() < 0.3:
            node["on_error"] = self._handler(free)
        if self._dice.random() < 0.25:
            node["if"] = self._condition(index)
        if index and self._dice.random() < 0.3:
            node["needs"] = [f"n{self._dice.randrange(index)}"]
        return {"id": id, **node}

    def _step(self, id: str, index: int) -> dict[str, Any]:
        body = self._bodies.write(index)
        if "tool" in body:
            self._untold.add(id)
        if body.pop("timely", False):
            self._timely.add(id)
        return body

    def _map(self, id: str, index: int) -> dict[str, Any]:
        body = self._bodies.write(index, local=("item", "index"))
        if body.pop("timely", False):
            self._timely.add(id)
        else:
            self._lists.append(id)
        node: dict[str, Any] = {"map": self._items(index), "do": self._continued(body)}
        if self._dice.random() < 0.5:
            node["concurrency"] = self._dice.randint(1, 2)
        return self._limited(node)

    def _loop(self, id: str, index: int) -> dict[str, Any]:
        body = self._bodies.write(index, local=("last", "index"))
        again = self._dice.choice(("=index < input.n % 4", "=last == null || index < 2"))
        if body.pop("timely", False):
            self._timely.add(id)
            again = "=index < 2"
        elif self._dice.random() < 0.05 and "tool" in body:
            again = "=last.not_there == index"
        loop = {"while": again, "max": self._dice.randint(1, 3)}
        return self._limited({"loop": loop, "do": self._continued(body)})

    def _items(self, index: int) -> Any:
        """What a map goes through; now and then it is no list."""
        lists = [node for node in self._lists if int(node[1:]) < index]
        if lists and self._dice.random() < 0.3:
            return f"={self._dice.choice(lists)}.output"
        if index and self._dice.random() < 0.05:
            return self._output(index)
        return [self._dice.choice((n, "=input.n")) for n in range(self._dice.choice((0, 1, 2, 3)))]

    def _continued(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "on_error": "continue"} if self._dice.random() < 0.3 else body

    def _limited(self, node: dict[str, Any]) -> dict[str, Any]:
        return {**node, "timeout": "40s"} if self._dice.random() < 0.2 else node

    def _handler(self, free: list[str]) -> str:
        """Who goes on when a node fails: nobody, or one that only runs then."""
        if not free or self._dice.random() < 0.5:
            return "continue"
        handler = self._dice.choice(free)
        self._chosen.add(handler)
        return handler

    def _cases(self, index: int, free: list[str]) -> list[dict[str, str]]:
        targets = self._dice.sample(free, min(len(free), self._dice.randint(1, 3)))
        self._chosen.update(targets)
        cases = [{"if": self._condition(index), "then": target} for target in targets]
        if len(cases) > 1 and self._dice.random() < 0.5:
            cases[-1] = {"else": targets[-1]}
        return cases

    def _queue(self) -> str:
        return self._dice.choice((f"steps{self._level}", "slow", "open"))

    # --- expressions ----------------------------------------------------------------------

    def _condition(self, index: int) -> str:
        choices = [f"=input.n % {self._dice.randint(2, 5)} != {self._dice.randint(0, 1)}"]
        if index:
            choices.append(f"=n{self._dice.randrange(index)}.output != null")
            choices.append(f"=n{self._dice.randrange(index)}.error == null")
        return self._dice.choice(choices)

    def _expression(self, index: int) -> Any:
        """Something to compute: a literal, the input, or what nodes before have given."""
        roll = self._dice.random()
        if not index or roll < 0.2:
            return self._dice.choice((1, "text", "=input.n", "=run.workflow", ["=input.n + 1"]))
        if roll < 0.7:
            return self._output(index)
        if roll < 0.8:
            node = f"n{self._dice.randrange(index)}"
            return f"={node}.error == null ? 'well' : {node}.error.reason"
        wrong = [f"n{i}" for i in range(index) if f"n{i}" in self._untold]
        if roll < 0.97 or not wrong:
            return {"x": self._output(index), "y": self._output(index)}
        return f"={self._dice.choice(wrong)}.output.not_there"

    def _output(self, index: int) -> str:
        """What a node before has given; of one that depends on the time, that it has."""
        node = f"n{self._dice.randrange(index)}"
        return f"={node}.output != null" if node in self._timely else f"={node}.output"
