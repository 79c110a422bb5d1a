"""Trying policies out: what would be decided of a call, and whether that is what was meant."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from stepwell.clock import Clock
from stepwell.definitions.builtin import CALL
from stepwell.definitions.loader import load
from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest, NotFound
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.data_trials import (
    DatabaseShape,
    DataCase,
    DataExplanation,
    DataQuestion,
    explained,
)
from stepwell.orchestrator.policies import Policies
from stepwell.policy import defaults
from stepwell.policy.data.check import Known
from stepwell.policy.port import Action, Decision, Facts
from stepwell.policy.ruleset import Pass, RuleSet
from stepwell.policy.schema import USAGE
from stepwell.policy.source import PolicyFile
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry

MAX_CASES: Final = 10_000

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Question(Struct, frozen=True, kw_only=True):
    """A call that nobody makes. `granted` says whether its workflow permits the tool: as a rule it does.

    `at` is UTC microseconds, now by default.
    """

    tool: str
    arguments: Mapping[str, Json] = {}
    principal: str = "agent:local"
    groups: frozenset[str] = frozenset()
    workflow: str = CALL.name
    author: str = ""
    granted: bool = True
    approved: bool = False
    approved_before: int = 0
    labels: frozenset[str] = frozenset()
    usage: Mapping[str, int] = {}
    at: int | None = None


class Explanation(Struct, frozen=True):
    """A decision, each pass that led to it, and every rule that can apply to calls of the tool."""

    decision: Decision
    passes: tuple[Pass, ...]
    naming: tuple[str, ...]


class CaseResult(Struct, frozen=True):
    """What became of one case of a test; `problem` is "" when it is what was expected."""

    name: str
    decision: Decision
    problem: str = ""


class PolicyTrials:
    """What a caller may ask of rules. Every method takes the caller first; only users may."""

    def __init__(self, policies: Policies, *, tools: ToolRegistry, clock: Clock) -> None:
        self._policies = policies
        self._tools = tools
        self._clock = clock

    async def explain(
        self, caller: Caller, question: Question, files: Sequence[PolicyFile] = ()
    ) -> Explanation:
        """What would be decided of a call, by these files or by what is in force.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: TOOL_NOT_FOUND.
            InvalidRequest: INVALID_POLICY, with every problem; INVALID_REQUEST.
        """
        demand_user(caller, "decisions are explained", "stepwell policy explain")
        rules = await self._policies.rules(caller, files)
        action = self._action(caller.namespace, question)
        passes: list[Pass] = []
        if rules is None:
            return Explanation(defaults.decide(action), (), ())
        decision = await asyncio.to_thread(rules.decide, action, passes)
        naming = tuple(rule.id for rule in rules.naming(question.tool))
        return Explanation(decision, tuple(passes), naming)

    async def test(
        self, caller: Caller, cases: bytes, files: Sequence[PolicyFile] = ()
    ) -> tuple[CaseResult, ...]:
        """Every case of a test, and whether it ends as it says; by these files or what is in force.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            InvalidRequest: INVALID_REQUEST, the cases cannot be read; INVALID_POLICY.
        """
        demand_user(caller, "policies are tested", "stepwell policy test")
        wanted = read_cases(cases)
        rules = await self._policies.rules(caller, files)
        named = {case.data for case in wanted.cases if isinstance(case, DataCase)}
        named -= wanted.databases.keys()
        known = await self._policies.databases.known(caller.namespace, named)
        declared = {name: shape.catalog for name, shape in wanted.databases.items()}
        known = Known({**known.catalogs, **declared})
        return await asyncio.to_thread(self._tried, caller.namespace, wanted.cases, rules, known)

    async def explain_data(
        self, caller: Caller, question: DataQuestion, files: Sequence[PolicyFile] = ()
    ) -> DataExplanation:
        """What somebody would see of a datasource, by these files or by what is in force.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: DATASOURCE_NOT_FOUND, or its tables are not known.
            InvalidRequest: INVALID_POLICY, with every problem.
        """
        demand_user(caller, "what somebody sees is explained", "stepwell policy explain --data")
        rules = await self._policies.rules(caller, files)
        known = await self._policies.databases.known(caller.namespace, {question.datasource})
        return await asyncio.to_thread(explained, question, rules, known)

    def _tried(
        self,
        namespace: str,
        cases: Sequence["Case | DataCase"],
        rules: RuleSet | None,
        known: Known,
    ) -> tuple[CaseResult, ...]:
        results: list[CaseResult] = []
        for number, case in enumerate(cases, 1):
            if isinstance(case, DataCase):
                decision, problem = case.decided(rules, known)
            else:
                action = self._action(namespace, case.question())
                decision = defaults.decide(action) if rules is None else rules.decide(action)
                problem = case.difference(decision)
            results.append(CaseResult(case.name or f"case {number}", decision, problem))
        return tuple(results)

    def _action(self, namespace: str, question: Question) -> Action:
        spec = self._spec(question.tool)
        for name in question.usage:
            if name not in USAGE:
                problem = f"there is no usage {name!r}, there is {', '.join(USAGE)}"
                raise InvalidRequest(problem, detail={"usage": problem})
        return Action(
            namespace=namespace,
            principal=question.principal,
            workflow=question.workflow,
            run="",
            step="",
            tool=question.tool,
            arguments=dict(question.arguments),
            author=question.author,
            granted=frozenset({question.tool}) if question.granted else frozenset(),
            spec=spec,
            facts=Facts(
                at=self._clock.now() if question.at is None else question.at,
                usage=question.usage,
                labels=question.labels,
                approved_before=question.approved_before,
            ),
            approved=question.approved,
            groups=question.groups,
        )

    def _spec(self, name: str) -> ToolSpec:
        tool = self._tools.get(name)
        if tool is None:
            near = get_close_matches(name, self._tools.names(), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise NotFound(
                f"there is no tool {name!r}; {hint}`stepwell tools list` shows those that there are",
                code=Code.TOOL_NOT_FOUND,
            )
        return tool.spec


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case of a test as people write it: a call, and what should be decided of it."""

    tool: str
    expect: Literal["allow", "deny", "require_approval", "throttle"]
    rules: frozenset[str] | None = None
    name: str = ""
    arguments: dict[str, Json] = {}
    principal: str = "agent:local"
    groups: frozenset[str] = frozenset()
    workflow: str = CALL.name
    author: str = ""
    granted: bool = True
    approved: bool = False
    approved_before: int = 0
    labels: frozenset[str] = frozenset()
    usage: dict[str, int] = {}
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def question(self) -> Question:
        """The call."""
        return Question(
            tool=self.tool,
            arguments=self.arguments,
            principal=self.principal,
            groups=self.groups,
            workflow=self.workflow,
            author=self.author,
            granted=self.granted,
            approved=self.approved,
            approved_before=self.approved_before,
            labels=self.labels,
            usage=self.usage,
            at=None if self.at is None else (self.at - _EPOCH) // _MICROSECOND,
        )

    def difference(self, decision: Decision) -> str:
        """How a decision differs from what was expected; "" when it does not."""
        by = f" by {', '.join(decision.rules)}" if decision.rules else ""
        if decision.effect != self.expect:
            why = f": {decision.reason}" if decision.reason else ""
            return f"expected {self.expect}, it is {decision.effect}{by}{why}"
        if self.rules is not None and self.rules != frozenset(decision.rules):
            return (
                f"expected {self.expect} by {', '.join(sorted(self.rules)) or 'no rule'}, it is{by}"
            )
        return ""


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    cases: tuple[dict[str, Any], ...]
    databases: dict[str, DatabaseShape] = {}


class Cases(Struct, frozen=True):
    """The cases of a test, and databases that they are about which need not be there."""

    cases: tuple[Case | DataCase, ...]
    databases: Mapping[str, DatabaseShape] = {}


def read_cases(source: bytes) -> Cases:
    """The cases of a test in YAML or JSON: those with `data` are about a database.

    Raises:
        InvalidRequest: INVALID_REQUEST, with the place or the path of what is wrong.
    """
    document = load(source)
    if document.problems or document.value is UNSET:
        said = "; ".join(str(problem) for problem in document.problems)
        raise InvalidRequest(f"the cases cannot be read: {said}", detail={"cases": said})
    try:
        read = msgspec.convert(document.value, _Document)
        cases = tuple(_case(number, case) for number, case in enumerate(read.cases))
    except msgspec.ValidationError as error:
        problem = f"the cases do not fit: {error}"
        raise InvalidRequest(problem, detail={"cases": problem}) from error
    if len(cases) > MAX_CASES:
        problem = f"there are {len(cases)} cases, the limit is {MAX_CASES}"
        raise InvalidRequest(problem, detail={"cases": problem})
    return Cases(cases, read.databases)


def _case(number: int, case: dict[str, Any]) -> Case | DataCase:
    try:
        return msgspec.convert(case, DataCase) if "data" in case else msgspec.convert(case, Case)
    except msgspec.ValidationError as error:
        said, at, path = str(error).rpartition(" - at `$")
        where = f"$.cases[{number}]"
        told = f"{said} - at `{where}{path}" if at else f"{error} - at `{where}`"
        raise msgspec.ValidationError(told) from error
