"""Freeze-thaw: which paused run goes on, when a new one begins instead, and how a study ends."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from histories import GO, PAUSE, STOP, Values, curve, definition, ended, make, started, study, told
from scipy.stats import norm

import taut
from taut.definition import Definition
from taut.errors import InputError
from taut.events import Event, Released
from taut.fidelity import Fidelity
from taut.opening import make_proposals
from taut.pruners.freezethaw import FreezeThawPruner, _scores, _steps
from taut.pruners.freezethaw_outlook import Outlook, chances
from taut.snapshot import Snapshot
from taut.trial import State, Trial
from taut.verify import verify

FIDELITY = Fidelity("epoch", max=20.0, resume=True)
WHAT = definition(fidelity=FIDELITY)
EPOCHS = [float(epoch) for epoch in range(1, 21)]
ASKED = FreezeThawPruner(every=1.0)


def paused(n: int, values: Values) -> list[Event]:
    """A trial that waits at its last step."""
    events = curve(n, values)
    at = max(event.s for event in events[1:])  # type: ignore[union-attr]
    return [*events, Released(n=n, a=0, why="w", blame=False, t=50.0, kept=True, at=at)]


def whole(n: int, values: Sequence[float]) -> list[Event]:
    return [*curve(n, values), ended(n, loss=values[-1])]


def falling(level: float, by: float = 1.0, epochs: int = 20) -> list[float]:
    return [level + by / epoch for epoch in range(1, epochs + 1)]


def looks(
    *trials: Sequence[Event], what: Definition = WHAT, closing: bool = False, count: int = 60
) -> list[Any]:
    """What is promoted first in many studies that differ by their seeds alone; None for nobody."""
    found: list[Any] = []
    for seed in range(count):
        snapshot = study(msgspec.structs.replace(what, seed=seed), *trials)
        found += [*ASKED.promotable(snapshot, closing), None][:1]
    return found


# ---------------------------------------------------------------------- where runs pause


@pytest.mark.parametrize(
    "fidelity, every, steps",
    [
        (Fidelity("epoch", max=20.0), None, [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 15, 18, 20]),
        (Fidelity("epoch", max=9.0, min=3.0), None, [3, 4, 5, 6, 7, 9]),
        (Fidelity("epoch", max=2.0), None, [1, 2]),
        (Fidelity("share", max=1.0, min=0.4), None, [0.4, 0.48, 0.576, 0.6912, 0.82944, 1.0]),
        (Fidelity("epoch", max=20.0), 1.0, EPOCHS),
        (Fidelity("epoch", max=10.0), 4.0, [1.0, 4.0, 8.0, 10.0]),
        (Fidelity("epoch", max=10.0, min=5.0), 2.5, [5.0, 8.0, 10.0]),
        (Fidelity("share", max=1.0, min=0.1), 0.25, [0.1, 0.25, 0.5, 0.75, 1.0]),
        (Fidelity("size", max=81.0, levels=[1.0, 3.0, 9.0, 27.0, 81.0]), None, [1.0, 3.0, 9.0, 27.0, 81.0]),
        (Fidelity("epoch", max=10.0), 10.0, [1.0, 10.0]),
    ],
)
def test_where_runs_pause(fidelity: Fidelity, every: float | None, steps: list[float]) -> None:
    assert _steps(fidelity, every) == pytest.approx(steps)


def test_a_run_is_given_one_pause_after_the_other() -> None:
    asked = FreezeThawPruner(every=4.0)
    snapshot = study(WHAT, paused(0, falling(1.0, epochs=8)), paused(1, falling(1.0, epochs=9)), [started(2)])
    assert [asked.goal(snapshot, n) for n in (0, 1, 2, 99)] == [12.0, 12.0, 1.0, 1.0]


# ---------------------------------------------------------------------- who goes on


def test_the_one_that_leads_to_the_best_goes_on_rather_than_the_one_that_is_best_by_now() -> None:
    level = [[1.0 + 0.0001 * (12 - epoch) for epoch in range(12)], [1.5] * 12, [1.6] * 12, [1.7] * 12]
    steep = [3.0 - 0.17 * epoch for epoch in range(12)]  # at 1.13 by now
    done = whole(5, falling(1.2))
    first = looks(*(paused(n, values) for n, values in enumerate(level)), paused(4, steep), done)
    assert first.count(4) >= 45 and not {1, 2, 3} & set(first)


def test_of_runs_alike_the_better_one_goes_on() -> None:
    first = looks(*(paused(n, falling(1.0 + n / 10.0, epochs=6)) for n in (1, 0, 2, 3)))
    assert first.count(0) >= 50


def test_where_nothing_promises_anything_a_new_trial_begins() -> None:
    flat = [paused(n, [2.0 + n] * 10) for n in range(8)]
    assert looks(*flat, whole(8, falling(0.5))).count(None) >= 55


def test_new_trials_begin_until_a_few_are_there() -> None:
    few = [paused(n, falling(1.0 + n, epochs=3)) for n in range(3)]
    assert set(looks(*few)) == {None}
    assert None not in looks(*few, closing=True)


def test_a_run_goes_on_without_a_pause_where_it_would_be_chosen_anyway() -> None:
    others = [paused(n, falling(2.0 + n, epochs=6)) for n in range(5)]
    verdicts = {GO: 0, PAUSE: 0}
    for seed in range(20):
        what = msgspec.structs.replace(WHAT, seed=seed)
        for level, wanted in ((0.5, GO), (9.0, PAUSE)):
            snapshot = study(what, *others, curve(5, falling(level, epochs=6)))
            verdicts[wanted] += ASKED.judge(snapshot, 5) is wanted
            assert ASKED.judge(snapshot, 5, since=6.0) is GO  # it was asked there
    assert verdicts[GO] >= 17 and verdicts[PAUSE] == 20


def test_between_pauses_nobody_is_judged() -> None:
    asked = FreezeThawPruner(every=5.0)
    others = [paused(n, falling(1.0, epochs=5)) for n in range(5)]
    for last, at_pause in ((4, False), (5, True), (7, True)):
        snapshot = study(WHAT, *others, curve(5, falling(9.0, epochs=last)))
        assert asked.judge(snapshot, 5, since=1.0) is (PAUSE if at_pause else GO)
        assert asked.judge(snapshot, 5, since=5.0) is GO


def test_a_restarted_run_is_not_judged_below_where_it_was_to_go() -> None:
    others = [paused(n, falling(1.0, epochs=6)) for n in range(5)]
    again = [*paused(5, falling(9.0, epochs=6)), msgspec.structs.replace(started(5, 1, t=60.0), f=7.0)]
    for last, verdict in ((6, GO), (7, PAUSE)):
        rows = [told(5, s + 1.0, 1, t=61.0 + s, loss=9.0) for s in range(last)]
        assert ASKED.judge(study(WHAT, *others, [*again, *rows]), 5) is verdict


def test_the_same_study_chooses_the_same_and_each_decision_draws_anew() -> None:
    trials = [paused(n, falling(1.0 + n / 50.0, epochs=4)) for n in range(6)]
    asked, scored = ASKED, set()
    for more in range(8):
        begun = [started(10 + i) for i in range(more)]
        one, two = study(WHAT, *trials, begun), study(WHAT, *trials, begun)
        assert asked.promotable(one) == asked.promotable(two) == asked.promotable(one)
        scored.add(_scores(one, Outlook(one, EPOCHS))[0].tobytes())
    assert len(scored) == 8  # other horizons, other margins


# ---------------------------------------------------------------------- the end


def test_when_all_have_begun_those_without_a_chance_are_left() -> None:
    done = whole(0, falling(1.0))
    bad, open_ = paused(1, falling(3.0, epochs=10)), paused(2, falling(0.9, epochs=10))
    asked = ASKED
    assert asked.promotable(study(WHAT, done, bad), closing=True) == []
    assert asked.promotable(study(WHAT, done, bad, open_), closing=True) == [2]
    close = study(WHAT, done, paused(1, falling(1.02, epochs=10)))
    assert [list(FreezeThawPruner(1.0, c).promotable(close, closing=True)) for c in (0.51, 0.9999)] == [
        [],
        [1],
    ]


def test_as_long_as_none_is_whole_somebody_goes_on() -> None:
    for values in ([[5.0] * 4, [6.0] * 4], [[1.0], [2.0]], [[None], [3.0]]):
        first = looks(*(paused(n, each) for n, each in enumerate(values)), closing=True, count=10)
        assert None not in first
    assert ASKED.promotable(study(WHAT, paused(0, [None])), closing=True) == []


def train(trial: Trial) -> float:
    """20 epochs that go on where an earlier attempt stopped, if there is a place for checkpoints."""
    begin = int((trial.resumed_from / "epoch").read_text()) if trial.resumed_from else 0
    loss = 1.0
    for epoch in range(begin + 1, 21):
        loss = abs(trial.params["x"] - 0.3) + (0.5 + trial.params["x"]) / epoch
        trial.report(step=epoch, loss=loss)
        if trial.should_stop():
            if trial.checkpoint_dir is not None:
                (trial.checkpoint_dir / "epoch").write_text(str(epoch))
            break
    return loss


def make_study(path: Path | None, **options: Any) -> taut.Study:
    pruner = {"method": "freeze-thaw", "fidelity": {"name": "epoch", "max": 20, "resume": True}}
    given = {"minimize": "loss", "sampler": "random", "pruner": pruner, **options}
    return taut.Study(path, taut.Space(x=taut.uniform(0, 1)), **given)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_study_on_disk_ends_with_the_best_trial_and_is_verified(tmp_path: Path, workers: int) -> None:
    made = make_study(tmp_path / "s")
    made.run(train, trials=16, workers=workers)
    snapshot = made.snapshot
    ran = [(event.n, event.s) for event in snapshot.curves.heard]
    assert len(ran) == len(set(ran)) < 0.6 * 16 * 20  # no epoch twice, and far from all
    assert {n for n, _ in ran} == set(range(16)) and snapshot.counts[State.RUNNING] == 0
    ends = [abs(record.params["x"] - 0.3) + (0.5 + record.params["x"]) / 20 for record in made.trials]
    assert made.best.values["loss"] <= min(ends) + 0.01
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_without_a_number_of_trials_it_begins_new_ones_and_finishes_some() -> None:
    made = make_study(None)
    for _ in range(150):
        trial = made.ask()
        x, at = trial.params["x"], trial.fidelity
        assert at is not None
        made.tell(trial, loss=abs(x - 0.3) + (0.5 + x) / at)
    counts = made.snapshot.counts
    assert made.snapshot.size >= 10 and counts[State.COMPLETE] >= 2
    assert made.snapshot.size + counts[State.COMPLETE] * 19 < 150  # the rest went to others


def test_many_workers_are_kept_busy() -> None:
    made = make_study(None)
    asked = [made.ask() for _ in range(12)]
    assert len({trial.number for trial in asked}) == 12
    for trial in asked:
        made.tell(trial, loss=trial.params["x"] + 1.0)
    again = [made.ask() for _ in range(12)]
    assert len({trial.number for trial in again}) == 12


# ---------------------------------------------------------------------- several objectives, constraints


def two(n: int, loss: float, size: float, epochs: int = 6) -> list[Event]:
    rows = [told(n, e, loss=loss + 1.0 / e, size=size + 1.0 / e) for e in range(1, epochs + 1)]
    return [
        started(n),
        *rows,
        Released(n=n, a=0, why="w", blame=False, t=50.0, kept=True, at=float(epochs)),
    ]


def test_of_two_objectives_the_front_goes_on() -> None:
    what = definition("loss", "size", fidelity=FIDELITY)
    first = looks(
        two(0, 0.0, 2.0), two(1, 2.0, 0.0), two(2, 2.2, 2.2), two(3, 3.0, 3.0), two(4, 2.5, 2.5), what=what
    )
    assert first.count(0) + first.count(1) >= 50 and not {2, 3, 4} & set(first)


def test_who_breaks_a_constraint_does_not_go_on_while_others_keep_it() -> None:
    what = definition(subject_to=["size <= 2"], fidelity=FIDELITY)
    good = [two(n, 2.0 + n, 0.0) for n in range(4)]
    assert 4 not in looks(*good, two(4, 0.0, 5.0), what=what)
    assert set(looks(two(4, 0.0, 5.0), two(5, 1.0, 4.0), what=what, closing=True, count=5)) == {
        5
    }  # nearest to it


# ---------------------------------------------------------------------- what is expected


def outlook(*trials: Sequence[Event], what: Definition = WHAT) -> Outlook:
    return Outlook(study(what, *trials), EPOCHS)


def test_what_is_known_is_certain_and_what_is_far_is_less_so() -> None:
    rng = np.random.default_rng(0)
    curves = [[v + 0.01 * rng.normal() for v in falling(n / 5.0)] for n in range(6)]
    found = outlook(*(paused(n, values[: 3 + 3 * n]) for n, values in enumerate(curves)), whole(6, curves[5]))
    mean, spread = found.at(np.array([1, 3, 5, 7, 9, 11, 19]))
    assert spread.tolist() == [[0.0]] * 7
    assert mean[:6, 0].tolist() == [values[2 * n + 1] for n, values in enumerate(curves)]
    spreads = [found.at(np.full(7, at))[1][0, 0] for at in (3, 6, 12, 19)]
    assert spreads == sorted(spreads) and spreads[0] > 0.0
    assert np.isnan(outlook([started(0)], curve(1, [None])).at(np.array([3, 3]))[0]).all()


def test_it_comes_as_near_as_it_says() -> None:
    """Of the curves of random runs, continued from where they pause: the truth lies where it should, about as often as it should."""
    places: list[float] = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        table = rng.uniform(0, 1, (12, 1)) + rng.uniform(0.5, 2, (12, 1)) * np.array(EPOCHS) ** -rng.uniform(
            0.3, 1.2, (12, 1)
        )
        table += 0.01 * rng.normal(size=table.shape)
        stops = rng.integers(2, 16, 12)
        stops[:4] = 20
        found = outlook(*(curve(n, table[n, : stops[n]].tolist()) for n in range(12)))
        mean, spread = found.at(np.full(12, 19))
        places += norm.cdf((table[4:, -1] - mean[4:, 0]) / spread[4:, 0]).tolist()
    outside = np.mean((np.array(places) < 0.05) | (np.array(places) > 0.95))
    assert outside <= 0.15 and 0.35 <= np.mean(places) <= 0.65


def test_a_single_value_is_carried_by_what_others_gained() -> None:
    others = [curve(n, falling(1.0 + n / 10.0)) for n in range(9)]
    mean, spread = outlook(*others, curve(9, [2.35]), curve(10, [4.0])).at(np.full(11, 19))
    assert mean[9:, 0].tolist() == pytest.approx([2.35 - 0.95, 4.0 - 0.95], abs=0.15)
    assert 0.0 < spread[9, 0] < 0.55 and spread[10, 0] > 1.5 * spread[9, 0]  # unlike the others


def test_chances_of_one_and_of_several_objectives() -> None:
    mean, spread = np.array([[1.0], [2.0], [np.nan]]), np.array([[0.5], [0.0], [0.0]])
    one = chances(mean, spread, np.array([[1.5], [1.8]]))
    assert one[:2] == pytest.approx([norm.cdf(1.0), 0.0]) and math.isnan(one[2])
    assert chances(mean, spread, np.empty((0, 1)))[:2].tolist() == [1.0, 1.0]
    front = np.array([[0.0, 2.0], [2.0, 0.0]])
    points = np.array([[1.0, 1.0], [3.0, 3.0], [-1.0, 9.0]])
    assert chances(points, np.zeros((3, 2)), front).tolist() == [1.0, 0.0, 1.0]
    behind = 1.0 - norm.cdf(-1.0)  # in each objective, behind the second
    unsure = chances(np.array([[3.0, 1.0]]), np.ones((1, 2)), front[1:])
    assert unsure == pytest.approx([1.0 - behind**2])


# ---------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"every": 0}, "above 0"),
        ({"every": True}, "a number"),
        ({"every": 21}, "from 0.02 to 20"),
        ({"every": 0.001}, "leave it out"),
        ({"confidence": 1.0}, "between 0.5 and 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        make(WHAT, "freeze-thaw", **options)
    assert caught.value.at == ("pruner", next(iter(options)))


@pytest.mark.parametrize(
    "fidelity, problem",
    [
        (Fidelity("epoch", max=20.0), "resume = true, or"),
        (Fidelity("epoch", 1.0, resume=True), "no room for a pause"),
    ],
)
def test_a_fidelity_that_does_not_fit(fidelity: Fidelity, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make(definition(fidelity=fidelity), "freeze-thaw")


def test_values_of_any_size_have_an_answer() -> None:
    strange = [[1e300, 1e299], [1e-300] * 3, [0.0] * 5, [-1e60, 1e60, -1e60], [1e69] * 4, [1.0], [-1e300] * 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for more in ([], [whole(9, falling(1.0))]):
            snapshot = study(WHAT, *(paused(n, values) for n, values in enumerate(strange)), *more)
            for closing in (False, True):
                found = ASKED.promotable(snapshot, closing)
                assert len(set(found)) == len(found) and set(found) <= set(range(7))


def test_no_number_ends_it_and_nothing_is_known_at_first() -> None:
    snapshot = study(WHAT, curve(0, [1.0, None]), [started(1)])
    assert [ASKED.judge(snapshot, n) for n in (0, 1, 2)] == [STOP, GO, GO]
    empty = Snapshot(WHAT)
    assert ASKED.promotable(empty, closing=True) == ()
