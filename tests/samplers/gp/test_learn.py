"""When hyperparameters are learned, from what, and that who asks makes no difference."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from taut.samplers.gp.kernel import Features, Hyper
from taut.samplers.gp.learn import _marked, learn
from taut.samplers.gp.posterior import Posterior, Root
from taut.samplers.gp.transform import signed_log, standardised, yeo_johnson
from taut.space import Space, uniform

PLANE = Space(x=uniform(0, 1), y=uniform(0, 1))
FEATURES = Features.of(PLANE)


def trials(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, 2))
    return x, np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + 0.05 * rng.normal(size=n)


def same(one: Hyper, other: Hyper) -> bool:
    return bool(np.array_equal(one.weights, other.weights)) and one[1:] == other[1:]


@pytest.mark.parametrize("n", [2, 3, 9, 12, 13, 21, 47, 150])
def test_what_is_learned_is_a_root_on_all_trials(n: int) -> None:
    x, y = trials(n)
    learned = learn(FEATURES, x, y)
    assert learned.rows.tolist() == list(range(n)) and len(learned.root) == n
    assert np.array_equal(learned.outputs, yeo_johnson(y))
    whole = Root(x, learned.root.hyper, FEATURES.group)
    assert np.allclose(whole.factor, learned.root.factor, atol=1e-8)
    assert np.array_equal(learn(FEATURES, x, y, "slack").outputs, signed_log(y))
    assert np.array_equal(learn(FEATURES, x, y, "cost").outputs, standardised(y))


def test_later_trials_change_nothing_that_was_learned_at_a_mark() -> None:
    """Between two changes hyperparameters stay what the trials up to the first of them gave."""
    x, y = trials(80)
    last, changes = None, 0
    for n in range(2, 81):
        hyper = learn(FEATURES, x[:n], y[:n]).root.hyper
        if last is None or not same(hyper, last):
            mark, changes = n, changes + 1
        else:  # whatever came after the mark
            z = y[:n].copy()
            z[mark:] = 1e3 * np.random.default_rng(n).normal(size=n - mark)
            assert same(learn(FEATURES, x[:n], z).root.hyper, hyper)
        last = hyper
    assert 10 < changes < 40


def test_who_asks_makes_no_difference() -> None:
    x, y = trials(60)
    step_by_step = [learn(FEATURES, x[:n], y[:n]) for n in range(2, 61)][-1]
    _marked.cache_clear()
    at_once = learn(FEATURES, x, y)
    assert same(step_by_step.root.hyper, at_once.root.hyper)
    assert np.array_equal(step_by_step.root.factor, at_once.root.factor)
    _marked.cache_clear()
    other = learn(Features(PLANE), x.copy(), y.copy())
    assert np.array_equal(other.root.factor, at_once.root.factor) and other.skill == at_once.skill


def test_another_process_learns_the_same() -> None:
    code = (
        "import sys; sys.path[:0] = {path!r}\n"
        "from test_learn import FEATURES, learn, trials\n"
        "learned = learn(FEATURES, *trials(30))\n"
        "print(learned.root.hyper.weights.tobytes().hex(), repr(learned.skill))"
    )
    learned = learn(FEATURES, *trials(30))
    shown = subprocess.run(
        [sys.executable, "-c", code.format(path=sys.path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [learned.root.hyper.weights.tobytes().hex(), repr(learned.skill)]


def test_skill_is_what_is_predicted() -> None:
    x, y = trials(40)
    assert learn(FEATURES, x, np.sin(5 * x[:, 0])).skill > 0.95
    assert 0.5 < learn(FEATURES, x, y + 0.3 * np.random.default_rng(1).normal(size=40)).skill < 0.95
    for seed in range(5):
        assert learn(FEATURES, x, np.random.default_rng(seed).random(40)).skill < 0.3
    assert np.mean([learn(FEATURES, x, np.random.default_rng(s).random(40)).skill for s in range(8)]) < 0.1


def test_constant_losses_teach_nothing() -> None:
    x, _ = trials(20)
    learned = learn(FEATURES, x, np.full(20, 3.0))
    assert not learned.outputs.any() and learned.skill == 0.0
    assert np.isfinite(Posterior(learned.root, learned.outputs).predict(x)).all()


def test_of_very_many_trials_some_stand_for_all() -> None:
    x, y = trials(1500)
    learned = learn(FEATURES, x, y)
    rows = learned.rows
    assert (np.diff(rows) > 0).all() and len(rows) == len(learned.root) == len(learned.outputs) < 600
    assert set(np.argsort(y)[:20]) <= set(rows.tolist()), "the best are among them"
    assert set(range(1450, 1500)) <= set(rows.tolist()), "and the latest"
    assert np.histogram(rows, 5, (0, 1500))[0].min() > 20, "and some of every age"
    at = np.random.default_rng(3).random((200, 2))
    mean, _ = Posterior(learned.root, learned.outputs).predict(at)
    assert np.corrcoef(mean, np.sin(5 * at[:, 0]) + at[:, 1] ** 2)[0, 1] > 0.98


def test_every_number_of_trials_has_each_trial_once() -> None:
    """Also just before and after some are left out for the first time."""
    x, y = trials(480)
    for n in range(370, 481, 10):
        rows = learn(FEATURES, x[:n], y[:n]).rows
        assert len(set(rows.tolist())) == len(rows) and rows.max() == n - 1
