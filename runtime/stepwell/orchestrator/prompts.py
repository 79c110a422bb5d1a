"""The prompts of tools files and of wrapped servers. Getting one is a call of a read-only tool."""

from collections.abc import Callable, Mapping

from stepwell.engine.values import Json
from stepwell.errors import Code, NotFound
from stepwell.orchestrator.resources import Lending, Values, completed
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller
from stepwell.tools.completion import parsed
from stepwell.tools.shelf import PromptOffer


class Prompts:
    """What a caller may ask about prompts. Every method takes the caller first."""

    def __init__(self, lending: Lending) -> None:
        self._shelf = lending.shelf
        self._lending = lending

    async def list_prompts(self, caller: Caller) -> tuple[PromptOffer, ...]:
        """The prompts, by name, but for what policy denies the caller in any case."""
        return self._lending.shown(caller, self._shelf.prompts())

    def find(self, caller: Caller, name: str) -> PromptOffer:
        """The prompt of a name.

        Raises:
            NotFound: PROMPT_NOT_FOUND.
        """
        found = self._shelf.prompt(name)
        if found is None:
            raise _no_prompt(name)
        return found

    def getter(self, name: str) -> str:
        """The name of the tool by which a prompt is got; "" where there is none."""
        found = self._shelf.prompt(name)
        return "" if found is None else found.tool

    async def get(
        self, caller: Caller, name: str, arguments: Mapping[str, str], *, trace: str = ""
    ) -> Run:
        """Begins to make the messages of a prompt; the output of the run has them as `messages`.

        Raises:
            NotFound: PROMPT_NOT_FOUND.
            InvalidRequest: INVALID_ARGUMENTS, one is missing, or not what the prompt takes.
            FailedPrecondition: TOOL_SUSPENDED.
        """
        offer = self.find(caller, name)
        tool = self._lending.registry.get(offer.tool)
        given: dict[str, Json]
        if offer.owner:
            given = {"name": offer.upstream, "arguments": dict(arguments)}
        else:
            given = parsed({} if tool is None else tool.spec.input_schema, arguments)
        return await self._lending.call_tool(caller, offer.tool, given, trace=trace)

    async def complete(
        self, caller: Caller, name: str, argument: str, typed: str, others: Mapping[str, str]
    ) -> Values:
        """What an argument of a prompt may be; nothing where that is not known.

        Raises:
            NotFound: PROMPT_NOT_FOUND, also where policy denies it to the caller whatever he asks.
            InsufficientScope: his access token does not cover it.
        """
        offer = self.find(caller, name)
        if not self._lending.shown(caller, (offer,)):
            raise _no_prompt(name)
        self._lending.demand_scopes(caller, offer.tool)
        return await completed(offer, argument, typed, others)

    def on_changed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after each change of the list, until what is answered is called."""
        return self._shelf.listen(lambda change: listener() if change == "prompts" else None)


def _no_prompt(name: str) -> NotFound:
    return NotFound(
        f"there is no prompt {name!r}; prompts/list names those that there are",
        code=Code.PROMPT_NOT_FOUND,
        detail={"name": name},
    )
