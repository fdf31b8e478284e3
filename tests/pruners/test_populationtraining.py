"""Population-based training: who is replaced, by whom, and that a line of trials is one run with changing parameters."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taut
from taut.cli.pruning import descent_text
from taut.decide import promotable
from taut.definition import Budget, Definition, Method, Objective
from taut.errors import InputError
from taut.events import Descent, Event, Finished, Released, Reported, Started, decode, encode
from taut.fidelity import Fidelity
from taut.lineage import lineage, schedule
from taut.opening import make_proposals
from taut.pruners import registry
from taut.pruners.base import Judgement, Pruner
from taut.pruners.populationtraining.bandit import Pb2Pruner, _gains, _Model
from taut.pruners.populationtraining.members import part
from taut.pruners.populationtraining.perturb import known, perturbed
from taut.savings import savings
from taut.snapshot import Snapshot
from taut.trial import State, Trial
from taut.verify import verify

SPACE = taut.Space(rate=taut.loguniform(1e-3, 1.0), drop=taut.uniform(0.0, 0.9))
EPOCHS = 12
FIDELITY: dict[str, Any] = {"name": "epoch", "min": 1, "max": EPOCHS, "resume": True}
PBT: dict[str, Any] = {"method": "pbt", "population": 8, "interval": 3, "fidelity": FIDELITY}


def study(path: Path | None, **options: Any) -> taut.Study:
    given = {"minimize": "loss", "sampler": "random", "seed": 3, "pruner": PBT, **options}
    return taut.Study(path, SPACE, **given)


def step(weight: float, params: dict[str, Any], number: int, epoch: int) -> float:
    """One epoch: the best rate falls with time, and there is noise of the trial's own."""
    noise = np.random.default_rng([number, epoch]).normal()
    weight -= params["rate"] * (weight + noise * (1.0 + params["drop"]))
    return float(np.clip(weight, -1e6, 1e6))


def train(trial: Trial) -> float:
    weight, begin = 5.0, 0
    if trial.resumed_from is not None:
        saved = json.loads((trial.resumed_from / "state").read_text())
        weight, begin = saved["weight"], saved["epoch"]
        assert begin == trial.resumed_step
    for epoch in range(begin + 1, EPOCHS + 1):
        weight = step(weight, trial.params, trial.number, epoch)
        trial.report(step=epoch, loss=weight**2)
        if trial.should_stop():
            assert trial.checkpoint_dir is not None
            (trial.checkpoint_dir / "state.tmp").write_text(json.dumps({"weight": weight, "epoch": epoch}))
            (trial.checkpoint_dir / "state.tmp").rename(trial.checkpoint_dir / "state")
            break
    return weight**2


def check_lines(made: taut.Study, population: int = 8) -> None:
    """Each complete trial is one run from the first epoch to the last, along its line, and no epoch ran twice."""
    snapshot = made.snapshot
    steps = [(event.n, event.s) for event in snapshot.curves.heard]
    assert len(steps) == len(set(steps)) == population * EPOCHS
    complete = snapshot.where(State.COMPLETE).tolist()
    assert len(complete) == population
    assert snapshot.counts[State.COMPLETE] + snapshot.counts[State.PRUNED] == snapshot.size
    assert len(set(snapshot.heirs.values())) == len(snapshot.heirs) == snapshot.size - population
    for n in complete:
        weight = 5.0
        for each in made.lineage(n):
            for epoch in range(int(each.begin) + 1, int(each.end or EPOCHS) + 1):
                weight = step(weight, each.params, each.number, epoch)
        assert made.trials[n].values["loss"] == weight**2


# ---------------------------------------------------------------------- whole studies


@pytest.mark.parametrize("method", ["pbt", "pb2"])
def test_a_line_of_trials_is_one_run(tmp_path: Path, method: str) -> None:
    made = study(tmp_path / "s", pruner={**PBT, "method": method})
    made.run(train)
    check_lines(made)
    assert len(made.trials) == 8 + 3 * 2  # of eight members the worst two at each of three comparisons
    assert made.store.done
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_fewer_workers_than_members_side_by_side(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    made.run(train, workers=2)
    check_lines(made)
    steps = [event.s for event in made.snapshot.curves.heard]
    # Breadth first: nobody begins an interval while another has not begun the one before.
    assert all(later >= earlier - 6 for earlier, later in itertools.pairwise(steps))
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_an_interrupted_study_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = study(tmp_path / "whole")
    whole.run(train)
    for at in (5, 30, 61):
        left = at

        def interrupted(trial: Trial) -> float:
            report = trial.report

            def counted(*args: Any, **values: float) -> None:
                nonlocal left
                left -= 1
                if not left:
                    raise KeyboardInterrupt
                report(*args, **values)

            return train(_Reporting(trial, counted))  # type: ignore[arg-type]

        path = tmp_path / f"{at}"
        made = study(path)
        with pytest.raises(KeyboardInterrupt):
            made.run(interrupted)
        made.close()
        again = study(path)
        again.run(train)
        assert [(t.params, t.parent, t.values) for t in again.trials] == [
            (t.params, t.parent, t.values) for t in whole.trials
        ]
        again.close()
        assert verify(path, make_proposals).good


class _Reporting:
    """A trial whose reports go through a function."""

    def __init__(self, trial: Trial, report: Any) -> None:
        self._trial, self.report = trial, report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


def test_a_study_in_memory_whose_objective_keeps_its_own() -> None:
    kept: dict[tuple[int, float], float] = {}

    def own(trial: Trial) -> float:
        begin = int(trial.resumed_step or 0)
        source = trial.number if trial.attempt else trial.parent
        if trial.attempt:
            begin = int(max(step for number, step in kept if number == trial.number))
        weight = kept[source, begin] if begin and source is not None else 5.0
        for epoch in range(begin + 1, EPOCHS + 1):
            weight = kept[trial.number, epoch] = step(weight, trial.params, trial.number, epoch)
            trial.report(epoch, loss=weight**2)
            if trial.should_stop():
                break
        return weight**2

    made = study(None)
    made.run(own)
    check_lines(made)


def test_what_a_checkpoint_does_not_depend_on_may_change_alone() -> None:
    made = study(None, pruner={**PBT, "explore": ["rate"]})
    made.run(_blind)
    for trial in made.trials:
        if trial.parent is not None:
            parent = made.trials[trial.parent]
            assert trial.params["drop"] == parent.params["drop"]
            assert trial.params["rate"] != parent.params["rate"]


def _blind(trial: Trial) -> float:
    """Reports from where it is said to go on, and keeps nothing."""
    begin = trial.resumed_step or 0
    for epoch in range(int(begin) + 1, EPOCHS + 1):
        trial.report(epoch, loss=trial.params["rate"] + 1 / epoch)
        if trial.should_stop():
            break
    return trial.params["rate"]


def test_the_budget_bounds_trials_and_members_go_on(tmp_path: Path) -> None:
    made = study(tmp_path / "s", trials=11)
    made.run(train)
    states = [trial.state for trial in made.trials]
    assert states.count("complete") == 8 and states.count("pruned") == 3
    few = study(None, trials=5)
    few.run(_blind)
    assert [trial.state for trial in few.trials] == ["complete"] * 5


def test_members_that_fail_are_replaced_as_often_as_there_are_founders(tmp_path: Path) -> None:
    def crashing(trial: Trial) -> float:
        if trial.number == 2 or (trial.number == 5 and trial.attempt == 1):
            raise MemoryError
        return train(trial)

    made = study(tmp_path / "s")
    made.run(crashing)
    snapshot = made.snapshot
    assert snapshot.counts[State.COMPLETE] == 8 and snapshot.counts[State.FAILED] == 2
    first, second = snapshot.descents[snapshot.heirs[2]], snapshot.descents[snapshot.heirs[5]]
    assert first == Descent(2)  # it had come to nothing, so another begins from the start
    assert second.parent is not None and second.step == 3.0
    made.close()
    assert verify(tmp_path / "s", make_proposals).good

    def always(trial: Trial) -> float:
        raise MemoryError

    broken = study(None)
    broken.run(always)
    assert len(broken.trials) == 16 and broken.store.done


def test_no_number_costs_a_member_its_place(tmp_path: Path) -> None:
    def diverging(trial: Trial) -> float:
        if trial.number == 4:
            for epoch in range(1, 4):
                trial.report(epoch, loss=float("nan"))
                if trial.should_stop():
                    return 0.0
        return train(trial)

    made = study(tmp_path / "s")
    made.run(diverging)
    assert made.trials[4].state == "pruned" and 4 in made.snapshot.heirs
    assert all(descent.parent != 4 for descent in made.snapshot.descents.values())
    assert made.snapshot.counts[State.COMPLETE] == 8


def test_several_objectives_and_constraints(tmp_path: Path) -> None:
    def sized(trial: Trial) -> dict[str, float]:
        for epoch in range(int(trial.resumed_step or 0) + 1, EPOCHS + 1):
            values = {"loss": trial.params["rate"] + 1 / epoch, "size": 1 - trial.params["drop"]}
            trial.report(epoch, **values)
            if trial.should_stop():
                break
        return values

    made = study(None, minimize=("loss", "size"), subject_to="size >= 0.3")
    made.run(sized)
    broken = [trial.number for trial in made.trials if trial.params["drop"] > 0.7]
    assert all(made.trials[n].state == "pruned" for n in broken)
    assert made.snapshot.counts[State.COMPLETE] == 8


def test_a_child_begins_from_its_start_where_its_parents_checkpoint_is_gone(tmp_path: Path) -> None:
    began: dict[int, Any] = {}

    def careless(trial: Trial) -> float:
        if trial.number == 8 and trial.attempt == 0:  # just before it looks
            shutil.move(tmp_path / "s" / "trials" / str(trial.parent), tmp_path / "away")
        began.setdefault(trial.number, trial.resumed_from)
        weight, begin = 5.0, 0
        if trial.resumed_from is not None:
            weight, begin = json.loads((trial.resumed_from / "state").read_text())
        for epoch in range(begin + 1, EPOCHS + 1):
            weight = step(weight, trial.params, trial.number, epoch)
            trial.report(epoch, loss=weight**2)
            if trial.should_stop():
                assert trial.checkpoint_dir is not None
                (trial.checkpoint_dir / "state").write_text(json.dumps([weight, epoch]))
                break
        return weight**2

    made = study(tmp_path / "s")
    made.run(careless)
    snapshot = made.snapshot
    gone = snapshot.descents[8].parent
    assert made.lineage(8)[0][:2] == (8, 0.0)
    assert (
        descent_text(made, made.trials[8]) == f"was to go on from {gone} (epoch 3), whose checkpoint was gone"
    )
    assert began[8] is None and snapshot.curves.of(8)[0].s == 1.0
    others = [n for n, descent in snapshot.descents.items() if descent.parent != gone]
    assert others and all(began[n] is not None for n in others)
    found = savings(snapshot, made.store.proposals.pruner, made.store.clock.now())
    assert found.repeated > 0.0
    assert found.equivalents is not None and found.equivalents > 8.2  # three epochs of twelve again, or more


def test_what_was_spent_is_what_ran(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    made.run(train)
    found = savings(made.snapshot, made.store.proposals.pruner, made.store.clock.now())
    assert found.equivalents == pytest.approx(8.0) and found.repeated == 0.0
    assert [rung.reached for rung in found.rungs] == [8, 8, 8, 8]
    assert [rung.stopped for rung in found.rungs] == [2, 2, 2, 0]
    assert found.replaced == 6 and found.early == 0


def test_another_pruner_takes_over(tmp_path: Path) -> None:
    first = study(tmp_path / "s", pruner={"method": "asha", "fidelity": FIDELITY}, trials=20)
    first.run(train)
    first.close()
    second = study(tmp_path / "s", trials=24)
    second.run(train)
    assert second.store.done
    assert second.snapshot.n_finished <= 24 and not second.snapshot.waiting
    second.close()
    assert verify(tmp_path / "s", make_proposals).good


# ---------------------------------------------------------------------- races and forgeries


def to_its_goal(made: taut.Study, trial: Trial) -> None:
    assert trial.fidelity is not None
    loss = trial.params["rate"] + 1 / trial.fidelity
    if trial.checkpoint_dir is not None:
        (trial.checkpoint_dir / "state").write_text("saved")
    trial.report(trial.fidelity, loss=loss)
    made.tell(trial, loss=loss)


def test_two_workers_never_take_the_same_place(tmp_path: Path) -> None:
    one, two = study(tmp_path / "s"), study(tmp_path / "s")
    for _ in range(8):
        to_its_goal(one, one.ask())
    two.store.refresh()
    asked = []
    while len(asked) < 8:  # neither reads what the other has begun before it decides
        for made in (one, two):
            asked.append(made.ask())
    fresh = [trial.number for trial in asked if trial.number >= 8]
    descents = one.snapshot.descents
    assert len(fresh) == 2 and len({descents[n].instead for n in fresh}) == 2
    went_on = {trial.number for trial in asked if trial.number < 8}
    assert not went_on & set(one.snapshot.heirs) and len(went_on) == 6
    one.close()
    two.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_a_place_that_has_gone_when_its_number_is_claimed_leaves_a_whole_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was given back unused, and a founder that arrives far below just when somebody takes the number up."""

    def goal(made: taut.Study, trial: Trial, loss: float) -> None:
        assert trial.checkpoint_dir is not None and trial.fidelity is not None
        (trial.checkpoint_dir / "state").write_text("saved")
        trial.report(trial.fidelity, loss=loss)
        made.tell(trial, loss=loss)

    pruner = {**PBT, "population": 4, "quantile": 0.5}
    one, two, three = (study(tmp_path / "s", pruner=pruner) for _ in range(3))
    founders = [one.ask() for _ in range(4)]
    for trial in founders[:3]:
        goal(one, trial, 1.0)
    for trial, loss in zip([one.ask() for _ in range(3)], (1.0, 2.0, 3.0), strict=True):
        goal(one, trial, loss)
    three.store.refresh()
    three.store._open()
    three.store.journal.advance(4)
    three.store.held.extend(three.store.journal.claim(1, 5) or ())
    assert list(three.store.held) == [4]
    three.store.give_back("its worker was busy with another trial")
    two.store.refresh()
    claim = two.store._claim_attempt

    def late(number: int, attempt: int) -> bool:
        ours = claim(number, attempt)
        if number == 4:
            goal(one, founders[3], 1.0)
        return ours

    monkeypatch.setattr(two.store, "_claim_attempt", late)
    assert two.ask().number != 4
    whys = [event.why for _, event in two.store.snapshot.releases.timed(4, -1)]
    assert not whys and any("no place" in why for why in two.store.snapshot.releases.why(4))
    for made in (one, two, three):
        made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_a_place_that_others_are_about_to_take_is_left_to_them(tmp_path: Path) -> None:
    one, two = study(tmp_path / "s"), study(tmp_path / "s")
    for _ in range(8):
        to_its_goal(one, one.ask())
    for _ in range(6):
        one.ask()
    two.store.refresh()
    pruner = two.store.proposals.pruner
    assert pruner is not None
    descent = pruner.descent(two.snapshot, 8)
    assert descent is not None
    one.store.journal.claim_attempt(descent.instead, one.snapshot.next_attempt(descent.instead))
    before = set(two.snapshot.heirs)
    decision = two.store.next()
    assert type(decision).__name__ == "Wait" and set(two.snapshot.heirs) == before
    one.close()
    two.close()


@pytest.mark.parametrize("change", ["params", "parent", "instead", "promoted"])
def test_a_forged_birth_is_found(tmp_path: Path, change: str) -> None:
    made = study(tmp_path / "s")
    made.run(train)
    made.close()
    (log,) = (tmp_path / "s" / "log").glob("*.jsonl")
    events = [decode(line) for line in log.read_bytes().splitlines()]
    births = [i for i, event in enumerate(events) if isinstance(event, Started) and event.n >= 8]
    last = events[births[-1]]
    assert isinstance(last, Started) and isinstance(last.d, Descent) and last.d.parent is not None
    if change == "params":
        forged = msgspec.structs.replace(last, x={**last.x, "rate": 0.5})
    elif change == "promoted":  # whose place was taken goes on instead
        forged = msgspec.structs.replace(last, n=last.d.instead, a=4, d=msgspec.UNSET)
    else:
        other = next(n for n in range(8) if n != getattr(last.d, change))
        forged = msgspec.structs.replace(last, d=msgspec.structs.replace(last.d, **{change: other}))
    events[births[-1]] = forged
    log.write_bytes(b"".join(map(encode, events)))
    assert not verify(tmp_path / "s", make_proposals).good


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_fold_does_not_depend_on_who_is_read_first(random: Any) -> None:
    parts: list[tuple[int, list[Event]]] = []
    for n in range(4):
        parts.append((n, [started(n), told(n, 3.0, 1.0 + n), waits(n, 3.0)]))
    parts += [
        (4, [started(4, descent=Descent(3, 0, 0, 3.0)), told(4, 6.0, 0.5)]),
        (5, [started(5, descent=Descent(3, 1, 0, 3.0))]),  # should claims fail, both are there
        (6, [started(4, 1, descent=Descent(2, 0, 0, 3.0))]),
    ]
    wanted = folded(parts)
    random.shuffle(parts)
    found = folded(parts)
    assert found.heirs == wanted.heirs == {3: 4, 2: 4} and found.descents == wanted.descents
    assert found.state.tolist() == wanted.state.tolist() and found.waiting == wanted.waiting == {
        0: 3.0,
        1: 3.0,
    }
    assert found.counts == wanted.counts and found.counts[State.PRUNED] == 2


# ---------------------------------------------------------------------- the rule, on studies made by hand

DEFINITION = Definition(
    "study",
    SPACE.to_json(),
    [Objective("loss")],
    pruner=Method("pbt"),
    fidelity=Fidelity("epoch", max=12.0, resume=True),
)


def started(n: int, a: int = 0, goal: float = 3.0, descent: Descent | None = None) -> Started:
    params = {"rate": 0.01 * (n + 1), "drop": 0.1}
    d = msgspec.UNSET if descent is None else descent
    return Started(n=n, a=a, x=params, r=0, c=n + 1, t=0.0, f=goal, d=d)


def told(n: int, step: float, loss: float | None, a: int = 0) -> Reported:
    return Reported(n=n, a=a, s=step, y={"loss": loss}, t=step)


def waits(n: int, step: float, a: int = 0, kept: bool = True) -> Released:
    return Released(n=n, a=a, why="w", blame=False, t=step, kept=kept or msgspec.UNSET, had=1.0, at=step)


def folded(parts: Sequence[tuple[int, Sequence[Event]]], definition: Definition = DEFINITION) -> Snapshot:
    snapshot = Snapshot(definition, SPACE)
    for writer, events in parts:
        snapshot.apply(writer, events)
    return snapshot


def make(**options: Any) -> Pruner:
    given = {"population": 8, "interval": 3, **options}
    return registry.make(Method("pbt", given)).settled(DEFINITION)


def on_rung(losses: Sequence[float], step: float = 3.0, kept: bool = True) -> list[Event]:
    return [
        event
        for n, loss in enumerate(losses)
        for event in (started(n), told(n, step, loss), waits(n, step, kept=kept))
    ]


def test_the_best_go_on_first_and_the_worst_give_up_their_places() -> None:
    pruner = make()
    snapshot = folded([(0, on_rung([5.0, 1.0, 8.0, 3.0, 2.0, 7.0, 4.0, 6.0]))])
    assert list(pruner.promotable(snapshot)) == [1, 4, 3, 6, 0, 7]
    assert pruner.room(snapshot) == 10
    first, second = pruner.descent(snapshot, 8), pruner.descent(snapshot, 9)
    assert first is not None and second is not None and pruner.descent(snapshot, 10) is None
    assert [first.instead, second.instead] == [5, 2]
    assert {first.parent, second.parent} <= {1, 4} and first.step == 3.0
    assert pruner.goal(snapshot, 8) == 6.0


def test_the_lowest_rung_comes_first() -> None:
    events = on_rung([float(n) for n in range(8)])
    higher = [started(0, 1, 6.0), told(0, 6.0, 0.1, 1), waits(0, 6.0, 1)]
    snapshot = folded([(0, [*events, *higher])])
    assert list(make().promotable(snapshot)) == [
        1,
        2,
        3,
        4,
        5,
    ]  # 0 is further up, 6 and 7 are to be replaced first
    assert list(make(quantile=0.13).promotable(snapshot)) == [1, 2, 3, 4, 5, 6]
    enough = msgspec.structs.replace(DEFINITION, budget=Budget(trials=8))
    assert list(make().promotable(folded([(0, [*events, *higher])], enough))) == [1, 2, 3, 4, 5, 6, 7, 0]


def test_nobody_is_replaced_while_founders_are_missing_or_few_have_come_or_all_are_equal() -> None:
    pruner = make()
    for losses in ([1.0, 2.0, 3.0], [4.0] * 8):
        rest = [started(n) for n in range(len(losses), 8)]
        snapshot = folded([(0, [*on_rung(losses), *rest])])
        assert pruner.descent(snapshot, 8) is None and len(pruner.promotable(snapshot)) == len(losses)
    missing = folded([(0, on_rung([float(n) for n in range(7)]))])
    assert pruner.descent(missing, 8) is None and pruner.room(missing) == 8


def test_a_founder_that_is_claimed_and_not_begun_keeps_nobody_from_being_replaced() -> None:
    there = on_rung([float(n) for n in range(7)])
    loading = [msgspec.structs.replace(e, c=8) if isinstance(e, Started) else e for e in there]
    snapshot = folded([(0, loading)])
    descent = make().descent(snapshot, 8)
    assert descent is not None and descent.instead == 6
    assert 6 not in make().promotable(snapshot)


def test_who_left_no_checkpoint_is_nobodys_parent() -> None:
    losses = [float(n) for n in range(8)]
    nothing = folded([(0, on_rung(losses, kept=False))])
    assert make().descent(nothing, 8) is None and len(make().promotable(nothing)) == 8
    some = on_rung(losses)
    bare = [
        waits(n, 3.0, kept=False) if isinstance(e, Released) and (n := e.n) in (0, 1, 2) else e for e in some
    ]
    descent = make().descent(folded([(0, bare)]), 8)
    assert descent is not None and descent.parent == 3  # the next one


def test_an_heir_is_not_compared_where_it_begins() -> None:
    events = on_rung([float(n) for n in range(8)])
    heir = [started(8, goal=6.0, descent=Descent(7, 0, 0, 3.0)), told(8, 4.0, 99.0), told(8, 5.0, 99.0)]
    snapshot = folded([(0, [*events, *heir])])
    pruner = make()
    descent = pruner.descent(snapshot, 9)
    assert descent is not None and descent.instead == 6
    assert pruner.judge(snapshot, 8) is Judgement.GO
    snapshot.apply(0, [told(8, 6.0, 99.0)])
    assert pruner.judge(snapshot, 8) is Judgement.PAUSE


def test_whose_turn_it_is_and_who_need_not_save_goes_on_at_once() -> None:
    losses = [float(n) for n in range(8)]
    further = [e for n in range(8) for e in (started(n), told(n, 3.0, losses[n]))]
    pruner = make()
    snapshot = folded([(0, further)])
    verdicts = [pruner.judge(snapshot, n) for n in range(8)]
    go, pause = Judgement.GO, Judgement.PAUSE
    assert verdicts == [pause, pause, go, go, go, go, pause, pause]
    snapshot.apply(0, [waits(0, 3.0)])  # now somebody waits, who comes first
    assert pruner.judge(snapshot, 3) is pause


def test_the_number_that_nobody_has_begun_comes_first() -> None:
    pruner = make()
    snapshot = folded([(0, on_rung([float(n) for n in range(8)]))])
    snapshot.apply(1, [started(9, goal=6.0, descent=Descent(7, 0, 0, 3.0))])
    eight, ten = pruner.descent(snapshot, 8), pruner.descent(snapshot, 10)
    assert eight is not None and eight.instead == 6 and ten is None


def test_losses_to_be_maximized() -> None:
    what = msgspec.structs.replace(DEFINITION, objectives=[Objective("loss", False)])
    snapshot = folded([(0, on_rung([float(n) for n in range(8)]))], what)
    assert list(make().promotable(snapshot)) == [7, 6, 5, 4, 3, 2]


def test_a_line_and_its_schedule() -> None:
    events = on_rung([float(n) for n in range(8)])
    heirs = [
        started(8, goal=6.0, descent=Descent(7, 0, 0, 3.0)),
        told(8, 6.0, 0.0),
        waits(8, 6.0),
        started(9, goal=9.0, descent=Descent(6, 8, 0, 6.0)),
    ]
    snapshot = folded([(0, [*events, *heirs])])
    line = lineage(snapshot, 9)
    assert [(s.number, s.begin, s.end) for s in line] == [(0, 0.0, 3.0), (8, 3.0, 6.0), (9, 6.0, None)]
    assert schedule(line) == {"rate": [0.01, 0.09, 0.1]}
    assert len(lineage(snapshot, 5)) == 1 and schedule(lineage(snapshot, 5)) == {}


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options, at, problem",
    [
        ({"population": 1}, ("pruner", "population"), "2 to"),
        ({"population": 3}, ("pruner", "quantile"), "nobody"),
        ({"quantile": 0.6}, ("pruner", "quantile"), "0.5"),
        ({"interval": 20}, ("pruner", "interval"), "never .* from 0.012 to less than 12, such as 6"),
        ({"interval": 0.001}, ("pruner", "interval"), "12000 times .* from 0.012 to"),
        ({"explore": ["rat"]}, ("pruner", "explore"), "rate"),
        ({"explore": "rate"}, ("pruner", "explore"), "list"),
        ({"fidelity": {**FIDELITY, "resume": False}}, ("pruner", "fidelity", "resume"), "checkpoints"),
    ],
)
def test_wrong_options(options: dict[str, Any], at: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        study(None, pruner={**PBT, **options})
    assert caught.value.at == at


@pytest.mark.parametrize("population", [2, 3, 6, 7, 13, 99, 200, 10_000])
def test_advice_on_the_quantile_can_be_followed(population: int) -> None:
    with pytest.raises(InputError, match="nobody") as caught:
        make(population=population, quantile=0.9 / population)
    quantile = float(str(caught.value).split("at least ")[1].split(",")[0])
    assert make(population=population, quantile=quantile).founders == population


def test_a_quantile_is_not_rounded_down() -> None:
    assert [part(q, n) for q, n in ((0.29, 100), (0.25, 7), (0.3, 10), (0.5, 2))] == [29, 1, 3, 1]


def test_what_is_said_of_intervals_is_what_is_taken() -> None:
    assert make(interval=7).rungs(DEFINITION) == [7.0, 12.0]
    assert len(make(interval=6).rungs(DEFINITION)) == 2
    with pytest.raises(InputError, match="never"):
        make(interval=12)


def test_a_budget_without_room_for_copies_is_said() -> None:
    few = study(None, trials=8)
    told = few.store.proposals.pruner.account(few.snapshot)  # type: ignore[union-attr]
    assert told is not None and "trials = 8 leaves no room" in told and "let it be 14" in told
    enough = study(None, trials=14)
    enough.run(_blind)
    assert len(enough.snapshot.heirs) == 6
    assert "leaves no room" not in (enough.store.proposals.pruner.account(enough.snapshot) or "")  # type: ignore[union-attr]


def test_a_grid_is_no_population() -> None:
    with pytest.raises(InputError, match="random") as caught:
        study(None, sampler={"method": "grid", "resolution": 3})
    assert caught.value.at == ("sampler", "method")


def test_comparisons_are_steps_that_there_are() -> None:
    usual = registry.make(Method("pbt")).settled(DEFINITION)
    assert usual.rungs(DEFINITION) == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    share = msgspec.structs.replace(DEFINITION, fidelity=Fidelity("share", max=1.0, min=0.1, resume=True))
    assert len(registry.make(Method("pbt", {"interval": 0.25})).settled(share).rungs(share)) == 4
    late = msgspec.structs.replace(DEFINITION, fidelity=Fidelity("epoch", max=12.0, min=5.0, resume=True))
    assert registry.make(Method("pbt", {"interval": 2})).settled(late).rungs(late) == [
        5.0,
        6.0,
        8.0,
        10.0,
        12.0,
    ]


# ---------------------------------------------------------------------- exploring

MIXED = taut.Space(
    rate=taut.loguniform(1e-4, 1e-1),
    shift=taut.uniform(-1.0, 1.0),
    coarse=taut.uniform(0.0, 1.0, step=0.1),
    layers=taut.uniform_int(1, 9, step=2),
    width=taut.loguniform_int(1, 512),
    near=taut.normal(0.0, 1.0),
    size=taut.ordinal(["s", "m", "l"]),
    kind=taut.choice(["a", "b", "c"]),
    only=taut.uniform(0.0, 1.0, when="kind == 'b'"),
)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=200, deadline=None)
def test_what_is_tried_is_allowed_and_near(seed: int, resample: float) -> None:
    rng = np.random.default_rng(seed)
    parent = MIXED.quantile(rng.random((1, len(MIXED))))
    child = perturbed(MIXED, parent[0], MIXED.searched, resample, rng)
    (before,), (after,) = MIXED.params(parent), MIXED.params(child[None])
    assert MIXED.codes([after]).shape == (
        1,
        len(MIXED),
    )  # checks every value, and that what exists fits the conditions
    if resample == 0.0:
        assert after["kind"] == before["kind"] and ("only" in after) == ("only" in before)
        assert after["rate"] / before["rate"] == pytest.approx(
            np.clip(before["rate"] * (1.2 if after["rate"] > before["rate"] else 0.8), 1e-4, 1e-1)
            / before["rate"]
        )
        assert abs(MIXED.codes([after])[0, 6] - MIXED.codes([before])[0, 6]) <= 1
        assert after["width"] != before["width"] or before["width"] in (1, 512)
        assert abs(after["shift"] - before["shift"]) <= 0.2 + 1e-9
        assert abs(after["layers"] - before["layers"]) in (0, 2)


def test_a_copy_has_what_its_parent_lacked_from_the_prior() -> None:
    rng = np.random.default_rng(0)
    parent = MIXED.quantile(np.full((1, len(MIXED)), 0.1))
    born = [perturbed(MIXED, parent[0], MIXED.searched, 1.0, rng) for _ in range(200)]
    drawn = [code[8] for code in born if not np.isnan(code[8])]
    assert 40 < len(drawn) < 100 and min(drawn) < 0.2 and max(drawn) > 0.8


def test_copies_of_one_checkpoint_differ() -> None:
    pruner, snapshot = make(resample=0.0), folded([(0, on_rung([float(n) for n in range(8)]))])
    for n in range(8, 12):  # a factor of two parameters: four combinations
        descent = Descent(19 - n, 0, 0, 3.0)
        params = pruner.explored(snapshot, n, descent)
        assert params is not None
        snapshot.apply(0, [msgspec.structs.replace(started(n, goal=6.0, descent=descent), x=params)])
    assert len({tuple(row) for row in np.round(snapshot.codes[8:], 6).tolist()}) == 4


def test_parameters_however_small_or_large_are_told_apart() -> None:
    one = np.array([[1e-9, 1e6, np.nan, 0.0]])
    assert known(one, one).all() and known(one * (1 + 1e-15), one).all()
    for other in (
        [1.2e-9, 1e6, np.nan, 0.0],
        [1e-9, 1e6 + 5, np.nan, 0.0],
        [1e-9, 1e6, 1.0, 0.0],
        [1e-9, 1e6, np.nan, 1e-300],
    ):
        assert not known(np.array([other]), one).any()


# ---------------------------------------------------------------------- PB2


def test_copies_by_the_model_differ_in_a_small_space() -> None:
    """The model has a favourite; whoever goes on from the same checkpoint gets the next best."""
    space = taut.Space(k=taut.ordinal([1, 2, 3, 4, 5, 6]), w=taut.ordinal([1, 2, 3]))
    kept: dict[tuple[int, float], float] = {}

    def levels(trial: Trial) -> float:
        source, begin = (trial.number if trial.attempt else trial.parent), int(trial.resumed_step or 0)
        if trial.attempt:
            begin = int(max(step for number, step in kept if number == trial.number))
        value = kept[source, begin] if begin and source is not None else 5.0
        for epoch in range(begin + 1, EPOCHS + 1):
            value = value * (1 - 0.02 * trial.params["k"]) + 0.01 * trial.params["w"]
            kept[trial.number, epoch] = value
            trial.report(epoch, loss=value)
            if trial.should_stop():
                break
        return value

    pruner = {**PBT, "method": "pb2", "population": 12, "interval": 1}
    made = taut.Study(None, space, minimize="loss", sampler="random", seed=4, pruner=pruner)
    made.run(levels)
    groups: dict[tuple[int, float], list[dict[str, Any]]] = {}
    for n, descent in made.snapshot.descents.items():
        if descent.parent is not None:
            group = groups.setdefault((descent.parent, descent.step), [made.trials[descent.parent].params])
            group.append(made.trials[n].params)
    assert len(made.snapshot.descents) > 10
    for group in groups.values():
        assert len({tuple(params.values()) for params in group}) == len(group)


def test_the_model_learns_that_the_best_place_moves() -> None:
    rng = np.random.default_rng(1)
    time = np.repeat(np.arange(1.0, 11.0), 8)
    unit = rng.random(80)
    gain = -np.abs(unit - time / 12) + 0.02 * rng.normal(size=80)
    gain = (gain - gain.mean()) / gain.std()
    level = np.full(80, 0.5)
    model = _Model.fitted((time, np.column_stack((level, unit))), gain)
    assert model.forgetting > 0.0
    grid = np.linspace(0.0, 1.0, 101)
    none = (np.empty(0), np.empty((0, 2)))
    for at in (4.0, 11.0):
        here = (np.full(101, at), np.column_stack((np.full(101, 0.5), grid)))
        assert abs(grid[model.bound(none, here).argmax()] - at / 12) < 0.15
    # What runs already promises less news.
    here = (np.full(101, 11.0), np.column_stack((np.full(101, 0.5), grid)))
    runs = (np.array([11.0]), np.array([[0.5, 0.2]]))
    less = model.bound(none, here) - model.bound(runs, here)
    assert less.min() >= -1e-9 and grid[less.argmax()] == pytest.approx(0.2, abs=0.1)


def test_pb2_explores_where_members_gained(tmp_path: Path) -> None:
    """Gain depends on the rate alone: best at 0.03, at any time."""

    def gaining(trial: Trial) -> float:
        value, begin = 0.0, 0
        if trial.resumed_from is not None:
            value, begin = json.loads((trial.resumed_from / "state").read_text())
        for epoch in range(begin + 1, EPOCHS + 1):
            value -= 2.0 - abs(np.log10(trial.params["rate"]) + 1.5)
            trial.report(epoch, loss=value)
            if trial.should_stop():
                assert trial.checkpoint_dir is not None
                (trial.checkpoint_dir / "state").write_text(json.dumps([value, epoch]))
                break
        return value

    pb2 = {**PBT, "method": "pb2", "interval": 1}
    made = study(tmp_path / "s", pruner=pb2)
    made.run(gaining)
    tried = [abs(np.log10(t.params["rate"]) + 1.5) for t in made.trials if t.parent is not None]
    assert (
        np.median(tried[-10:])
        < 0.4
        < np.median([abs(np.log10(t.params["rate"]) + 1.5) for t in made.trials[:8]])
    )
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_pb2_learns_from_what_is_told_on_the_way() -> None:
    """The second objective is told at the end alone; the first is enough to learn from until then."""
    pruner = {**PBT, "method": "pb2", "interval": 1}
    made = study(None, minimize=["loss", "size"], pruner=pruner)
    began = made.store.proposals.pruner
    assert isinstance(began, Pb2Pruner) and "by " not in (began.account(made.snapshot) or "")

    def late(trial: Trial) -> dict[str, float]:
        for epoch in range(int(trial.resumed_step or 0) + 1, EPOCHS + 1):
            trial.report(epoch, loss=trial.params["rate"] + 1 / epoch)
            if trial.should_stop() and epoch < EPOCHS:
                return {"loss": trial.params["rate"] + 1 / epoch}
        return {"loss": trial.params["rate"], "size": trial.params["drop"]}

    made.run(late)
    known = len(_gains(made.snapshot, began.members(made.snapshot), began.rungs(made.snapshot.definition)).y)
    assert known >= 50
    assert f"by what {known} intervals gained" in (began.account(made.snapshot) or "")


def test_pb2_without_numbers_or_with_choices_is_pbt() -> None:
    space = taut.Space(kind=taut.choice(["a", "b", "c", "d"]), other=taut.choice([1, 2, 3]))
    pruner = {**PBT, "method": "pb2", "interval": 1}
    made = taut.Study(None, space, minimize="loss", sampler="random", seed=3, pruner=pruner)

    def kinds(trial: Trial) -> float:
        for epoch in range(int(trial.resumed_step or 0) + 1, EPOCHS + 1):
            trial.report(epoch, loss="abcd".index(trial.params["kind"]) + trial.params["other"] / epoch)
            if trial.should_stop():
                break
        return float(trial.params["other"])

    made.run(kinds)
    assert made.snapshot.counts[State.COMPLETE] == 8


def test_promotable_is_asked_like_any_other() -> None:
    made = study(None)
    for _ in range(8):
        trial = made.ask()
        trial.report(3, loss=trial.params["rate"])
        assert trial.should_stop()
        made.tell(trial, loss=trial.params["rate"])
    assert len(promotable(made.snapshot, made.store.proposals)) == 6
    assert not any(isinstance(event, Finished) for event in made.snapshot.judged.values())
