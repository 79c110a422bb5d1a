"""What the steps of random workflows do: as nodes, or as the `do` of a map or a loop."""

import random
from collections.abc import Callable, Sequence
from typing import Any

TOOLS = ("look", "read", "pay", "ship")
"""What nodes and agents may call; `tests.simulation.script` says how each behaves."""
UNTIL = ("1970-01-12T13:46:30Z", "1970-01-12T13:46:43Z", "1970-01-12T14:47:20+01:00")
"""Points in time around the beginning of every world: before, soon after, and somewhat later."""

_KINDS = ("tool", "agent", "llm", "wait", "signal", "approval", "workflow")
_WEIGHTS = (16, 4, 2, 3, 3, 3, 6)


class Bodies:
    """Writes what steps do. `agents` are those that they use, for the document."""

    def __init__(
        self,
        dice: random.Random,
        *,
        expression: Callable[[int], Any],
        queue: Callable[[], str],
        child: Callable[[], str | None],
    ) -> None:
        """`child` names a workflow that may be called, where there is one."""
        self.agents: dict[str, Any] = {}
        self._dice = dice
        self._expression = expression
        self._queue = queue
        self._child = child
        self._local: Sequence[str] = ()

    def write(self, index: int, *, local: Sequence[str] = ()) -> dict[str, Any]:
        """What the node of this index does; `local` are variables that only it sees.

        The key `timely` says that the output depends on when it ran.
        """
        self._local = local
        child = self._child()
        kind = self._dice.choices(_KINDS, _WEIGHTS if child else (*_WEIGHTS[:-1], 0))[0]
        match kind:
            case "tool":
                return self._with_effect(self._tool(index), index)
            case "agent":
                return self._with_effect(self._agent(index), index)
            case "llm":
                asked = {"llm": "small", "with": {"message": self._given(index)}}
                return self._with_effect(asked, index)
            case "workflow":
                return self._with_effect(self._workflow(child), index)
            case "wait":
                return self._wait()
            case "signal":
                return self._signal(index)
            case _:
                return self._hurried({"approval": {"of": self._given(index)}})

    # --- with an effect -------------------------------------------------------------------

    def _tool(self, index: int) -> dict[str, Any]:
        tool: dict[str, Any] = {
            "tool": self._dice.choice(TOOLS),
            "with": {"a": self._given(index), "fixed": index},
        }
        if self._dice.random() < 0.3:
            tool["idempotent"] = self._dice.random() < 0.5
        return tool

    def _agent(self, index: int) -> dict[str, Any]:
        name = f"a{index}"
        agent: dict[str, Any] = {"model": "small"}
        if self._dice.random() < 0.5:
            agent["instructions"] = "Be brief."
        if self._dice.random() < 0.9:
            agent["tools"] = self._dice.sample(TOOLS, self._dice.randint(1, len(TOOLS)))
        if self._dice.random() < 0.5:
            turns, repairs = self._dice.randint(1, 6), self._dice.randint(0, 2)
            agent["limits"] = {"turns": turns, "repairs": repairs}
        self.agents[name] = agent
        given = {"message": self._given(index)}
        if "tools" in agent:
            given["bound"] = "=input.n"
        return {"agent": name, "with": given}

    def _workflow(self, child: str | None) -> dict[str, Any]:
        n = self._dice.choices(("=input.n", "=input.n + 1", "none"), (6, 6, 1))[0]
        return {"workflow": child, "with": {"n": n}}

    def _with_effect(self, body: dict[str, Any], index: int) -> dict[str, Any]:
        if self._dice.random() < 0.6:
            body["retry"] = self._retry()
        if self._dice.random() < 0.4:
            body["timeout"] = "30s" if "workflow" in body else self._dice.choice(("2s", "10s"))
        if self._dice.random() < 0.2:
            body["queue"] = self._queue()
        if self._dice.random() < 0.2:
            body["compensate"] = self._undo(index, "tool" in body)
        return body

    def _retry(self) -> dict[str, Any]:
        retry: dict[str, Any] = {"max": self._dice.randint(0, 4)}
        if self._dice.random() < 0.7:
            retry["initial"] = f"{self._dice.choice((10, 100, 1000))}ms"
        if self._dice.random() < 0.3:
            retry["multiplier"] = self._dice.choice((1, 1.5, 3))
            retry["ceiling"] = "5s"
        return retry

    def _undo(self, index: int, is_tool: bool) -> dict[str, Any]:
        given = "=output.not_there" if is_tool and self._dice.random() < 0.1 else "=output"
        undo = {"tool": self._dice.choice(TOOLS), "with": {"done": given, "fixed": index}}
        if self._dice.random() < 0.5:
            undo["retry"] = self._retry()
        if self._dice.random() < 0.3:
            undo["timeout"] = "2s"
        return undo

    # --- waiting --------------------------------------------------------------------------

    def _wait(self) -> dict[str, Any]:
        roll = self._dice.random()
        if roll < 0.4:
            return {"wait": {"until": self._dice.choice(UNTIL)}}
        if roll < 0.45:
            return {"wait": {"until": "='soon'"}}
        length = self._dice.choice(("1s", "5s", "30s", {"for": "=input.n % 7"}))
        return {"wait": length, "timely": True}

    def _signal(self, index: int) -> dict[str, Any]:
        """Steps that do not wait for ever have a name of their own: theirs may never come."""
        body = self._hurried({"signal": f"hurried{index}"})
        return body if "timeout" in body else {"signal": self._dice.choice(("ready", f"go{index}"))}

    def _hurried(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "timeout": "20s"} if self._dice.random() < 0.3 else body

    def _given(self, index: int) -> Any:
        given = self._expression(index)
        if self._local and self._dice.random() < 0.7:
            return {"given": given, "local": [f"={name}" for name in self._local]}
        return given
