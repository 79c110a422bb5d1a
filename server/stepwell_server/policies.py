"""Policies as messages of the contract, and back."""

from collections.abc import Iterable, Mapping

from stepwell.errors import InvalidRequest
from stepwell.orchestrator.attributes import read_attributes
from stepwell.orchestrator.data_trials import DataExplanation, DataQuestion, TableExplained
from stepwell.orchestrator.policies import PolicyVersion
from stepwell.orchestrator.policy_replay import Replay
from stepwell.orchestrator.policy_trials import CaseResult, Explanation, Question
from stepwell.policy.port import Decision
from stepwell.policy.problems import PolicyProblem
from stepwell.policy.rules import CALL
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT
from stepwell.v1 import policy_service_pb2 as pb
from stepwell_server.translate import attributes, maybe_timestamp, read_json, run_name, timestamp


def files(messages: Iterable[pb.PolicyFile]) -> tuple[PolicyFile, ...]:
    """The files of a request."""
    return tuple(PolicyFile(message.name, message.text) for message in messages)


def policy(view: PolicyVersion, *, is_listed: bool = False) -> pb.Policy:
    """A version; of one that is listed the files are left out."""
    shown = () if is_listed else view.files
    return pb.Policy(
        version=view.version,
        files=[pb.PolicyFile(name=file.name, text=file.text) for file in shown],
        principal=view.principal,
        created_at=timestamp(view.created_at) if view.created_at else None,
        in_force=view.is_in_force,
        applied_by=view.applied_by,
        applied_at=maybe_timestamp(view.applied_at),
    )


def listed(view: PolicyVersion) -> pb.Policy:
    """A version in a list."""
    return policy(view, is_listed=True)


def problem(view: PolicyProblem) -> pb.PolicyProblem:
    """What is wrong with a policy."""
    return pb.PolicyProblem(
        file=view.file,
        line=view.line,
        column=view.column,
        message=view.message,
        hint=view.hint,
        rule=view.rule,
        text=view.text[:MOST_TEXT],
        length=view.length,
    )


MOST_TEXT = 10_000
"""Characters of a line that are told."""


def decision(view: Decision) -> pb.PolicyDecision:
    """What is decided of a call."""
    return pb.PolicyDecision(
        effect=view.effect,
        rules=view.rules,
        reason=view.reason,
        remedy=view.remedy,
        retry_at=maybe_timestamp(view.retry_at),
        approver=view.terms.approver if view.terms else "",
        groups=view.terms.groups if view.terms else (),
        log_only=view.log_only,
    )


def question(request: pb.ExplainDecisionRequest) -> Question:
    """The call that a request asks about.

    Raises:
        InvalidRequest: the arguments are not JSON, or no object.
    """
    arguments = read_json(request.arguments, "arguments", default={})
    if not isinstance(arguments, Mapping):
        raise InvalidRequest("arguments must be an object", detail={"arguments": "is no object"})
    return Question(
        tool=request.tool,
        arguments=arguments,
        principal=request.principal or LOCAL_AGENT.principal,
        workflow=request.workflow or CALL,
        groups=frozenset(request.groups),
        granted=not request.not_granted,
        approved=request.approved,
        labels=frozenset(request.labels),
        usage=dict(request.usage),
        at=request.at.ToMicroseconds() if request.HasField("at") else None,
    )


def explained(view: Explanation) -> pb.ExplainDecisionResponse:
    """A decision and how it came about."""
    passes = [
        pb.PolicyPass(
            approved=one.approved, allowed=one.is_allowed, rules=one.rules, broken=one.broken
        )
        for one in view.passes
    ]
    return pb.ExplainDecisionResponse(
        decision=decision(view.decision), passes=passes, naming=view.naming
    )


def data_question(request: pb.ExplainAccessRequest) -> DataQuestion:
    """Who would look into which datasource.

    Raises:
        InvalidRequest: an attribute cannot be one.
    """
    return DataQuestion(
        datasource=request.datasource,
        principal=request.principal or LOCAL_AGENT.principal,
        groups=frozenset(request.groups),
        attributes=read_attributes(attributes(request.attributes)),
    )


def data_explained(view: DataExplanation) -> pb.ExplainAccessResponse:
    """A datasource as somebody would see it."""
    return pb.ExplainAccessResponse(
        policy=view.policy,
        open=view.is_open,
        most_rows=view.most_rows,
        tables=map(_table_explained, view.tables),
    )


def _table_explained(view: TableExplained) -> pb.TableExplained:
    message = pb.TableExplained(
        name=view.name, rules=view.rules, notes=view.notes, on_trial=view.on_trial
    )
    if (access := view.access) is not None:
        message.readable = True
        message.columns.extend(access.columns or ())
        message.every_column = access.columns is None
        message.masks.update(access.masks)
        message.rows = access.rows
        message.most_rows = access.most_rows or 0
        message.changes.extend(
            pb.ChangeReach(change=change, columns=reach.columns, rows=reach.rows)
            for change, reach in access.changes.items()
        )
    return message


def case(view: CaseResult) -> pb.PolicyCase:
    """What became of a case."""
    return pb.PolicyCase(name=view.name, decision=decision(view.decision), problem=view.problem)


def replay(view: Replay) -> pb.SimulatePolicyResponse:
    """How far a simulation is, and what it has found."""
    changed = [
        pb.ChangedCall(
            run=run_name(one.run),
            step=one.step,
            call=one.call,
            tool=one.tool,
            at=timestamp(one.at),
            decision=decision(one.decision),
        )
        for one in view.changed
    ]
    return pb.SimulatePolicyResponse(
        events=view.events,
        of_events=view.of_events,
        done=view.is_done,
        calls=view.calls,
        unknown=view.unknown,
        effects=view.effects,
        rules=view.rules,
        changed=changed,
    )
