"""Jobs in columns: what they hold, what they refuse, and which belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.errors import InputError
from taut.queue.bursts import bursts, correlation
from taut.queue.records import UNITS, Jobs, Reading

NAN = float("nan")


def test_jobs_come_in_order_of_submission_whatever_order_they_are_given_in() -> None:
    jobs = Jobs.of([30, 10, 20], [31, 10, NAN], partition=["b", "a", "b"], gpus=[1, 0, 2], cpus=[8, 4, 0])
    assert jobs.submit.tolist() == [10, 20, 30]
    assert [jobs.partitions[code] for code in jobs.partition] == ["a", "b", "b"]
    assert jobs.wait.tolist()[::2] == [0.0, 1.0]
    assert np.isnan(jobs.wait[1])


def test_size_counts_gpus_else_cpus_else_nodes_and_says_which() -> None:
    jobs = Jobs.of([0] * 4, [0] * 4, gpus=[2, 0, 0, 0], cpus=[16, 16, 0, 0], nodes=[1, 1, 4, 0])
    assert [UNITS[code] for code in jobs.unit] == ["gpus", "cpus", "nodes", "nodes"]
    assert jobs.size.tolist() == [2, 16, 4, 1]


def test_a_wait_counts_from_when_only_the_queue_kept_the_job() -> None:
    assert Jobs.of([0, 0], [100, 100], eligible=[90, NAN]).wait.tolist() == [10, 100]


def test_some_of_the_jobs_are_jobs_again() -> None:
    jobs = Jobs.of([0, 1, 2], [5, 6, 7], partition=["a", "b", "c"])
    assert jobs.take(jobs.submit > 0).start.tolist() == [6, 7]
    assert jobs.take(slice(1, 2)).partitions == ("a", "b", "c")
    assert len(jobs.take(np.array([], dtype=np.intp))) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"start": [0, -5]}, "start of row 1 is -5"),
        ({"end": [0, 0], "start": [1, 1]}, "end of row 0 is 0"),
        ({"walltime": [60, 0]}, "walltime of row 1 is 0; above 0 s"),
        ({"gpus": [1, -1]}, "gpus of row 1 is -1; 0 or more"),
        ({"gpus": [1, NAN]}, "gpus of row 1 is nan"),
        ({"gpus": [1]}, r"gpus has shape \(1,\)"),
        ({"partition": ["a"]}, "partition has 1 values and submit 2"),
        ({"array": [1, 2, 3]}, "array has 3 values"),
        ({"submit": [0, NAN]}, "submit of row 1 is nan"),
    ],
)
def test_wrong_columns_are_refused_with_the_row(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Jobs.of(**{"submit": [0, 0], "start": [NAN, NAN], **wrong})


def test_a_burst_is_one_users_equal_jobs_within_ten_minutes_of_each_other() -> None:
    submit = [0, 500, 1000, 1700, 1710, 1720, 1730]
    jobs = Jobs.of(
        submit,
        [NAN] * 7,
        walltime=[60, 60, 60, 60, NAN, NAN, 60],
        user=["a", "a", "a", "a", "a", "a", "b"],
        gpus=[1] * 7,
    )
    found = bursts(jobs)
    assert len(set(found[:3])) == 1, "each within ten minutes of the last"
    assert found[4] == found[5], "an unknown walltime is like another"
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize("truth", [0.0, 0.5, 0.85])
def test_the_correlation_within_bursts_is_found(truth: float) -> None:
    rng = np.random.default_rng(1)
    burst = np.repeat(np.arange(600), rng.integers(1, 8, 600)).astype(np.int32)
    scores = np.sqrt(truth) * rng.standard_normal(600)[burst] + np.sqrt(1 - truth) * rng.standard_normal(
        len(burst)
    )
    assert correlation(scores, burst, 0.85, 0.0) == pytest.approx(truth, abs=0.06)


def test_a_correlation_nobody_measured_is_the_one_believed() -> None:
    assert correlation(np.array([]), np.array([], dtype=np.int32), 0.85, 10.0) == 0.85
    assert correlation(np.arange(5.0), np.arange(5, dtype=np.int32), 0.85, 10.0) == 0.85


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from("ab"), st.sampled_from([1, 2])), max_size=40))
def test_bursts_are_alike_and_close_together(rows: list[tuple[int, str, int]]) -> None:
    jobs = Jobs.of(
        [row[0] for row in rows],
        [NAN] * len(rows),
        user=[row[1] for row in rows],
        gpus=[row[2] for row in rows],
    )
    found = bursts(jobs)
    for one in set(found.tolist()):
        mine = np.flatnonzero(found == one)
        assert len(set(jobs.user[mine])) == len(set(jobs.size[mine])) == 1
        assert (np.diff(jobs.submit[mine]) <= 600).all()


def test_a_reading_says_what_was_left_out() -> None:
    jobs = Jobs.of([0], [1])
    assert str(Reading(jobs, 1)) == "1 job"
    many = Reading(jobs, 6, 5, ("line 2: a", "line 3: b"))
    assert str(many) == "1 job; 5 of 6 lines left out: line 2: a; line 3: b (and 3 more)"
