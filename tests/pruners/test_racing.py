"""Races of repeated evaluations: who is surely worse, and how often that is a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from histories import GO, STOP, definition, losses, make, started, study, told
from scipy import stats

from taut.pruners.racing import RacingPruner

PLAIN = definition(fidelity=None)
GOOD = [1.0, 1.3, 0.9, 1.1, 1.2, 0.8]


def worse(by: float, folds: int = 6) -> list[float]:
    wobble = [0.01, -0.02, 0.015, -0.01, 0.0, 0.005]
    return [value + by + wobble[i] for i, value in enumerate(GOOD[:folds])]


def test_a_trial_that_is_worse_in_every_fold_stops_though_the_folds_differ_more() -> None:
    asked = RacingPruner()
    assert asked.judge(losses(GOOD, worse(0.2)), 1) is STOP
    assert asked.judge(losses(GOOD, worse(0.2, 2)), 1) is GO  # too few folds
    assert asked.judge(losses(GOOD, worse(-0.2)), 1) is GO
    assert asked.judge(losses(GOOD, worse(0.0)), 1) is GO


def test_only_trials_with_all_of_its_folds_are_compared_with() -> None:
    asked, mine = RacingPruner(), worse(0.2)
    assert asked.judge(losses(GOOD[:5], mine), 1) is GO
    assert asked.judge(losses({1: 1.0, 2: 1.3, 3: 0.9, 4: 1.1, 5: 1.2, 7: 0.8}, mine), 1) is GO
    more = {float(fold): value for fold, value in enumerate([0.5, *GOOD, 0.5, 0.7])}
    assert asked.judge(losses(more, mine), 1) is STOP  # it has those, and others


def test_it_is_the_one_sided_paired_test() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        one, two = rng.normal(size=6), rng.normal(size=6) + rng.exponential(1.0)
        found = stats.ttest_rel(two, one, alternative="greater").pvalue
        error = 0.05 / (4 * 5)  # the fourth look: after 3, 4, 5 and 6 folds
        stops = RacingPruner().judge(losses(one.tolist(), two.tolist()), 1) is STOP
        assert stops == bool(found <= error)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_equal_trials_are_stopped_no_more_often_than_is_allowed(confidence: float) -> None:
    """Looked at after every fold, against one other trial: of 400 races at most those that chance explains."""
    rng, asked, stopped = np.random.default_rng(4), RacingPruner(confidence), 0
    for _ in range(400):
        one, two = rng.normal(size=(2, 12)).tolist()
        stopped += any(asked.judge(losses(one, two[:k]), 1) is STOP for k in range(3, 13))
    assert stopped <= stats.binom.ppf(0.9999, 400, 1.0 - confidence)


def test_a_clearly_worse_trial_is_stopped_early() -> None:
    rng, asked, folds = np.random.default_rng(5), RacingPruner(), []
    for _ in range(100):
        fold = rng.normal(size=20)
        others = [(fold + 0.3 * rng.normal(size=20)).tolist() for _ in range(4)]
        bad = (fold + 1.5 + 0.3 * rng.normal(size=20)).tolist()
        stops = [k for k in range(1, 20) if asked.judge(losses(*others, bad[:k]), 4) is STOP]
        folds.append(stops[0] if stops else 20)
    assert np.mean(folds) < 8.0


def test_folds_that_agree_by_chance_are_not_taken_for_certainty() -> None:
    """Values of few digits: by no more than what is usual in this study."""
    rng = np.random.default_rng(6)
    fold = rng.normal(size=4)
    others = [np.round(fold + rng.normal(size=4), 1).tolist() for _ in range(8)]
    best = min(others, key=lambda values: float(np.mean(values)))
    assert RacingPruner().judge(losses(*others, [value + 0.1 for value in best]), 8) is GO
    assert (
        RacingPruner().judge(losses(best, [value + 0.1 for value in best]), 1) is STOP
    )  # nothing else is known
    assert RacingPruner().judge(losses(best, best), 1) is GO
    assert RacingPruner().judge(losses([0.0] * 4, [0.0] * 4), 1) is GO


def test_a_fold_without_a_number_loses_and_never_wins() -> None:
    lost: list[Any] = [0.0, None, 0.0, 0.0]
    assert RacingPruner().judge(losses([5.0] * 4, lost), 1) is STOP
    assert RacingPruner().judge(losses(lost, [5.0] * 4), 1) is GO
    assert RacingPruner().judge(losses(lost, lost), 1) is GO


def test_with_two_objectives_it_must_be_worse_in_both_than_the_same_trial() -> None:
    what = definition("loss", maximize="gain", fidelity=None)

    def trial(n: int, loss: float, gain: float) -> list[Any]:
        wobble = [0.01, -0.02, 0.015, -0.01, 0.0, 0.005]
        return [
            started(n), *(told(n, s, loss=loss + n * e, gain=gain + n * e) for s, e in enumerate(wobble))
        ]  # fmt: skip

    asked = RacingPruner()
    assert asked.judge(study(what, trial(0, 1.0, 1.0), trial(1, 1.5, 0.5)), 1) is STOP
    assert asked.judge(study(what, trial(0, 1.0, 1.0), trial(1, 1.5, 1.5)), 1) is GO
    assert asked.judge(study(what, trial(0, 1.0, 0.0), trial(2, 2.0, 1.0), trial(1, 1.5, 0.5)), 1) is GO


def test_a_trial_that_keeps_the_constraints_does_not_lose_to_one_that_breaks_them() -> None:
    what = definition(subject_to=["size <= 2"], fidelity=None)
    for size, verdict in ((1.0, STOP), (3.0, GO)):
        best = [started(0), *(told(0, s, loss=v, size=size) for s, v in enumerate(GOOD))]
        mine = [started(1), *(told(1, s, loss=v, size=1.0) for s, v in enumerate(worse(0.2)))]
        assert RacingPruner().judge(study(what, best, mine), 1) is verdict


@pytest.mark.parametrize("options", [{"confidence": 1.0}, {"confidence": 0.3}, {"least": 1}, {"least": 2.5}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(PLAIN, "racing", **options)
