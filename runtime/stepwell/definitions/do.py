"""What a step does, written in Python: the `do` of a map or a loop, and what undoes a step.

Workflow("mirror").map("each", "=input.urls", Do.tool("fetch", with_={"url": "=item"}))
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from stepwell.definitions.spelling import duration, instant, present
from stepwell.durations import wanted_timedelta
from stepwell.engine.values import Json

OnError: TypeAlias = Literal["fail", "continue"]
"""When one of the steps fails, all of it does; or its output is null."""


class Retry(Struct, frozen=True, kw_only=True):
    """How a failed attempt is tried again: at most `max` times after the first one.

    The first retry comes after `initial`, each further one after `multiplier` times as long,
    never after more than `ceiling`.
    """

    max: int
    initial: timedelta | None = None
    multiplier: float | None = None
    ceiling: timedelta | None = None


class Do(Struct, frozen=True):
    """What a step does, made by the function of its kind: `Do.tool(...)`.

    In values, a string that begins with `=` is an expression. In a map it sees `item` and
    `index`, in a loop `last` and `index`, in what undoes a step `output`.
    """

    entry: dict[str, Json]

    @staticmethod
    def agent(
        agent: str,
        *,
        message: Json,
        with_: Mapping[str, Json] | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        queue: str | None = None,
        compensate: "Do | None" = None,
        on_error: OnError | None = None,
    ) -> "Do":
        """Asks an agent; what is in `with_` is bound, and hidden from the model."""
        given = {"message": message, **(with_ or {})}
        effect = _effect(retry, timeout, queue, compensate, on_error)
        return Do({"agent": agent, "with": given, **effect})

    @staticmethod
    def tool(
        name: str,
        *,
        with_: Mapping[str, Json] | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        idempotent: bool | None = None,
        queue: str | None = None,
        compensate: "Do | None" = None,
        on_error: OnError | None = None,
    ) -> "Do":
        """Calls a tool with `with_` as its arguments."""
        effect = _effect(retry, timeout, queue, compensate, on_error)
        return Do(present(**{"tool": name, "with": with_, "idempotent": idempotent}, **effect))

    @staticmethod
    def llm(
        model: str,
        *,
        message: Json,
        instructions: str = "",
        output: Mapping[str, Any] | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        queue: str | None = None,
        compensate: "Do | None" = None,
        on_error: OnError | None = None,
    ) -> "Do":
        """Asks a model once. `output` is the JSON Schema of its answer, without it text."""
        effect = _effect(retry, timeout, queue, compensate, on_error)
        asked = present(instructions=instructions or None, output=output)
        return Do({"llm": model, "with": {"message": message}, **asked, **effect})

    @staticmethod
    def workflow(
        name: str,
        *,
        with_: Mapping[str, Json] | None = None,
        version: str | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        queue: str | None = None,
        compensate: "Do | None" = None,
        on_error: OnError | None = None,
    ) -> "Do":
        """Runs another workflow with `with_` as its input: the newest version of it unless said."""
        effect = _effect(retry, timeout, queue, compensate, on_error)
        return Do(present(**{"workflow": name, "with": with_, "version": version}, **effect))

    @staticmethod
    def wait(
        length: timedelta | str | None = None,
        *,
        until: datetime | str | None = None,
        on_error: OnError | None = None,
    ) -> "Do":
        """Waits for a length of time or until a point in time; an expression may give either."""
        if (length is None) == (until is None):
            raise TypeError("a wait takes either a length or `until`")
        return Do({"wait": _waited_for(length, until), **present(on_error=on_error)})

    @staticmethod
    def signal(
        name: str, *, timeout: timedelta | None = None, on_error: OnError | None = None
    ) -> "Do":
        """Waits for a message of this name, which is the output."""
        return Do({"signal": name, **_patience(timeout, on_error)})

    @staticmethod
    def approval(
        message: Json, *, timeout: timedelta | None = None, on_error: OnError | None = None
    ) -> "Do":
        """Waits for a person, who is shown `message`."""
        return Do({"approval": message, **_patience(timeout, on_error)})


def entry_of(what: str, do: Do | None) -> dict[str, Json] | None:
    """The entry of a step in the document; None is None.

    Raises:
        TypeError: it is no `Do`.
    """
    if do is None:
        return None
    if not isinstance(do, Do):
        raise TypeError(f"{what} must be a Do, it is {do!r:.60}; write Do.tool(...)")
    return do.entry


def _effect(
    retry: Retry | None,
    timeout: timedelta | None,
    queue: str | None,
    compensate: Do | None,
    on_error: OnError | None,
) -> dict[str, Json]:
    return present(
        retry=_retry(retry),
        queue=queue,
        compensate=entry_of("compensate", compensate),
        **_patience(timeout, on_error),
    )


def _patience(timeout: timedelta | None, on_error: OnError | None) -> dict[str, Json]:
    return present(timeout=duration("timeout", timeout), on_error=on_error)


def _retry(retry: Retry | None) -> dict[str, Json] | None:
    if retry is None:
        return None
    if not isinstance(retry, Retry):
        given = retry if isinstance(retry, int) else 3
        raise TypeError(f"retry must be a Retry, it is {retry!r:.60}; write Retry(max={given})")
    return present(
        max=retry.max,
        initial=duration("initial", retry.initial),
        multiplier=retry.multiplier,
        ceiling=duration("ceiling", retry.ceiling),
    )


def _waited_for(length: timedelta | str | None, until: datetime | str | None) -> Json:
    if isinstance(length, str):
        if length.startswith("="):
            return {"for": length}
        raise TypeError(f"length must be {wanted_timedelta(length)}")
    if isinstance(until, str):
        return {"until": until}
    if until is not None:
        return {"until": instant("until", until)}
    return duration("length", length)
