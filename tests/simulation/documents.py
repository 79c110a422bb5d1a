"""Random workflows: documents as a person would write them, compiled by the shipped compiler."""

import json
import random
from functools import lru_cache
from typing import Any

from stepwell.definitions.compile import compile_definition
from stepwell.engine.graph import Graph

MOST_NODES = 12
TOOLS = ("look", "read", "pay", "ship")
"""What nodes and agents may call; `tests.simulation.script` says how each behaves."""

INPUT = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}},
    "additionalProperties": False,
}


@lru_cache(maxsize=4096)
def graph(number: int) -> Graph:
    """The workflow of this number, always the same."""
    return compile_definition(json.dumps(document(number)).encode(), tools=TOOLS)


def document(number: int) -> dict[str, Any]:
    """The source of the workflow of this number."""
    return _Author(random.Random(f"document {number}")).write(f"w{number}")


class _Author:
    """Writes one document, node by node; a node refers only to those before it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._nodes: list[dict[str, Any]] = []
        self._agents: dict[str, Any] = {}
        self._chosen: set[str] = set()
        """Nodes that a switch chooses between; each has one switch at most."""
        self._tools: set[str] = set()
        """Nodes whose output no schema tells: a wrong member is found at run time only."""

    def write(self, name: str) -> dict[str, Any]:
        count = self._dice.randint(1, MOST_NODES)
        for index in range(count):
            self._nodes.append(self._node(f"n{index}", index, count))
        written: dict[str, Any] = {"workflow": name, "input": INPUT, "nodes": self._nodes}
        if self._agents:
            written["agents"] = self._agents
        if self._dice.random() < 0.7:
            written["output"] = {"last": self._expression(count), "n": "=input.n"}
        self._dice.shuffle(self._nodes)
        return written

    def _node(self, id: str, index: int, count: int) -> dict[str, Any]:
        free = [f"n{i}" for i in range(index + 1, count) if f"n{i}" not in self._chosen]
        kinds, weights = ("tool", "agent", "transform", "switch"), (8, 3, 3, 2 if free else 0)
        kind = self._dice.choices(kinds, weights)[0]
        node: dict[str, Any] = {"id": id}
        match kind:
            case "tool":
                self._tools.add(id)
                node["tool"] = self._dice.choice(TOOLS)
                node["with"] = {"a": self._expression(index), "fixed": index}
                if self._dice.random() < 0.3:
                    node["idempotent"] = self._dice.random() < 0.5
                self._add_effect(node)
            case "agent":
                node["agent"] = self._agent(index)
                node["with"] = {"message": self._expression(index)}
                if "tools" in self._agents[node["agent"]]:
                    node["with"]["bound"] = "=input.n"
                self._add_effect(node)
            case "transform":
                node["transform"] = {"made": self._expression(index)}
            case _:
                node["switch"] = self._cases(index, free)
        if self._dice.random() < 0.25:
            node["if"] = self._condition(index)
        if index and self._dice.random() < 0.3:
            node["needs"] = [f"n{self._dice.randrange(index)}"]
        return node

    def _add_effect(self, node: dict[str, Any]) -> None:
        if self._dice.random() < 0.6:
            retry: dict[str, Any] = {"max": self._dice.randint(0, 4)}
            if self._dice.random() < 0.7:
                retry["initial"] = f"{self._dice.choice((10, 100, 1000))}ms"
            if self._dice.random() < 0.3:
                retry["multiplier"] = self._dice.choice((1, 1.5, 3))
                retry["ceiling"] = "5s"
            node["retry"] = retry
        if self._dice.random() < 0.4:
            node["timeout"] = self._dice.choice(("2s", "10s"))

    def _agent(self, index: int) -> str:
        name = f"a{index}"
        agent: dict[str, Any] = {"model": "small"}
        if self._dice.random() < 0.5:
            agent["instructions"] = "Be brief."
        if self._dice.random() < 0.9:
            agent["tools"] = self._dice.sample(TOOLS, self._dice.randint(1, len(TOOLS)))
        if self._dice.random() < 0.5:
            agent["limits"] = {
                "turns": self._dice.randint(1, 6),
                "repairs": self._dice.randint(0, 2),
            }
        self._agents[name] = agent
        return name

    def _cases(self, index: int, free: list[str]) -> list[dict[str, str]]:
        targets = self._dice.sample(free, min(len(free), self._dice.randint(1, 3)))
        self._chosen.update(targets)
        cases = [{"if": self._condition(index), "then": target} for target in targets]
        if len(cases) > 1 and self._dice.random() < 0.5:
            cases[-1] = {"else": targets[-1]}
        return cases

    def _condition(self, index: int) -> str:
        choices = [f"=input.n % {self._dice.randint(2, 5)} != {self._dice.randint(0, 1)}"]
        if index:
            choices.append(f"=n{self._dice.randrange(index)}.output != null")
        return self._dice.choice(choices)

    def _expression(self, index: int) -> Any:
        """Something to compute: a literal, the input, or what nodes before have given."""
        roll = self._dice.random()
        if not index or roll < 0.2:
            return self._dice.choice((1, "text", "=input.n", "=run.workflow", ["=input.n + 1"]))
        node = f"n{self._dice.randrange(index)}"
        if roll < 0.75:
            return f"={node}.output"
        if roll < 0.97 or node not in self._tools:
            return {"x": f"={node}.output", "y": f"=n{self._dice.randrange(index)}.output"}
        return f"={node}.output.not_there"
