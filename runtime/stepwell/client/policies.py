"""What a client may ask about policies."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from grpc import aio
from msgspec import Struct

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import attribute_messages, code_proof, data
from stepwell.client.failures import to_error
from stepwell.engine.values import Json
from stepwell.v1 import policy_service_pb2 as pb


class PolicyFile(Struct, frozen=True):
    """A file of rules: what it is called, and what is in it."""

    name: str
    text: str


class Policy(Struct, frozen=True, kw_only=True):
    """A version of the policy. `files` are told by `get` and `apply` only.

    Of the defaults, which are there where nobody has applied anything, `version` is "" and nobody
    created them. `created` is False when this version was there before it was applied.
    """

    version: str
    files: tuple[PolicyFile, ...]
    principal: str
    created_at: datetime | None
    in_force: bool
    applied_by: str
    applied_at: datetime | None
    created: bool = False


class PolicyProblem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a policy; `length` characters of `text` are meant."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    rule: str = ""
    text: str = ""
    length: int = 1


class PolicyDecision(Struct, frozen=True, kw_only=True):
    """What a policy says of a call: allow, deny, require_approval or throttle, and why."""

    effect: str
    rules: tuple[str, ...]
    reason: str
    remedy: str
    retry_at: datetime | None
    approver: str
    groups: tuple[str, ...]
    log_only: str


class PolicyPass(Struct, frozen=True):
    """One time that the rules were asked; `broken` are rules that could not be applied."""

    approved: bool
    allowed: bool
    rules: tuple[str, ...]
    broken: tuple[str, ...]


class DecisionExplained(Struct, frozen=True):
    """A decision, each pass that led to it, and every rule that can apply to the tool."""

    decision: PolicyDecision
    passes: tuple[PolicyPass, ...]
    naming: tuple[str, ...]


class ChangeReach(Struct, frozen=True):
    """How far `insert`, `update` or `delete` reaches: the columns that it may set, and rows, in SQL."""

    change: str
    columns: tuple[str, ...]
    rows: str


class TableExplained(Struct, frozen=True, kw_only=True):
    """A table as somebody would see it. Where it is not there for him, it is not `readable`.

    `columns` is None where every column is there, `rows` (SQL) "" where every row is, `most_rows` 0
    where it is what holds for the datasource. `notes` say what could not be applied or was lost,
    `on_trial` how it would be with the rules on trial, where that differs.
    """

    name: str
    readable: bool
    columns: tuple[str, ...] | None
    masks: Mapping[str, str]
    rows: str
    changes: tuple[ChangeReach, ...]
    most_rows: int
    rules: tuple[str, ...]
    notes: tuple[str, ...]
    on_trial: str


class AccessExplained(Struct, frozen=True, kw_only=True):
    """A datasource as somebody would see it; it is `open` where no rule in force names it."""

    policy: str
    open: bool
    most_rows: int
    tables: tuple[TableExplained, ...]


class PolicyCase(Struct, frozen=True):
    """A case of a test; `problem` is "" when it ends as it says."""

    name: str
    decision: PolicyDecision
    problem: str


class ChangedCall(Struct, frozen=True):
    """A call that was made, and would not have been made at once."""

    run: str
    step: str
    call: str
    tool: str
    at: datetime
    decision: PolicyDecision


class Simulation(Struct, frozen=True, kw_only=True):
    """How far a simulation is, and what it has found; it ends with one that is `done`."""

    events: int
    of_events: int
    done: bool
    calls: int
    unknown: int
    effects: Mapping[str, int]
    rules: Mapping[str, int]
    changed: tuple[ChangedCall, ...]


class Policies:
    """`client.policies`. A policy is files of rules; without files, what is in force is asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def check(self, files: Sequence[PolicyFile]) -> tuple[PolicyProblem, ...]:
        """Everything that is wrong with a policy, at once; () when nothing is."""
        request = pb.CheckPolicyRequest(files=_files(files))
        answer = await self._connection.call(self._connection.policies.CheckPolicy, request)
        return tuple(map(_problem, answer.problems))

    async def apply(
        self, files: Sequence[PolicyFile] = (), *, version: str = "", code: str = ""
    ) -> Policy:
        """Puts files, or an earlier version, into force.

        `code` is a one-time code, for who has enrolled a factor. A policy with problems is
        `InvalidRequest`, INVALID_POLICY; `check` tells all.
        """
        request = pb.ApplyPolicyRequest(
            files=_files(files), version=version, proof=code_proof(code)
        )
        answer = await self._connection.call(self._connection.policies.ApplyPolicy, request)
        return _policy(answer.policy, created=answer.created)

    async def withdraw(self, *, code: str = "") -> bool:
        """Leaves no policy in force, so that the defaults are; False when none was."""
        request = pb.WithdrawPolicyRequest(proof=code_proof(code))
        answer = await self._connection.call(self._connection.policies.WithdrawPolicy, request)
        return answer.withdrawn

    async def get(self, version: str = "") -> Policy:
        """One version with its files, that in force by default."""
        request = pb.GetPolicyRequest(version=version)
        answer = await self._connection.call(self._connection.policies.GetPolicy, request)
        return _policy(answer.policy)

    async def list(self) -> tuple[Policy, ...]:
        """Every version, newest first, without the files."""
        found: tuple[Policy, ...] = ()
        request = pb.ListPoliciesRequest(page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.policies.ListPolicies, request)
            found += tuple(map(_policy, answer.policies))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def schema(self) -> str:
        """What policies may speak of, as a schema of Cedar."""
        request = pb.GetPolicySchemaRequest()
        answer = await self._connection.call(self._connection.policies.GetPolicySchema, request)
        return answer.text

    async def explain(
        self,
        tool: str,
        arguments: Json = None,
        *,
        files: Sequence[PolicyFile] = (),
        principal: str = "",
        groups: Sequence[str] = (),
        workflow: str = "",
        granted: bool = True,
        approved: bool = False,
        labels: Sequence[str] = (),
        usage: Mapping[str, int] | None = None,
        at: datetime | None = None,
    ) -> DecisionExplained:
        """What would be decided of a call that nobody makes, and how.

        It is a direct call without a `workflow`; `granted` says whether that lists the tool. `labels`
        are what the run has read, `usage` what was spent, `at` is now by default.
        """
        request = pb.ExplainDecisionRequest(
            files=_files(files),
            tool=tool,
            arguments=None if arguments is None else data(arguments),
            principal=principal,
            groups=groups,
            workflow=workflow,
            not_granted=not granted,
            approved=approved,
            labels=labels,
            usage=usage or {},
        )
        if at is not None:
            request.at.FromDatetime(at)
        answer = await self._connection.call(self._connection.policies.ExplainDecision, request)
        passes = tuple(
            PolicyPass(one.approved, one.allowed, tuple(one.rules), tuple(one.broken))
            for one in answer.passes
        )
        return DecisionExplained(_decision(answer.decision), passes, tuple(answer.naming))

    async def explain_access(
        self,
        datasource: str,
        *,
        files: Sequence[PolicyFile] = (),
        principal: str = "",
        groups: Sequence[str] = (),
        attributes: Mapping[str, Sequence[str]] | None = None,
    ) -> AccessExplained:
        """What somebody would see of a datasource, table by table, and why."""
        request = pb.ExplainAccessRequest(
            files=_files(files),
            datasource=datasource,
            principal=principal,
            groups=groups,
            attributes=attribute_messages(attributes),
        )
        answer = await self._connection.call(self._connection.policies.ExplainAccess, request)
        return AccessExplained(
            policy=answer.policy,
            open=answer.open,
            most_rows=answer.most_rows,
            tables=tuple(map(_table_explained, answer.tables)),
        )

    async def test(
        self, cases: bytes | str, files: Sequence[PolicyFile] = ()
    ) -> tuple[PolicyCase, ...]:
        """Of every case, in YAML or JSON, whether it ends as it says."""
        source = cases.encode() if isinstance(cases, str) else cases
        request = pb.TestPolicyRequest(files=_files(files), cases=source)
        answer = await self._connection.call(self._connection.policies.TestPolicy, request)
        return tuple(
            PolicyCase(one.name, _decision(one.decision), one.problem) for one in answer.cases
        )

    async def simulate(
        self,
        files: Sequence[PolicyFile] = (),
        *,
        events: int = 0,
        since: datetime | None = None,
    ) -> AsyncGenerator[Simulation, None]:
        """How far it is with deciding again on the calls of the log, and what it has found.

        It reads the last `events` of the log, 100,000 by default; calls before `since` are not
        decided on.
        """
        request = pb.SimulatePolicyRequest(files=_files(files), events=events)
        if since is not None:
            request.since.FromDatetime(since)
        await self._connection.connect()
        metadata = self._connection.metadata
        stream = self._connection.policies.SimulatePolicy(request, metadata=metadata)
        try:
            async for message in stream:
                yield _simulation(message)
        except aio.AioRpcError as error:
            raise to_error(error, self._connection.target) from error


def _table_explained(message: pb.TableExplained) -> TableExplained:
    return TableExplained(
        name=message.name,
        readable=message.readable,
        columns=None if message.every_column else tuple(message.columns),
        masks=dict(message.masks),
        rows=message.rows,
        changes=tuple(
            ChangeReach(one.change, tuple(one.columns), one.rows) for one in message.changes
        ),
        most_rows=message.most_rows,
        rules=tuple(message.rules),
        notes=tuple(message.notes),
        on_trial=message.on_trial,
    )


def _files(files: Sequence[PolicyFile]) -> list[pb.PolicyFile]:
    return [pb.PolicyFile(name=file.name, text=file.text) for file in files]


def _policy(message: pb.Policy, *, created: bool = False) -> Policy:
    return Policy(
        version=message.version,
        files=tuple(PolicyFile(file.name, file.text) for file in message.files),
        principal=message.principal,
        created_at=decode.instant(message.created_at) if message.HasField("created_at") else None,
        in_force=message.in_force,
        applied_by=message.applied_by,
        applied_at=decode.instant(message.applied_at) if message.HasField("applied_at") else None,
        created=created,
    )


def _problem(message: pb.PolicyProblem) -> PolicyProblem:
    return PolicyProblem(
        file=message.file,
        line=message.line,
        column=message.column,
        message=message.message,
        hint=message.hint,
        rule=message.rule,
        text=message.text,
        length=message.length,
    )


def _decision(message: pb.PolicyDecision) -> PolicyDecision:
    return PolicyDecision(
        effect=message.effect,
        rules=tuple(message.rules),
        reason=message.reason,
        remedy=message.remedy,
        retry_at=decode.instant(message.retry_at) if message.HasField("retry_at") else None,
        approver=message.approver,
        groups=tuple(message.groups),
        log_only=message.log_only,
    )


def _simulation(message: pb.SimulatePolicyResponse) -> Simulation:
    changed = tuple(
        ChangedCall(
            decode.run_id(one.run),
            one.step,
            one.call,
            one.tool,
            decode.instant(one.at),
            _decision(one.decision),
        )
        for one in message.changed
    )
    return Simulation(
        events=message.events,
        of_events=message.of_events,
        done=message.done,
        calls=message.calls,
        unknown=message.unknown,
        effects=dict(message.effects),
        rules=dict(message.rules),
        changed=changed,
    )
