"""What a policy would have done: the calls of the log, decided again.

The facts are those of the part of the log that is read: what a run did before it counts for nothing,
and of money nobody knows any more what it was at the time. Tools are taken as they are now.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from stepwell.definitions.builtin import CALL
from stepwell.engine import codec
from stepwell.engine.events import LlmCall, ToolCall
from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest, StepwellError
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.effects import is_own
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.policies import Policies
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.workflows import Workflows
from stepwell.policy import defaults
from stepwell.policy.port import Action, Decision, Facts
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.principals import Caller
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import Logged

USUAL: Final = 100_000
MOST: Final = 1_000_000
"""Events that are read at most."""

PAGE: Final = 500
SHOWN: Final = 20
"""Calls that are shown, of those that would have ended otherwise."""

NO_RULE: Final = "no rule allows it"
"""Stands for the rule of a call that is denied because none permits it."""

_WANTED: Final = frozenset({"llm_call", "tool_call"})


class Changed(Struct, frozen=True):
    """A call that was made, and would not have been made at once."""

    run: str
    step: str
    call: str
    tool: str
    at: int
    decision: Decision


class Replay(Struct, frozen=True, kw_only=True):
    """How far a replay is, and what it found.

    `calls` were decided on again, `unknown` were not: their tool, arguments or run are gone. Each of
    `effects` and `rules` counts calls; `rules` those that would not have been made at once.
    """

    events: int = 0
    of_events: int = 0
    calls: int = 0
    unknown: int = 0
    effects: Mapping[str, int] = {}
    rules: Mapping[str, int] = {}
    changed: tuple[Changed, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to read."""
        return self.events >= self.of_events


class PolicyReplay:
    """Decides again on what was done. Every method takes the caller first; only users may."""

    def __init__(
        self,
        storage: Storage,
        policies: Policies,
        *,
        journal: Journal,
        workflows: Workflows,
        tools: ToolRegistry,
    ) -> None:
        self._storage = storage
        self._policies = policies
        self._past = _Past(storage, journal, workflows)
        self._tools = tools

    async def simulate(
        self,
        caller: Caller,
        files: Sequence[PolicyFile] = (),
        *,
        events: int = USUAL,
        since: int = 0,
    ) -> AsyncGenerator[Replay, None]:
        """How far it is, again and again, with what it found; the last one is done.

        It reads the last `events` of the log, and decides on the calls from `since` on (UTC
        microseconds).

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            InvalidRequest: INVALID_POLICY, with every problem; INVALID_REQUEST.
        """
        demand_user(caller, "policies are simulated", "stepwell policy simulate")
        if not 0 < events <= MOST:
            problem = f"1 to {MOST} events can be read, {events} were asked for"
            raise InvalidRequest(problem, detail={"events": problem})
        rules = await self._policies.rules(caller, files)
        again = _Again(self._past, self._tools, caller.namespace, rules, since)
        with refusals():
            last = await self._storage.log.last_position(caller.namespace)
        first = after = max(0, last - events)
        while after < last:
            with refusals():
                page = await self._storage.log.read_log(caller.namespace, after=after, limit=PAGE)
            page = [logged for logged in page if logged.position <= last]
            after = page[-1].position if page else last
            await again.take(page)
            yield again.told(after - first, last - first)
            await asyncio.sleep(0)  # others have something to do, too
        if first == last:
            yield again.told(0, 0)


class _Run(Struct):
    """What is known of a run so far."""

    principal: str
    workflow: str
    tools: frozenset[str]
    is_own: bool
    author: str
    calls: int = 0
    tokens: int = 0
    labels: frozenset[str] = frozenset()


class _Past(Struct, frozen=True):
    """What was, as far as it is still there."""

    storage: Storage
    journal: Journal
    workflows: Workflows

    async def run(self, namespace: str, run: str) -> _Run | None:
        """Whose run it is, and which tools its workflow lists; None when that is gone."""
        try:
            row = await self.storage.runs.get(namespace, run)
            graph = await self.workflows.graph(namespace, row.workflow, row.version)
        except (StorageError, StepwellError):
            return None
        own = is_own(graph, row.principal)
        return _Run(row.principal, row.workflow, frozenset(graph.tools), own, graph.author)

    async def arguments(self, namespace: str, run: str, event: ToolCall) -> Json:
        """The arguments of a call.

        Raises:
            LookupError: they are gone.
            StepwellError: they were erased, or are damaged.
        """
        return (await self.journal.resolve(namespace, run, event.arguments)).value


class _Again:
    """The calls of a part of the log, decided again."""

    def __init__(
        self,
        past: _Past,
        tools: ToolRegistry,
        namespace: str,
        rules: RuleSet | None,
        since: int,
    ) -> None:
        self._past = past
        self._tools = tools
        self._namespace = namespace
        self._rules = rules
        self._since = since
        self._runs: dict[str, _Run | None] = {}
        self._calls = self._unknown = 0
        self._effects: Counter[str] = Counter()
        self._by_rule: Counter[str] = Counter()
        self._changed: list[Changed] = []

    def told(self, events: int, of_events: int) -> Replay:
        """What was found so far."""
        return Replay(
            events=events,
            of_events=of_events,
            calls=self._calls,
            unknown=self._unknown,
            effects=dict(self._effects),
            rules=dict(self._by_rule),
            changed=tuple(self._changed),
        )

    async def take(self, page: Sequence[Logged]) -> None:
        """The next events of the log."""
        for logged in page:
            if logged.record.kind not in _WANTED:
                continue
            run = await self._run(logged.run)
            event = codec.decode(logged.record.kind, logged.record.body)
            if isinstance(event, LlmCall) and run is not None:
                run.tokens += event.usage.input + event.usage.output
            elif isinstance(event, ToolCall):
                decision = None if run is None else await self._decide(run, logged.run, event)
                if event.at >= self._since:
                    self._note(logged.run, event, decision)

    async def _run(self, id: str) -> _Run | None:
        if id not in self._runs:
            self._runs[id] = await self._past.run(self._namespace, id)
        return self._runs[id]

    async def _decide(self, run: _Run, id: str, event: ToolCall) -> Decision | None:
        """What would be decided; None when nobody can tell."""
        run.calls += 1
        tool = self._tools.get(event.tool)
        if tool is None:
            return None
        try:
            arguments = await self._past.arguments(self._namespace, id, event)
        except (LookupError, StepwellError):
            return None
        usage = {"calls_run": run.calls - 1, "tokens_run": run.tokens}
        action = Action(
            namespace=self._namespace,
            principal=run.principal,
            workflow=run.workflow,
            run=id,
            step=event.step,
            tool=event.tool,
            arguments=arguments,
            granted=frozenset({event.tool}) if run.workflow == CALL.name else run.tools,
            is_own=run.is_own,
            author=run.author,
            spec=tool.spec,
            facts=Facts(at=event.at, usage=usage, labels=run.labels),
        )
        run.labels |= getattr(tool.spec, "labels", frozenset())
        return defaults.decide(action) if self._rules is None else self._rules.decide(action)

    def _note(self, run: str, event: ToolCall, decision: Decision | None) -> None:
        if decision is None:
            self._unknown += 1
            return
        self._calls += 1
        self._effects[decision.effect] += 1
        if decision.effect == "allow":
            return
        self._by_rule.update(decision.rules or (NO_RULE,))
        if len(self._changed) < SHOWN:
            self._changed.append(
                Changed(run, event.step, event.call, event.tool, event.at, decision)
            )
