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
from datetime import datetime, timedelta
from typing import Any, Self

from stepwell.definitions.compile import compile_definition
from stepwell.definitions.do import Do, Retry, entry_of
from stepwell.definitions.spelling import duration, present
from stepwell.definitions.version import canonical
from stepwell.engine.values import Json


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
        queue: str | None = None,
        input: Mapping[str, Any] | None = None,
    ) -> None:
        """Begins a workflow; with `publish=False` MCP clients are not offered it as a tool.

        With `queue`, each run begins when it has a place there.
        """
        self._head = present(
            workflow=name,
            description=description or None,
            publish=None if publish else False,
            queue=queue,
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
        self._agents[name] = present(
            model=model,
            instructions=instructions or None,
            tools=list(tools) or None,
            output=output,
            limits=present(turns=turns, repairs=repairs) or None,
        )
        return self

    # --- nodes with an effect on the world ------------------------------------------------

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
        queue: str | None = None,
        compensate: Do | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that asks an agent.

        What is in `with_` is bound: a tool's argument of that name is filled in, and hidden
        from the model.
        """
        do = Do.agent(
            agent,
            message=message,
            with_=with_,
            retry=retry,
            timeout=timeout,
            queue=queue,
            compensate=compensate,
        )
        return self._add(id, do.entry, if_, needs, on_error)

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
        queue: str | None = None,
        compensate: Do | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that calls a tool with `with_` as its arguments.

        `compensate` undoes it when the run fails later: a `Do.tool` that sees `output`.
        `on_error` is `fail`, `continue` or the id of the node that takes over.
        """
        do = Do.tool(
            name,
            with_=with_,
            retry=retry,
            timeout=timeout,
            idempotent=idempotent,
            queue=queue,
            compensate=compensate,
        )
        return self._add(id, do.entry, if_, needs, on_error)

    def llm(
        self,
        id: str,
        model: str,
        *,
        message: Json,
        instructions: str = "",
        output: Mapping[str, Any] | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        queue: str | None = None,
        compensate: Do | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that asks a model once. `output` is the JSON Schema of its answer."""
        do = Do.llm(
            model,
            message=message,
            instructions=instructions,
            output=output,
            retry=retry,
            timeout=timeout,
            queue=queue,
            compensate=compensate,
        )
        return self._add(id, do.entry, if_, needs, on_error)

    def workflow(
        self,
        id: str,
        name: str,
        *,
        with_: Mapping[str, Json] | None = None,
        version: str | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        queue: str | None = None,
        compensate: Do | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that runs another workflow with `with_` as its input."""
        do = Do.workflow(
            name,
            with_=with_,
            version=version,
            retry=retry,
            timeout=timeout,
            queue=queue,
            compensate=compensate,
        )
        return self._add(id, do.entry, if_, needs, on_error)

    # --- nodes that wait ------------------------------------------------------------------

    def wait(
        self,
        id: str,
        length: timedelta | str | None = None,
        *,
        until: datetime | str | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that waits for a length of time, or until a point in time.

        Either may be an expression.
        """
        return self._add(id, Do.wait(length, until=until).entry, if_, needs, on_error)

    def signal(
        self,
        id: str,
        name: str,
        *,
        if_: str | None = None,
        needs: Iterable[str] = (),
        timeout: timedelta | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that waits for a message of this name, which is its output."""
        return self._add(id, Do.signal(name, timeout=timeout).entry, if_, needs, on_error)

    def approval(
        self,
        id: str,
        message: Json,
        *,
        if_: str | None = None,
        needs: Iterable[str] = (),
        timeout: timedelta | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that waits for a person, who is shown `message`."""
        return self._add(id, Do.approval(message, timeout=timeout).entry, if_, needs, on_error)

    # --- nodes that repeat, compute and choose --------------------------------------------

    def map(
        self,
        id: str,
        items: str | list[Json],
        do: Do,
        *,
        concurrency: int | None = None,
        if_: str | None = None,
        needs: Iterable[str] = (),
        timeout: timedelta | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that does something for every item; at most `concurrency` at a time.

        The expressions of `do` see `item` and `index`.
        """
        entry = present(
            map=items,
            do=entry_of("do", do),
            concurrency=concurrency,
            timeout=duration("timeout", timeout),
        )
        return self._add(id, entry, if_, needs, on_error)

    def loop(
        self,
        id: str,
        do: Do,
        *,
        while_: str,
        max: int,
        if_: str | None = None,
        needs: Iterable[str] = (),
        timeout: timedelta | None = None,
        on_error: str | None = None,
    ) -> Self:
        """Adds a node that does something while a condition holds, at most `max` times.

        The condition and the expressions of `do` see `index` and `last`, the output of the time
        before (null at first).
        """
        entry = present(
            loop={"while": while_, "max": max},
            do=entry_of("do", do),
            timeout=duration("timeout", timeout),
        )
        return self._add(id, entry, if_, needs, on_error)

    def transform(
        self, id: str, value: Json, *, if_: str | None = None, needs: Iterable[str] = ()
    ) -> Self:
        """Adds a node whose output is `value`, with the expressions in it evaluated."""
        return self._add(id, {"transform": value}, if_, needs)

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
        return self._add(id, {"switch": listed}, if_, needs)

    def _add(
        self,
        id: str,
        entry: dict[str, Json],
        condition: str | None,
        needs: Iterable[str],
        on_error: str | None = None,
    ) -> Self:
        place = present(**{"if": condition, "needs": list(needs) or None, "on_error": on_error})
        self._nodes.append({"id": id, **entry, **place})
        return self

    # --- the document ---------------------------------------------------------------------

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
