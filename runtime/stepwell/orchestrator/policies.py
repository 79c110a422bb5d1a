"""Policies: what may be done in a namespace, in versions, of which one is in force.

Files on a disk are never in force by themselves: a person applies them, and the version is kept in the
database. Every process sees that within a poll (`PolicyLoop`); until then it goes by the one before.
"""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.approvals import Factors, Proof, demand_factor
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.texts import check_texts
from stepwell.policy import defaults
from stepwell.policy.book import PolicyBook
from stepwell.policy.data.check import NOTHING_KNOWN, Known, data_problems
from stepwell.policy.problems import InvalidPolicy, PolicyProblem, bounded
from stepwell.policy.read import Reading, read_policy, type_problems
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.schema import schema_text
from stepwell.policy.source import PolicyFile
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import PolicyHead, PolicyRow

MAX_FILES: Final = 100

log = logging.getLogger(__name__)


class PolicyVersion(Struct, frozen=True, kw_only=True):
    """A version of the policy. It is in force when it has `applied_at`, and `applied_by`."""

    version: str
    files: tuple[PolicyFile, ...]
    principal: str
    created_at: int
    applied_by: str = ""
    applied_at: int | None = None

    @property
    def is_in_force(self) -> bool:
        """Whether calls are decided by it."""
        return self.applied_at is not None


class Audit(Protocol):
    """Keeps what people have changed."""

    async def record(
        self,
        namespace: str,
        principal: str,
        action: str,
        resource: str,
        detail: Mapping[str, str],
    ) -> object:
        """Notes one change."""
        ...


class Databases(Protocol):
    """Tells what databases there are, for rules of data."""

    async def known(self, namespace: str, wanted: Collection[str]) -> Known:
        """The datasources of a namespace; those `wanted` with their catalogs, if these can be read."""
        ...


class NoDatabases:
    """No database is known: rules of data are checked without one."""

    async def known(self, namespace: str, wanted: Collection[str]) -> Known:
        """None."""
        return NOTHING_KNOWN


class Policies:
    """What a caller may ask about policies. Every method takes the caller first.

    Only users may: rules say where the limits are, and an agent that knew would stay just below.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        book: PolicyBook,
        tools: ToolRegistry,
        clock: Clock,
        factors: Factors,
        audit: Audit,
        databases: Databases | None = None,
    ) -> None:
        self._storage = storage
        self.databases: Databases = databases or NoDatabases()
        """What rules of data are checked against."""
        self.book = book
        """What decides here."""
        self._tools = tools
        self._clock = clock
        self._factors = factors
        self._audit = audit
        self._known: dict[str, PolicyHead] = {}
        self._turn = asyncio.Lock()
        """Held from what is read of the database until it is in force here."""

    # --- what is kept -----------------------------------------------------------------------

    async def check(self, caller: Caller, files: Sequence[PolicyFile]) -> tuple[PolicyProblem, ...]:
        """Everything that is wrong with a policy, at once; () when nothing is.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            InvalidRequest: INVALID_REQUEST, there is no file, or there are too many.
        """
        demand_user(caller, "policies are checked", "stepwell policy check")
        _, problems = await self._read(caller, files)
        return problems

    async def apply(
        self, caller: Caller, files: Sequence[PolicyFile], *, proof: Proof | None = None
    ) -> tuple[PolicyVersion, bool]:
        """Keeps a version and puts it into force; the flag tells whether it is new.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user; FACTOR_REQUIRED, FACTOR_WRONG.
            InvalidRequest: INVALID_POLICY, with every problem.
        """
        demand_user(caller, "policies are applied", "stepwell policy apply")
        rules, problems = await self._read(caller, files)
        if problems:
            raise InvalidPolicy(problems)
        await demand_factor(self._factors, caller, proof, rules.version)
        now = self._clock.now()
        row = PolicyRow(rules.version, _source(files), caller.principal, now)
        head = PolicyHead(rules.version, caller.principal, now)
        async with self._turn:
            with refusals():
                is_new = await self._storage.policies.put(caller.namespace, row)
                await self._storage.policies.apply(caller.namespace, head)
            self._put(caller.namespace, head, rules)
        await self._note(caller, "policy.apply", rules.version)
        return await self.get(caller, rules.version), is_new

    async def restore(
        self, caller: Caller, version: str, *, proof: Proof | None = None
    ) -> PolicyVersion:
        """Puts an earlier version into force again.

        Raises:
            Denied: as `apply`.
            NotFound: POLICY_NOT_FOUND.
            InvalidRequest: INVALID_POLICY, it does not fit the tools that there are now.
        """
        demand_user(caller, "policies are applied", "stepwell policy apply --version")
        found = await self.get(caller, version)
        applied, _ = await self.apply(caller, found.files, proof=proof)
        return applied

    async def withdraw(self, caller: Caller, *, proof: Proof | None = None) -> bool:
        """Leaves no policy in force, so that the defaults are; False when none was.

        Raises:
            Denied: as `apply`.
        """
        demand_user(caller, "policies are withdrawn", "stepwell policy withdraw")
        await demand_factor(self._factors, caller, proof, WITHDRAWAL)
        async with self._turn:
            with refusals():
                was_there = await self._storage.policies.withdraw(caller.namespace)
            self._known.pop(caller.namespace, None)
            self.book.remove(caller.namespace)
        if was_there:
            await self._note(caller, "policy.withdraw", "defaults")
        return was_there

    async def get(self, caller: Caller, version: str = "") -> PolicyVersion:
        """One version, that in force by default; where none is, the defaults as a policy.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: POLICY_NOT_FOUND.
        """
        demand_user(caller, "policies are shown", "stepwell policy show")
        check_texts(version=version)
        with refusals():
            head = (await self._storage.policies.in_force()).get(caller.namespace)
        if not version and head is None:
            return DEFAULTS
        wanted = version or (head.version if head else "")
        missing = f"there is no version {wanted} of the policy; `stepwell policy list` shows all"
        with refusals(missing, Code.POLICY_NOT_FOUND):
            row = await self._storage.policies.get(caller.namespace, wanted)
        return _version(row, head)

    async def list(self, caller: Caller) -> tuple[PolicyVersion, ...]:
        """Every version, newest first.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
        """
        demand_user(caller, "policies are listed", "stepwell policy list")
        with refusals():
            rows = await self._storage.policies.list(caller.namespace)
            head = (await self._storage.policies.in_force()).get(caller.namespace)
        return tuple(_version(row, head) for row in rows)

    def schema(self, caller: Caller) -> str:
        """What policies may speak of, in Cedar's own words: an action for every tool.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
        """
        demand_user(caller, "what policies may speak of is shown", "stepwell policy schema")
        return schema_text(self._specs())

    # --- what is asked of rules -------------------------------------------------------------

    async def rules(self, caller: Caller, files: Sequence[PolicyFile]) -> RuleSet | None:
        """The rules of these files, of those in force where there are none; None is the defaults.

        Raises:
            InvalidRequest: INVALID_POLICY, with every problem.
        """
        if not files:
            return self.book.get(caller.namespace)
        rules, problems = await self._read(caller, files)
        if problems:
            raise InvalidPolicy(problems)
        return rules

    # --- what is in force here ---------------------------------------------------------------

    async def refresh(self) -> None:
        """Puts into force here what is in force in the database.

        A version that cannot be read here lets no call pass in its namespace.

        Raises:
            StorageError: the database cannot be read; all stays as it is.
        """
        async with self._turn:
            heads = await self._storage.policies.in_force()
            for namespace in self._known.keys() - heads.keys():
                del self._known[namespace]
                self.book.remove(namespace)
            for namespace, head in heads.items():
                known = self._known.get(namespace)
                if known is None or known.version != head.version:
                    row = await self._storage.policies.get(namespace, head.version)
                    rules = await asyncio.to_thread(_rules_of, row)
                    self._put(namespace, head, rules)
                    log.info("the policy %s is in force in %s", head.version, namespace)

    def _put(self, namespace: str, head: PolicyHead, rules: RuleSet) -> None:
        self._known[namespace] = head
        self.book.put(namespace, rules)

    async def _read(
        self, caller: Caller, files: Sequence[PolicyFile]
    ) -> tuple[RuleSet, tuple[PolicyProblem, ...]]:
        """The rules of files, and all that is wrong with them; it may take seconds."""
        reading = await asyncio.to_thread(self._reading, files)
        named = {rule.datasource for rule, _ in reading.data}
        known = await self.databases.known(caller.namespace, named) if named else NOTHING_KNOWN
        return await asyncio.to_thread(self._checked, files, reading, known)

    def _reading(self, files: Sequence[PolicyFile]) -> Reading:
        if not 0 < len(files) <= MAX_FILES:
            problem = f"a policy is 1 to {MAX_FILES} files, these are {len(files)}"
            raise InvalidRequest(problem, detail={"files": problem})
        check_texts(**{file.name: file.text for file in files})
        return read_policy(files)

    def _checked(
        self, files: Sequence[PolicyFile], reading: Reading, known: Known
    ) -> tuple[RuleSet, tuple[PolicyProblem, ...]]:
        problems = bounded(
            [
                *reading.problems,
                *type_problems(reading, self._specs().values()),
                *data_problems(reading.data, known),
            ]
        )
        version = "sha256:" + hashlib.sha256(_source(files)).hexdigest()
        return reading.rule_set(version), problems

    def _specs(self) -> dict[str, ToolSpec]:
        found = ((name, self._tools.get(name)) for name in self._tools.names())
        return {name: tool.spec for name, tool in found if tool is not None}

    async def _note(self, caller: Caller, action: str, version: str) -> None:
        await self._audit.record(caller.namespace, caller.principal, action, version, {})


class PolicyLoop:
    """Puts into force what other processes have applied, until it is cancelled."""

    def __init__(self, policies: Policies, *, poll: timedelta) -> None:
        """`poll` is the longest that this process goes by a policy that is in force no more."""
        self._policies = policies
        self._poll = poll.total_seconds()

    async def run(self) -> None:
        """Looks again and again; for ever."""
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self._policies.refresh()
            except StorageError as error:
                log.warning("the policies cannot be read, those known stay in force: %s", error)


WITHDRAWAL: Final = "policy.withdraw"
"""What a person proves who withdraws the policy."""

DEFAULTS: Final = PolicyVersion(
    version="",
    files=(PolicyFile("defaults.cedar", defaults.TEXT),),
    principal="",
    created_at=0,
)
"""What is in force where nobody has applied anything."""

_decoder = msgspec.json.Decoder(tuple[PolicyFile, ...])


def _source(files: Sequence[PolicyFile]) -> bytes:
    """Files as they are kept: where they lay does not matter."""
    return msgspec.json.encode([PolicyFile(PurePath(one.name).name, one.text) for one in files])


def _version(row: PolicyRow, head: PolicyHead | None) -> PolicyVersion:
    is_in_force = head is not None and head.version == row.version
    return PolicyVersion(
        version=row.version,
        files=_decoder.decode(row.source),
        principal=row.principal,
        created_at=row.created_at,
        applied_by=head.principal if head and is_in_force else "",
        applied_at=head.applied_at if head and is_in_force else None,
    )


def _rules_of(row: PolicyRow) -> RuleSet:
    """The rules of a version; of one that cannot be read, a set that lets nothing pass."""
    try:
        reading = read_policy(_decoder.decode(row.source))
        if not reading.problems:
            return reading.rule_set(row.version)
        why = str(reading.problems[0])
    except msgspec.DecodeError as error:
        why = str(error)
    log.error("the policy %s cannot be read, so no call is allowed: %s", row.version, why)
    return RuleSet((), version=row.version, is_closed=True)
