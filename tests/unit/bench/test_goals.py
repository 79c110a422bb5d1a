from bench.goals import against_peers, table
from inline_snapshot import snapshot


def test_a_ratio_needs_both_figures_of_the_same_database() -> None:
    figures = {
        "sqlite.steps_per_s": 9000.0,
        "dbos.sqlite.steps_per_s": 90.0,
        "dbos.postgres.steps_per_s": 80.0,
        "sqlite.cpu_ms_per_step": 0.1,
        "dbos.sqlite.cpu_ms_per_step": 2.5,
        "langgraph.sqlite.fanout_s": 3.0,
        "sqlite.fanout_s": 0.25,
    }
    assert against_peers(figures) == {
        "sqlite.steps_times_dbos": 100.0,
        "sqlite.cpu_times_dbos": 25.0,
        "sqlite.fanout_times_langgraph": 12.0,
    }


def test_the_table_says_of_each_measured_goal_whether_it_is_reached() -> None:
    figures = {"sqlite.cpu_ms_per_step": 0.09, "sqlite.ratio_to_raw": 0.15, "no.goal": 1.0}
    assert table(figures) == snapshot(
        [
            "sqlite.ratio_to_raw                         0.150       >= 0.2  short",
            "sqlite.cpu_ms_per_step                      0.090       <= 0.1  ok",
        ]
    )
