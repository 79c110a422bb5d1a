"""Everything that is measured, named by the question that it answers.

`docs/operations.md` has a line for each; a test compares.
"""

from collections.abc import Iterator

from stepwell.telemetry.instruments import LONG, Counter, Gauge, Histogram, Instrument

GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        # --- runs ---------------------------------------------------------------------------
        self.runs_started = Counter(
            "runs_started",
            "Runs that this process has accepted.",
            ("workflow",),
            named=["workflow"],
        )
        self.runs_ended = Counter(
            "runs_ended",
            "Runs that have ended here, and how.",
            ("workflow", "status"),
            named=["workflow"],
        )
        self.run_seconds = Histogram(
            "run_seconds",
            "From the start of a run to its end, waits included.",
            ("workflow",),
            named=["workflow"],
            bounds=LONG,
        )
        self.runs_open = Gauge(
            "runs_open", "Runs in the database that have not ended.", ("status",)
        )
        self.runs_held = Gauge("runs_held", "Open runs that are in the hands of this process.")
        self.runs_claimed = Counter(
            "runs_claimed", "Runs taken over from a process that is gone, or woken after a rest."
        )
        # --- steps --------------------------------------------------------------------------
        self.steps_ended = Counter(
            "steps_ended", "Steps that have ended here, and how.", ("kind", "status")
        )
        self.step_seconds = Histogram(
            "step_seconds",
            "From the scheduling of a step to its end, retries and waits included, where its run stayed "
            "in the hands of this process.",
            ("kind",),
            bounds=LONG,
        )
        self.step_retries = Counter(
            "step_retries", "Attempts of steps that failed and are followed by another.", ("kind",)
        )
        # --- calls --------------------------------------------------------------------------
        self.tool_calls = Counter(
            "tool_calls",
            "Calls of tools: `ok`, or the code of the failure.",
            ("tool", "outcome"),
            named=["tool"],
        )
        self.tool_call_seconds = Histogram(
            "tool_call_seconds", "How long a call of a tool takes.", ("tool",), named=["tool"]
        )
        self.model_calls = Counter(
            "model_calls",
            "Calls of models: `ok`, or the code of the failure.",
            ("model", "outcome"),
            named=["model"],
        )
        self.model_call_seconds = Histogram(
            "model_call_seconds", "How long a call of a model takes.", ("model",), named=["model"]
        )
        self.model_tokens = Counter(
            "model_tokens",
            "Tokens, as providers count them: `input`, `output`, and of the input `cache_read`.",
            ("model", "kind"),
            named=["model"],
        )
        # --- waiting ------------------------------------------------------------------------
        self.letters_waiting = Gauge(
            "letters_waiting", "Messages to runs that their owners have not taken yet."
        )
        self.queue_running = Gauge(
            "queue_running",
            "Places of a queue that are taken.",
            ("namespace", "queue"),
            named=["namespace", "queue"],
        )
        self.queue_waiting = Gauge(
            "queue_waiting",
            "How many wait for a place in a queue.",
            ("namespace", "queue"),
            named=["namespace", "queue"],
        )
        # --- database and process -----------------------------------------------------------
        self.commit_seconds = Histogram("commit_seconds", "How long one transaction takes.")
        self.commit_group_size = Histogram(
            "commit_group_size", "How many writes share one transaction.", bounds=GROUP_SIZES
        )
        self.storage_refusals = Counter(
            "storage_refusals",
            "Transactions that the database did not take: `full` or `unavailable`.",
            ("reason",),
        )
        self.event_loop_lag_seconds = Histogram(
            "event_loop_lag_seconds", "How late the process comes to what it had planned."
        )

    def __iter__(self) -> Iterator[Instrument]:
        yield from vars(self).values()
