"""Policies as people keep them, put them into force and try them out."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.policy.saying import LOOK, POST, REFUND, call

from stepwell.clock import SystemClock
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, Denied, InvalidRequest, NotFound
from stepwell.orchestrator.approvals import NO_FACTORS, Proof
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.policies import Policies, PolicyLoop
from stepwell.orchestrator.policy_trials import CaseResult, PolicyTrials, Question
from stepwell.policy.book import PolicyBook
from stepwell.policy.port import Decision
from stepwell.policy.problems import InvalidPolicy
from stepwell.policy.source import PolicyFile
from stepwell.principals import Caller
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import Unavailable
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import PolicyHead, PolicyRow

pytestmark = pytest.mark.anyio

ANN = Caller("default", "user:ann")
AGENT = Caller("default", "agent:a")
NEVER = [PolicyFile("here/never.cedar", '@id("never") forbid(principal, action, resource);')]
READS = [
    PolicyFile(
        "reads.cedar",
        '@id("reads") permit(principal, action, resource) when { resource.read_only };',
    )
]


class Still:
    """A tool that nobody calls."""

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        raise NotImplementedError


class House:
    """A store with the policies of two processes over it."""

    def __init__(self, **given: Any) -> None:
        self.storage = MemoryStorage()
        self.tools = ToolRegistry()
        for spec in (REFUND, POST, LOOK):
            self.tools.add(Still(spec))
        self.book, self.other_book = PolicyBook(), PolicyBook()
        self.policies = self._policies(self.book, **given)
        self.others = self._policies(self.other_book)
        self.trials = PolicyTrials(self.policies, tools=self.tools, clock=SystemClock())

    def _policies(self, book: PolicyBook, **given: Any) -> Policies:
        clock = SystemClock()
        given = {"factors": NO_FACTORS, "audit": Audit(self.storage, clock), **given}
        return Policies(self.storage, book=book, tools=self.tools, clock=clock, **given)


async def test_what_is_applied_is_in_force_at_once_and_elsewhere_within_a_poll() -> None:
    house = House()
    assert house.book.decide(call()).effect == "allow"

    applied, is_new = await house.policies.apply(ANN, NEVER)
    assert is_new
    assert applied.is_in_force
    assert applied.applied_by == "user:ann"
    assert applied.files == (PolicyFile("never.cedar", NEVER[0].text),)
    decision = house.book.decide(call())
    assert (decision.effect, decision.policy) == ("deny", applied.version)

    assert house.other_book.decide(call()).effect == "allow"
    await house.others.refresh()
    assert house.other_book.decide(call()) == decision


async def test_the_loop_sees_what_others_apply_and_outlives_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    whole, asked = house.storage.policies.in_force, asyncio.Event()

    async def away() -> dict[str, PolicyHead]:
        asked.set()
        raise Unavailable("away")

    monkeypatch.setattr(house.storage.policies, "in_force", away)
    loop = PolicyLoop(house.others, poll=timedelta(milliseconds=1))
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(loop.run())
        await asked.wait()
        monkeypatch.setattr(house.storage.policies, "in_force", whole)
        await house.policies.apply(ANN, NEVER)
        while house.other_book.decide(call()).effect != "deny":
            await asyncio.sleep(0.001)
        await house.policies.withdraw(ANN)
        while house.other_book.decide(call()).effect != "allow":
            await asyncio.sleep(0.001)
        task.cancel()


async def test_versions_are_listed_shown_and_put_into_force_again() -> None:
    house = House()
    assert (await house.policies.get(ANN)).files[0].name == "defaults.cedar"

    never, _ = await house.policies.apply(ANN, NEVER)
    reads, _ = await house.policies.apply(ANN, READS)
    assert await house.policies.get(ANN) == reads
    assert [one.is_in_force for one in await house.policies.list(ANN)].count(True) == 1

    again = await house.policies.restore(ANN, never.version)
    assert (again.version, again.is_in_force) == (never.version, True)
    assert house.book.decide(call()).rules == ("never",)
    assert not (await house.policies.get(ANN, reads.version)).is_in_force
    with pytest.raises(NotFound, match="stepwell policy list") as missing:
        await house.policies.get(ANN, "sha256:0")
    assert missing.value.code is Code.POLICY_NOT_FOUND


async def test_the_same_files_from_elsewhere_are_the_same_version() -> None:
    house = House()
    first, _ = await house.policies.apply(ANN, NEVER)
    elsewhere = [PolicyFile("/there/never.cedar", NEVER[0].text)]
    second, is_new = await house.policies.apply(ANN, elsewhere)
    assert (second.version, is_new) == (first.version, False)


async def test_a_policy_with_problems_changes_nothing() -> None:
    house = House()
    bad = [PolicyFile("bad.cedar", '@id("a") permit(principal, action == Action::"no", resource);')]
    with pytest.raises(InvalidPolicy, match="unrecognized action"):
        await house.policies.apply(ANN, bad)
    assert await house.policies.check(ANN, bad)
    assert await house.policies.check(ANN, NEVER) == ()
    assert await house.policies.list(ANN) == ()
    with pytest.raises(InvalidRequest, match="1 to 100 files"):
        await house.policies.check(ANN, [])


async def test_an_agent_neither_changes_nor_sees_what_binds_it() -> None:
    house = House()
    await house.policies.apply(ANN, NEVER)
    for asked in (
        house.policies.apply(AGENT, READS),
        house.policies.withdraw(AGENT),
        house.policies.check(AGENT, READS),
        house.policies.get(AGENT),
        house.policies.list(AGENT),
        house.trials.explain(AGENT, Question(tool="chat.post")),
        house.trials.test(AGENT, b"cases: []"),
    ):
        with pytest.raises(Denied, match="agent:a"):
            await asked
    with pytest.raises(Denied):
        house.policies.schema(AGENT)


async def test_each_namespace_has_a_policy_of_its_own() -> None:
    house = House()
    await house.policies.apply(Caller("other", "user:bob"), NEVER)
    await house.others.refresh()
    assert house.book.decide(call()).effect == "allow"
    assert house.other_book.decide(call()).effect == "allow"


async def test_a_version_that_cannot_be_read_here_lets_nothing_pass() -> None:
    house = House()
    for version, source in (("sha256:a", b"no json"), ("sha256:b", b'[{"name":"a","text":"no"}]')):
        row = PolicyRow(version, source, "user:ann", 1)
        await house.storage.policies.put("default", row)
        await house.storage.policies.apply("default", PolicyHead(version, "user:ann", 1))
        await house.others.refresh()
        assert house.other_book.decide(call(LOOK, {})) == Decision(
            "deny",
            ("internal",),
            "the policy in force cannot be read by this version of Stepwell",
            policy=version,
        )


class Enrolled:
    """Ann has a factor, and her code is 123456."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def is_enrolled(self, caller: Caller) -> bool:
        return caller == ANN

    async def is_wanted(self, caller: Caller) -> bool:
        return True

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        self.asked.append(subject)
        if proof != Proof(kind="totp", value="123456"):
            raise Denied("show your factor")


async def test_who_has_a_factor_shows_it_before_anything_changes() -> None:
    factors = Enrolled()
    house = House(factors=factors)
    right = Proof(kind="totp", value="123456")
    for change in (house.policies.apply(ANN, NEVER), house.policies.withdraw(ANN)):
        with pytest.raises(Denied, match="show your factor"):
            await change
    assert house.book.decide(call()).effect == "allow"

    applied, _ = await house.policies.apply(ANN, NEVER, proof=right)
    assert factors.asked[-1] == applied.version
    await house.policies.withdraw(ANN, proof=right)
    assert house.book.decide(call()).effect == "allow"


class Noted:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, ...]] = []

    async def record(self, *entry: Any) -> None:
        self.entries.append(entry[:4])


async def test_changes_are_noted() -> None:
    audit = Noted()
    house = House(audit=audit)
    applied, _ = await house.policies.apply(ANN, NEVER)
    await house.policies.withdraw(ANN)
    await house.policies.withdraw(ANN)
    assert audit.entries == [
        ("default", "user:ann", "policy.apply", applied.version),
        ("default", "user:ann", "policy.withdraw", "defaults"),
    ]


async def test_a_decision_is_explained_with_its_passes() -> None:
    house = House()
    both = [
        PolicyFile(
            "a.cedar",
            '@id("ask") @effect("require_approval") forbid(principal, action, resource);'
            '@id("never") forbid(principal, action == Action::"chat.post", resource)'
            " when { context.approved };",
        )
    ]
    asked = Question(tool="chat.post", workflow="flow")
    explained = await house.trials.explain(ANN, asked, both)
    assert (explained.decision.effect, explained.decision.rules) == ("deny", ("never",))
    assert [(one.approved, one.rules) for one in explained.passes] == [
        (False, ("ask",)),
        (True, ("never",)),
    ]
    assert explained.naming == ("never", "ask")

    default = await house.trials.explain(ANN, Question(tool="chat.post"))
    assert default.decision.rules == ("default.hold",)
    with pytest.raises(NotFound, match=r"did you mean 'chat.post'"):
        await house.trials.explain(ANN, Question(tool="chat.pots"))
    with pytest.raises(InvalidRequest, match="there is no usage 'calls'"):
        await house.trials.explain(ANN, Question(tool="chat.post", usage={"calls": 1}))


CASES = b"""
cases:
  - { name: agents read, tool: db.look, expect: allow, rules: [reads] }
  - { name: agents write, tool: chat.post, arguments: { text: hi }, expect: allow }
  - tool: pay.refund
    arguments: { amount: 5 }
    at: 2026-11-26T12:00:00Z
    expect: deny
"""


async def test_cases_tell_what_differs_from_what_was_meant() -> None:
    house = House()
    results = await house.trials.test(ANN, CASES, READS)
    assert [(one.name, one.problem) for one in results] == [
        ("agents read", ""),
        ("agents write", "expected allow, it is deny: no rule allows chat.post here"),
        ("case 3", ""),
    ]
    assert isinstance(results[0], CaseResult)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"cases: [", "the cases cannot be read"),
        (b"cases: [{ tool: a }]", "missing required field `expect`"),
        (b"cases: [{ tool: a, expect: maybe }]", "Invalid enum value 'maybe'"),
        (b"cases: [{ tool: a, expect: deny, tol: b }]", "unknown field `tol`"),
        (b"cases: [{ tool: a, expect: deny, at: '2026-11-26 12:00' }]", "RFC3339"),
    ],
)
async def test_cases_that_are_none_are_refused_with_their_place(source: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        await House().trials.test(ANN, source)
