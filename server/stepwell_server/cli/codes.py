"""What each error code means, and what to do about it: the text of the reference."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from stepwell.errors import Code

_CODES: Final = {
    Code.INVALID_REQUEST: (
        "A field of the request is not valid.",
        "Correct the fields that the error lists.",
    ),
    Code.INVALID_DEFINITION: (
        "A workflow's definition has problems.",
        "`stepwell workflows check FILE` shows each with its place.",
    ),
    Code.INVALID_POLICY: (
        "A policy has problems.",
        "`stepwell policy check FILE` shows each with its place.",
    ),
    Code.INVALID_INPUT: (
        "The input does not fit the workflow's schema.",
        "Compare it with `stepwell workflows show NAME`.",
    ),
    Code.INVALID_ARGUMENTS: (
        "The arguments do not fit the tool's schema.",
        "Correct what the message names; a model is told and may try again.",
    ),
    Code.INVALID_CURSOR: (
        "The cursor or page token is not one of ours, or of another list.",
        "Start without one.",
    ),
    Code.CURSOR_EXPIRED: (
        "The cursor belongs to another log.",
        "Start without one; the database was replaced.",
    ),
    Code.UNAUTHENTICATED: (
        "The credential is missing or wrong.",
        "Read `owner.token` in the daemon's home again, or make an API key: `stepwell key create`.",
    ),
    Code.INSUFFICIENT_SCOPE: (
        "The access token lacks a scope that this takes.",
        "Ask the authorization server for a token with the scopes that the message names.",
    ),
    Code.ISSUER_UNAVAILABLE: (
        "The keys of the authorization server cannot be fetched, so no access token can be checked.",
        "Try again; look at the log, and at `mcp.oauth` in the settings.",
    ),
    Code.WORKFLOW_NOT_FOUND: (
        "There is no such workflow or version.",
        "`stepwell workflows list` names them; `stepwell workflows put FILE` adds one.",
    ),
    Code.RUN_NOT_FOUND: ("There is no such run.", "`stepwell runs` lists them."),
    Code.STEP_NOT_FOUND: (
        "The run has no such step, or has not come to it.",
        "`stepwell show RUN` lists its steps.",
    ),
    Code.TOOL_NOT_FOUND: ("There is no such tool.", "`stepwell tools list` names them."),
    Code.DATASOURCE_NOT_FOUND: (
        "There is no such datasource.",
        "`stepwell datasource list` names them.",
    ),
    Code.ALREADY_EXISTS: ("The name is taken.", "Choose another, or remove the old one first."),
    Code.REQUEST_ID_REUSED: (
        "The request id was used for a different request.",
        "Use a new id for a new request.",
    ),
    Code.RUN_KEY_TAKEN: (
        "Another run has the run key and has not ended.",
        "Wait for that run, which the error names, or say `--on-conflict`.",
    ),
    Code.RESOURCE_NOT_FOUND: (
        "There is nothing to be read at this URI.",
        "MCP clients list resources and templates; a tools file declares them with `@resource`.",
    ),
    Code.PROMPT_NOT_FOUND: (
        "There is no such prompt.",
        "MCP clients list prompts; a tools file declares them with `@prompt`.",
    ),
    Code.BUDGET_NOT_FOUND: (
        "There is no such budget.",
        "`stepwell budget list` shows them; `stepwell budget set SCOPE` makes one.",
    ),
    Code.QUEUE_NOT_FOUND: (
        "There is no such queue.",
        "`stepwell queues list` names them; `stepwell queues put NAME` makes one.",
    ),
    Code.POLICY_NOT_FOUND: (
        "There is no such version of the policy.",
        "`stepwell policy list` names them; `stepwell policy apply FILE` adds one.",
    ),
    Code.SCHEDULE_NOT_FOUND: (
        "There is no such schedule.",
        "`stepwell schedules list` names them.",
    ),
    Code.KEY_NOT_FOUND: (
        "There is no data key of this run or subject.",
        "`stepwell data-keys list` names those that there are.",
    ),
    Code.API_KEY_NOT_FOUND: ("There is no such API key.", "`stepwell key list` names them."),
    Code.FACTOR_NOT_FOUND: ("You have no such factor.", "`stepwell factor list` names yours."),
    Code.FACTOR_REQUIRED: (
        "A person has to prove to be there, with a code or a passkey.",
        "Give `--code`, or answer on the page; `stepwell factor enroll` enrols a factor.",
    ),
    Code.FACTOR_WRONG: (
        "The code or passkey is wrong, was used before, or is for something else.",
        "Wait for the next code; check the clocks of both devices.",
    ),
    Code.FACTOR_LOCKED: (
        "Too many wrong codes in a row.",
        "Wait as long as the message says, or use a passkey on the page.",
    ),
    Code.KEY_DESTROYED: (
        "The data was erased: its key has been destroyed.",
        "Nothing; the log still says what happened, and no longer with what.",
    ),
    Code.DATA_DAMAGED: (
        "What is stored is not what was written.",
        "Find out who changed the database, and restore it from a backup.",
    ),
    Code.RUN_ENDED: (
        "The run has ended, so this cannot be done.",
        "Start another run; `stepwell retry` takes up one that failed.",
    ),
    Code.NOT_APPLICABLE: (
        "The run, the step or the queue is not in a state in which this can be done.",
        "The message says why; `stepwell show RUN` shows how it is.",
    ),
    Code.RUN_CANCELLED: ("Somebody cancelled the run.", "Start it again if that was a mistake."),
    Code.LEASE_LOST: (
        "Another process has taken the run over.",
        "Nothing; the run goes on there.",
    ),
    Code.LIMIT_EXCEEDED: (
        "A limit was reached.",
        "Send less, or raise the setting that the message names.",
    ),
    Code.STORAGE_FULL: (
        "The disk or the database's allowance is used up; nothing accepted is lost.",
        "Make space and send the request again.",
    ),
    Code.STORAGE_UNAVAILABLE: (
        "The database does not answer; nothing was changed.",
        "Try again; `stepwell doctor` says more.",
    ),
    Code.HOME_IN_USE: (
        "Another daemon has this home.",
        "Use it, stop it with `stepwell down`, or choose another `--home`.",
    ),
    Code.PORT_IN_USE: (
        "Another process has the port.",
        "Stop it, or choose another port; 0 picks a free one.",
    ),
    Code.DAEMON_NOT_RUNNING: ("No daemon serves this home.", "Start it with `stepwell up`."),
    Code.DEADLINE_EXCEEDED: (
        "The answer took longer than the caller wanted to wait.",
        "Ask again; what was accepted goes on.",
    ),
    Code.MISSING_EXTRA: (
        "A package of an optional part is not installed.",
        "Run the command in the message.",
    ),
    Code.INVALID_CONFIG: (
        "A setting or a flag is wrong.",
        "Correct the file, variable or flag that the message names.",
    ),
    Code.POLICY_DENIED: (
        "Policy does not let this caller do that.",
        "Name the tool in the workflow, if it should be allowed.",
    ),
    Code.EXPRESSION_ERROR: (
        "An expression has no value for what it was given.",
        "Test for what may be missing: `has(x.y)`.",
    ),
    Code.STEP_TIMEOUT: ("A step took longer than its `timeout`.", "Raise it, or set `retry`."),
    Code.APPROVAL_NOT_FOUND: (
        "There is no such approval.",
        "`stepwell show RUN` names those of a run.",
    ),
    Code.APPROVAL_DENIED: (
        "A person said no to what the step asked.",
        "`on_error` of the node tells the run what to do then.",
    ),
    Code.APPROVAL_EXPIRED: (
        "Nobody answered within the `timeout` of the step.",
        "Raise it, or start the run again; `stepwell show RUN` has the commands that answer.",
    ),
    Code.CHILD_FAILED: (
        "The run that a step is did not complete.",
        "`stepwell show RUN` on that run, which the message names, says why.",
    ),
    Code.TOOL_ERROR: ("A tool failed.", "The message is the tool's own."),
    Code.TOOL_CRASHED: (
        "The process that ran a tool ended before the tool did.",
        "See the daemon's log; the machine may be short of memory.",
    ),
    Code.TOOL_TIMEOUT: ("A tool took too long and was stopped.", "Raise the tool's `timeout`."),
    Code.TOOL_SUSPENDED: (
        "The server of the tool describes it differently than when it was pinned.",
        "`stepwell tools diff NAME` shows the change, `stepwell tools approve NAME` accepts it.",
    ),
    Code.TOOL_UNAVAILABLE: (
        "The MCP server of the tool is not connected.",
        "`stepwell tools servers` tells why; it is started again by itself.",
    ),
    Code.TOOL_RATE_LIMITED: (
        "The tool was called as often as its `rate` allows.",
        "Try again after the time that the error names, or raise `rate`.",
    ),
    Code.NETWORK_REFUSED: (
        "A tool may not connect to that address.",
        "Grant it in the tool's own settings: `hosts` for names, `networks` for private addresses.",
    ),
    Code.SECRET_NOT_FOUND: (
        "A reference to a secret leads nowhere.",
        "Put the secret where the message says, or correct the reference.",
    ),
    Code.INVALID_RESULT: (
        "A tool's result is not JSON, or does not fit its schema.",
        "Correct the tool or its output schema.",
    ),
    Code.OUTCOME_UNKNOWN: (
        "Nobody knows what became of a call that may not be repeated, and a person ended the step.",
        "Start another run, or fork this one; declare the tool `idempotent` if it is.",
    ),
    Code.QUERY_REFUSED: (
        "The query does what the read-only SQL tools forbid.",
        "Ask for data only; the message names the rule.",
    ),
    Code.PREVIEW_NOT_FOUND: (
        "There is no such preview of a change, or it is somebody else's.",
        "Preview the change again with `db_preview_write`.",
    ),
    Code.PREVIEW_STALE: (
        "Rows, schema or policy are not what they were when the change was previewed.",
        "Preview it again; nothing was written.",
    ),
    Code.QUERY_FAILED: ("The database refused the query.", "The message is the database's own."),
    Code.MODEL_NOT_CONFIGURED: (
        "A model class is bound to nothing, or its key is missing.",
        "Set what the message names; `stepwell doctor` checks it.",
    ),
    Code.MODEL_RATE_LIMITED: ("The provider asks for a pause.", "It is tried again by itself."),
    Code.MODEL_UNAVAILABLE: (
        "The provider does not answer.",
        "It is tried again by itself; check its address.",
    ),
    Code.MODEL_REFUSED: ("The model would not answer.", "Change what it is asked."),
    Code.MODEL_ERROR: ("The provider's answer cannot be used.", "The message says why."),
    Code.MODEL_CONTEXT_EXCEEDED: (
        "The conversation is too long for the model.",
        "Ask for less data, or bind a model with a longer context.",
    ),
    Code.MODEL_OUTPUT_INVALID: (
        "The model's answer does not fit the agent's `output` schema, repairs included.",
        "Simplify the schema or choose another model.",
    ),
    Code.TURNS_EXCEEDED: (
        "The agent asked for tools more often than its `limits.turns`.",
        "Raise it, or tell the agent when to stop.",
    ),
    Code.INTERNAL: (
        "A bug in Stepwell.",
        "Please report it with the request id; the daemon's log says more.",
    ),
}

CODES: Final[Mapping[Code, tuple[str, str]]] = MappingProxyType(_CODES)
"""By code: what happened, and what to do."""
