"""Workflows written in Python: a typed way to the same document, and the same validator.

    workflow = (
        Workflow("answer-question", input={"type": "object", "properties": {"q": {}}})
        .agent("analyst", model="small", tools=["db_query"])
        .agent_step("ask", "analyst", message="=input.q", with_={"datasource": "shop"})
        .tool("post", "chat.post", with_={"text": "=ask.output"}, timeout=timedelta(seconds=30))
        .output({"answer": "=ask.output"})
    )
    await client.workflows.put(workflow.source())

What a builder writes is read like any other document, so a mistake is told in the same words
whichever way the document was made: by `source`, and again, with the tools that there are,
where the document is stored.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Self

from msgspec import Struct

from stepwell.definitions.compile import compile_definition
from stepwell.definitions.version import canonical
from stepwell.durations import wanted_timedelta
from stepwell.engine.values import Json


class Retry(Struct, frozen=True, kw_only=True):
    """How a failed attempt is tried again: at most `max` times after the first one.

    The first retry comes after `initial`, each further one after `multiplier` times as long,
    never after more than `ceiling`.
    """

    max: int
    initial: timedelta | None = None
    multiplier: float | None = None
    ceiling: timedelta | None = None


class Workflow:
    """A workflow under construction. Every method adds something and returns the workflow.

    In values, a string that begins with `=` is an expression, everything else is literal.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        publish: bool = True,
        input: Mapping[str, Any] | None = None,
    ) -> None:
        """Begins a workflow; with `publish=False` MCP clients are not offered it as a tool."""
        self._head = _present(
            workflow=name,
            description=description or None,
            publish=None if publish else False,
            input=input,
        )
        self._agents: dict[str, dict[str, Json]] = {}
        self._nodes: list[dict[str, Json]] = []
        self._tail: dict[str, Json] = {}

    def agent(
        self,
        name: str,
        *,
        model: str,
        instructions: str = "",
        tools: Iterable[str] = (),
        output: Mapping[str, Any] | None = None,
        turns: int | None = None,
        repairs: int | None = None,
    ) -> Self:
        """Describes an agent. `output` is the JSON Schema of its answer, without it text."""
        self._agents[name] = _present(
            model=model,
            instructions=instructions or None,
            tools=list(tools) or None,
            output=output,
            limits=_present(turns=turns, repairs=repairs) or None,
        )
        return self

    def agent_step(
        self,
        id: str,
        agent: str,
        *,
        message: Json,
        with_: Mapping[str, Json] | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: timedelta | None = None,
    ) -> Self:
        """Adds a node that asks an agent.

        What is in `with_` is bound: a tool's argument of that name is filled in, and hidden
        from the model.
        """
        self._nodes.append(
            _present(
                **{"id": id, "agent": agent, "with": {"message": message, **(with_ or {})}},
                **_common(if_, needs),
                **_effect(retry, timeout),
            )
        )
        return self

    def tool(
        self,
        id: str,
        name: str,
        *,
        with_: Mapping[str, Json] | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        idempotent: bool | None = None,
    ) -> Self:
        """Adds a node that calls a tool with `with_` as its arguments."""
        self._nodes.append(
            _present(
                **{"id": id, "tool": name, "with": with_, "idempotent": idempotent},
                **_common(if_, needs),
                **_effect(retry, timeout),
            )
        )
        return self

    def transform(
        self, id: str, value: Json, *, if_: str | None = None, needs: Iterable[str] = ()
    ) -> Self:
        """Adds a node whose output is `value`, with the expressions in it evaluated."""
        self._nodes.append({"id": id, "transform": value, **_present(**_common(if_, needs))})
        return self

    def switch(
        self,
        id: str,
        *cases: tuple[str, str],
        default: str | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
    ) -> Self:
        """Adds a node that chooses: each case is a condition and the id of its target."""
        listed = [{"if": condition, "then": target} for condition, target in cases]
        if default is not None:
            listed.append({"else": default})
        self._nodes.append({"id": id, "switch": listed, **_present(**_common(if_, needs))})
        return self

    def output(self, value: Json) -> Self:
        """Says what the run gives back; without it, the outputs of the last nodes by id."""
        self._tail["output"] = value
        return self

    def document(self) -> dict[str, Json]:
        """The document, as it would be written in YAML."""
        agents = {"agents": dict(self._agents)} if self._agents else {}
        return {**self._head, **agents, "nodes": list(self._nodes), **self._tail}

    def source(self) -> bytes:
        """The document as canonical JSON, for whatever takes a definition.

        Raises:
            TypeError: a value in it is not JSON.
            InvalidDefinition: with every problem. Which tools there are is not known here.
        """
        source = canonical(self.document())
        compile_definition(source)
        return source


def _present(**entries: Json) -> dict[str, Json]:
    """The entries that were given: what is not said is left to the format."""
    return {key: value for key, value in entries.items() if value is not None}


def _common(condition: str | None, needs: Iterable[str]) -> dict[str, Json]:
    return {"if": condition, "needs": list(needs) or None}


def _effect(retry: Retry | None, timeout: timedelta | None) -> dict[str, Json]:
    if retry is None:
        return {"timeout": _duration("timeout", timeout)}
    if not isinstance(retry, Retry):
        given = retry if isinstance(retry, int) else 3
        raise TypeError(f"retry must be a Retry, it is {retry!r:.60}; write Retry(max={given})")
    spelled = _present(
        max=retry.max,
        initial=_duration("initial", retry.initial),
        multiplier=retry.multiplier,
        ceiling=_duration("ceiling", retry.ceiling),
    )
    return {"retry": spelled, "timeout": _duration("timeout", timeout)}


_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def _duration(what: str, length: timedelta | None) -> str | None:
    """A duration in its largest unit: `5m`, `90s`, `1500ms`."""
    if length is None:
        return None
    if not isinstance(length, timedelta):
        raise TypeError(f"{what} must be {wanted_timedelta(length)}")
    for name, unit in _UNITS.items():
        if length % unit == timedelta(0):
            return f"{length // unit}{name}"
    raise TypeError(f"{what} must be a whole number of milliseconds, it is {length!r}")
