"""What the exit codes of `stepwell` mean."""

from enum import IntEnum

from stepwell.errors import Code


class Exit(IntEnum):
    """The exit codes; the reference of the command line is made from these lines."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "Exit":
        """A number that carries its own explanation."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "Done; where a run was waited for: it completed."
    FAILED = 1, "The request was refused, or the run failed or was cancelled."
    USAGE = 2, "The command line, a setting or a file that it names is wrong."
    NOT_RUNNING = 3, "No daemon runs on this home, or it does not answer."
    IN_USE = 4, "Another daemon has the home or the port."
    NOT_YET = 5, "The run has not ended within the `--timeout` of `stepwell wait`."
    INTERRUPTED = 130, "Stopped by Ctrl-C."


_BY_CODE = {
    Code.INVALID_CONFIG: Exit.USAGE,
    Code.INVALID_DEFINITION: Exit.USAGE,
    Code.INVALID_POLICY: Exit.USAGE,
    Code.MISSING_EXTRA: Exit.USAGE,
    Code.DAEMON_NOT_RUNNING: Exit.NOT_RUNNING,
    Code.HOME_IN_USE: Exit.IN_USE,
    Code.PORT_IN_USE: Exit.IN_USE,
}


def exit_for(code: Code) -> Exit:
    """The exit code of a command that ended with this error."""
    return _BY_CODE.get(code, Exit.FAILED)
