"""What the figures are held against: the peers of the same run, and the goals.

A ratio is only made of figures of one run; where one of the two was not measured there is none.
"""

from typing import NamedTuple

DATABASES = ("sqlite", "postgres")
PEERS = ("dbos", "langgraph")


class Goal(NamedTuple):
    """A bound of a figure."""

    figure: str
    bound: float
    is_most: bool

    @property
    def wanted(self) -> str:
        return f"{'<=' if self.is_most else '>='} {self.bound:g}"

    def is_reached(self, figure: float) -> bool:
        return figure <= self.bound if self.is_most else figure >= self.bound


def at_least(figure: str, bound: float) -> Goal:
    """A figure that must not be lower."""
    return Goal(figure, bound, is_most=False)


def at_most(figure: str, bound: float) -> Goal:
    """A figure that must not be higher."""
    return Goal(figure, bound, is_most=True)


GOALS = (
    *(
        goal
        for database in DATABASES
        for goal in (
            at_least(f"{database}.steps_times_dbos", 70),
            at_least(f"{database}.ratio_to_raw", 1 / 5),
            at_most(f"{database}.cpu_ms_per_step", 0.10),
            at_most(f"{database}.bytes_per_step", 600),
            at_most(f"{database}.single_run_ratio_to_raw", 3),
            at_most(f"{database}.fanout_s", 0.3),
            at_most(f"{database}.scale_list_runs_ratio", 1.5),
            at_most(f"{database}.scale_read_page_ratio", 1.5),
            at_most(f"{database}.scale_read_run_ratio", 1.5),
            at_most(f"{database}.scale_watch_ratio", 1.5),
            at_most(f"{database}.guard_cpu_ms", 2),
            at_most(f"{database}.guard_cpu_p95_ms", 6),
            at_most(f"{database}.guard_repeated_cpu_ms", 0.2),
        )
    ),
    at_most("sqlite.governed_cpu_ms_per_step", 0.25),
    at_most("sqlite.governed_anew_cpu_ms_per_step", 0.25),
    at_most("sqlite.unnamed_ratio", 1.05),
    at_least("sqlite.governed_cpu_times_dbos", 20),
    at_least("decisions_per_s", 3000),
    at_most("wrapped.look_added_p50_ms", 5),
    at_most("wrapped.note_added_p50_ms", 5),
    at_most("door.alone_ratio", 1.2),
    at_most("door.session_alone_ratio", 1.2),
    at_most("door.governed_ratio", 2),
    at_most("door.session_governed_ratio", 2),
    at_most("door.http_governed_ratio", 2),
    at_most("door.list_1000_cpu_ms", 20),
    at_least("linking.recall_at_12", 0.95),
    at_most("linking.warm_p99_ms", 50),
    at_most("sqlite.watch_p99_ms", 50),
    at_most("postgres.watch_p99_ms", 300),
)


def against_peers(figures: dict[str, float]) -> dict[str, float]:
    """How many times as good as each peer on the same database, from the figures of one run."""
    ratios = {}
    for database in DATABASES:
        for peer in PEERS:
            of_peer = f"{peer}.{database}"
            if steps := _quotient(figures, f"{database}.steps_per_s", f"{of_peer}.steps_per_s"):
                ratios[f"{database}.steps_times_{peer}"] = steps
            if cpu := _quotient(
                figures, f"{of_peer}.cpu_ms_per_step", f"{database}.cpu_ms_per_step"
            ):
                ratios[f"{database}.cpu_times_{peer}"] = cpu
            for name in ("governed", "governed_anew"):
                own = f"{database}.{name}_cpu_ms_per_step"
                if governed := _quotient(figures, f"{of_peer}.cpu_ms_per_step", own):
                    ratios[f"{database}.{name}_cpu_times_{peer}"] = governed
            if fanout := _quotient(figures, f"{of_peer}.fanout_s", f"{database}.fanout_s"):
                ratios[f"{database}.fanout_times_{peer}"] = fanout
    return ratios


def _quotient(figures: dict[str, float], one: str, other: str) -> float | None:
    if one not in figures or other not in figures:
        return None
    return figures[one] / figures[other]


def table(figures: dict[str, float]) -> list[str]:
    """A line for each goal whose figure was measured: its name, what was reached, and whether."""
    lines = []
    for goal in GOALS:
        if (figure := figures.get(goal.figure)) is not None:
            verdict = "ok" if goal.is_reached(figure) else "short"
            lines.append(f"{goal.figure:36} {figure:12,.3f} {goal.wanted:>12}  {verdict}")
    return lines
