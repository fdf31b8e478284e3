"""The median rule: best so far against averages so far, at one step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from histories import GO, SPACE, STOP, curve, definition, losses, make, study, told
from hypothesis import given, settings
from hypothesis import strategies as st

from taut.fidelity import Fidelity
from taut.pruners.percentile import MedianPruner, PercentilePruner
from taut.snapshot import Snapshot

PLAIN = definition(fidelity=None)


def test_the_best_so_far_is_held_against_the_median_of_averages() -> None:
    others = [[4.0, 2.0, 0.0 + n] for n in range(5)]  # averages 2, 2.33, 2.67, 3, 3.33
    asked = MedianPruner()
    assert asked.judge(losses(*others, [9.0, 9.0, 2.6]), 5) is GO
    assert asked.judge(losses(*others, [9.0, 2.6, 9.0]), 5) is GO  # it was that good
    assert asked.judge(losses(*others, [9.0, 9.0, 2.7]), 5) is STOP
    assert asked.judge(losses(*others, [9.0, 9.0, 8.0 / 3.0]), 5) is GO  # no worse than the median


def test_enough_others_must_have_come_as_far() -> None:
    others = [[1.0] * 3] * 4
    bad = [9.0] * 3
    assert MedianPruner().judge(losses(*others, [1.0] * 2, bad), 5) is GO
    assert MedianPruner().judge(losses(*others, [1.0] * 3, bad), 5) is STOP
    assert MedianPruner(startup=4).judge(losses(*others, [1.0] * 2, bad), 5) is STOP
    assert MedianPruner(startup=4).judge(losses([], *others[1:], [], bad), 5) is GO


def test_what_others_had_before_a_gap_counts_and_later_beginners_do_not() -> None:
    asked = MedianPruner(startup=2)
    gap: Any = {1.0: 1.0, 2.0: 3.0, 9.0: 100.0}  # at step 5: 2 on average
    others: list[Any] = [gap, gap, {6.0: 0.0, 9.0: 0.0}]
    assert asked.judge(losses(*others, {5.0: 2.5}), 3) is STOP
    assert asked.judge(losses(*others, {5.0: 1.5}), 3) is GO
    assert MedianPruner(startup=3).judge(losses(*others, {5.0: 2.5}), 3) is GO


def test_grace_is_the_least_step_of_the_fidelity_or_what_is_asked() -> None:
    others: list[Any] = [[1.0] * 9] * 5
    late = definition(fidelity=Fidelity("epoch", min=4.0, max=27.0))
    for length, verdict in ((3, GO), (4, STOP)):
        trials = [curve(n, values) for n, values in enumerate([*others, [9.0] * length])]
        assert MedianPruner().judge(study(late, *trials), 5) is verdict
        assert MedianPruner(grace=4).judge(study(PLAIN, *trials), 5) is verdict
        assert MedianPruner(grace=0).judge(study(late, *trials), 5) is STOP


def test_every_thins_out_judgements() -> None:
    others: list[Any] = [[1.0] * 30] * 5
    asked, judged, since = MedianPruner(every=10, grace=3), [], -math.inf
    for length in range(1, 30, 2):
        if asked.judge(losses(*others, [9.0] * length), 5, since) is STOP:
            judged.append(length)
        since = float(length)
    assert judged == [3, 13, 23]
    assert asked.judge(losses(*others, [9.0] * 29), 5, since=12.0) is STOP  # 13 and 23 were passed


def test_nothing_new_is_not_judged_again() -> None:
    snapshot = losses(*[[1.0] * 3] * 5, [9.0] * 3)
    assert MedianPruner().judge(snapshot, 5, since=2.0) is STOP
    assert MedianPruner().judge(snapshot, 5, since=3.0) is GO


def test_percentiles_of_others_without_a_number() -> None:
    others: list[Any] = [[1.0], [2.0], [None], [None], [None]]
    assert MedianPruner().judge(losses(*others, [1e300]), 5) is GO
    assert PercentilePruner().judge(losses(*others, [3.0]), 5) is STOP
    assert PercentilePruner(percentile=30).judge(losses(*others, [3.0]), 5) is GO  # between 2 and infinity
    assert PercentilePruner(percentile=100).judge(losses(*others, [None]), 5) is STOP


def test_the_best_of_a_percentile() -> None:
    others: list[Any] = [[float(n)] for n in range(5)]
    for percentile, limit in ((0.0, 0.0), (25.0, 1.0), (30.0, 1.2), (50.0, 2.0), (100.0, 4.0)):
        asked = PercentilePruner(percentile=percentile)
        assert asked.judge(losses(*others, [limit + 1e-9]), 5) is STOP
        assert asked.judge(losses(*others, [limit]), 5) is GO
    assert PercentilePruner().percentile == 25.0


def test_the_median_has_no_percentile_to_choose() -> None:
    with pytest.raises(ValueError, match="percentile"):
        make(PLAIN, "median", percentile=0.3)


def test_the_past_of_a_constraint_is_known_at_reports_that_leave_it_out() -> None:
    what = definition(subject_to=["size <= 2"])
    trials: list[list[Any]] = [
        [*curve(n, []), told(n, 1, size=3.0 + n if n else 1.0), told(n, 2, loss=1.0 + (n == 0))]
        for n in range(6)
    ]
    snapshot = study(what, *trials)  # trial 0 alone keeps the constraint, with the worst loss
    asked = MedianPruner()
    assert asked.judge(snapshot, 0) is GO and asked.judge(snapshot, 1) is GO
    assert MedianPruner().judge(study(definition(), *trials), 0) is STOP


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_it_is_what_a_plain_reading_of_the_rule_gives(data: st.DataObject) -> None:
    """Curves on grids of their own, judged as they come, against a loop over all reports."""
    percentile = data.draw(st.sampled_from([0.0, 25.0, 50.0, 80.0]))
    asked = PercentilePruner(percentile=percentile, startup=2)
    grids = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0, 5.5]), unique=True, min_size=1)
    snapshot, trials = Snapshot(PLAIN, SPACE), range(data.draw(st.integers(2, 6)))
    reports = [(n, s) for n in trials for s in data.draw(grids)]
    for n, s in data.draw(st.permutations(reports)):
        snapshot.apply(n % 2, [told(n, s, loss=data.draw(st.integers(0, 9).map(float)))])
        step = snapshot.curves.of(n)[-1].s
        best = min(event.y["loss"] for event in snapshot.curves.of(n))  # type: ignore[type-var]
        averages = []
        for other in trials:
            steps = [event.s for event in snapshot.curves.of(other)]
            before = [event.y["loss"] for event in snapshot.curves.of(other) if event.s <= step]
            if other != n and before and steps[-1] >= step:
                averages.append(np.mean(before))  # type: ignore[arg-type]
        limit = np.percentile(averages, percentile) if len(averages) >= 2 else math.inf
        assert abs(best - limit) < 1e-9 or (asked.judge(snapshot, n) is STOP) == (best > limit)  # type: ignore[operator]


def test_a_thousand_trials_with_steps_of_their_own_take_memory_for_their_reports_only() -> None:
    rng = np.random.default_rng(0)
    snapshot = Snapshot(PLAIN, SPACE)
    for n in range(1000):
        steps = np.cumsum(rng.random(1000 if n == 0 else 5)).tolist()
        snapshot.apply(0, [told(n, s, loss=float(n)) for s in steps])
    asked = MedianPruner()
    asked.judge(snapshot, 999)
    from taut.pruners.tracks import Tracks

    assert len(Tracks.of(snapshot).step) < 8 * 6000
    snapshot.apply(0, [told(999, 6.0, loss=999.0)])
    assert asked.judge(snapshot, 999) is GO  # too few have come as far
