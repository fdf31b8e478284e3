"""Objectives that ask for their parameters as they go, as Optuna's do: the study finds out its space."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import taut
from taut.errors import InputError
from taut.opening import make_proposals
from taut.samplers import registry
from taut.verify import verify

METHODS = [name for name in registry.names() if name != "grid"]
KINDS = ["square", "line", "steps"]


def branching(trial: Any) -> float:
    """A loss of at least 0, with a choice that decides on what else there is, and a count."""
    kind = trial.suggest_categorical("kind", KINDS)
    loss = {"square": 0.0, "line": 0.5, "steps": 1.0}[kind]
    if kind == "square":
        loss += trial.suggest_float("x", -2.0, 2.0) ** 2
    else:
        loss += abs(trial.suggest_float("slope", 1e-3, 10.0, log=True) - 1.0)
    for layer in range(trial.suggest_int("layers", 1, 3)):
        loss += 0.1 * trial.suggest_float(f"layer_{layer}", 0.0, 1.0, step=0.25)
    assert trial.params.keys() == asked(trial.params)
    return float(loss)


def asked(params: dict[str, Any]) -> set[str]:
    layers = {f"layer_{i}" for i in range(params["layers"])}
    return {"kind", "layers", "x" if params["kind"] == "square" else "slope"} | layers


def whole(study: taut.Study, trials: int) -> None:
    """Every trial has what it asked for, and no more; the log gives the same again."""
    assert len(study.trials) == trials
    for trial in study.trials:
        assert trial.state == "complete", trial.error
        assert trial.params.keys() == asked(trial.params)
    assert study.path is not None
    study.close()
    found = verify(study.path, make_proposals)
    assert found.suggestions == trials and found.good and not found.differences


@pytest.mark.parametrize("method", METHODS)
def test_every_sampler_finds_its_way(method: str, tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", minimize="value", sampler=method, seed=3)
    study.run(branching, trials=25)
    whole(study, 25)
    assert study.best.values["value"] < 0.8
    assert study.space.asked == {"kind", "x", "slope", "layers", "layer_0", "layer_1", "layer_2"}
    when = {name: p.when for name, p in zip(study.space.searched, study.space.columns, strict=True)}
    assert when["layer_2"] == "layers > 2" and when["layer_0"] is None
    assert "kind not in" in (when["x"] or "") and "kind not in" in (when["slope"] or "")


def test_side_by_side_in_processes(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", minimize="value", sampler="tpe", seed=3)
    study.run(branching, trials=16, workers=3)
    whole(study, 16)


def test_on_a_pool_of_somebody_else(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", minimize="value", sampler="tpe", seed=3)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        study.run(branching, trials=12, executor=pool)
    whole(study, 12)


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import taut
from test_discovery import branching
study = taut.Study(sys.argv[1], minimize="value", sampler={{"method": "tpe", "startup": 4}}, seed=3)
study.run(branching, trials=40)
"""


def test_workers_that_find_out_at_once_agree(tmp_path: Path) -> None:
    script = SCRIPT.format(here=str(Path(__file__).parent))
    place = str(tmp_path / "s")
    taut.Study(place, minimize="value", sampler={"method": "tpe", "startup": 4}, seed=3).store.save()
    workers = [subprocess.Popen([sys.executable, "-c", script, place]) for _ in range(3)]
    assert [worker.wait(100) for worker in workers] == [0, 0, 0]
    whole(taut.Study(place), 40)


def test_in_a_loop_of_ones_own(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", minimize="value", sampler="tpe", seed=3, trials=12)
    for trial in study.work():
        trial.tell(value=branching(trial))
        if trial.number > 7:
            break
    for _ in range(2):
        trial = study.ask()
        study.tell(trial.number, value=branching(trial))  # by its number, too
    whole(study, 11)


def test_what_was_drawn_is_drawn_again(tmp_path: Path) -> None:
    """The same study twice, and a trial that has to begin again: the same points."""
    tries: list[float] = []

    def dies_once(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0.0, 1.0)
        tries.append(x)
        if len(tries) == 2:
            raise KeyboardInterrupt
        return x

    study = taut.Study(tmp_path / "s", minimize="value", sampler="random", seed=3)
    with pytest.raises(KeyboardInterrupt):
        study.run(dies_once, trials=3)
    study.run(dies_once, trials=3)
    assert tries[1] == tries[2]
    again = taut.Study(None, minimize="value", sampler="random", seed=3).run(
        lambda trial: trial.suggest_float("x", 0.0, 1.0), trials=3
    )
    assert [t.params for t in again.trials] == [t.params for t in study.trials]
    study.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_a_changed_draw_is_found(tmp_path: Path) -> None:
    taut.Study(tmp_path / "s", minimize="value", sampler="random").run(branching, trials=2).close()
    (log,) = (tmp_path / "s" / "log").glob("*.jsonl")
    from taut.events import Settled, decode, encode

    events = [decode(line) for line in log.read_bytes().splitlines()]
    i, settled = next((i, e) for i, e in enumerate(events) if isinstance(e, Settled))
    events[i] = Settled(settled.n, settled.a, {**settled.x, "kind": "lines"}, settled.drawn, settled.r)
    log.write_bytes(b"".join(map(encode, events)))
    assert not verify(tmp_path / "s", make_proposals).good


def test_ranges_may_move_and_the_widest_is_kept() -> None:
    def objective(trial: Any) -> float:
        top = trial.suggest_float("top", 1.0, 2.0)
        x: float = trial.suggest_float("x", 0.0, top)
        n: int = trial.suggest_int("n", trial.number, 5 + trial.number, step=5)
        assert 0 <= x <= top and n in (trial.number, 5 + trial.number)
        c: str = trial.suggest_categorical("c", ["a", "b", "c"][: 1 + trial.number % 3])
        assert c in ["a", "b", "c"][: 1 + trial.number % 3]
        return x + n

    study = taut.Study(None, minimize="value", sampler="tpe").run(objective, trials=12)
    assert {t.state for t in study.trials} == {"complete"}, study.trials[0].error
    space = study.space.parameters
    assert space["n"].to_json() == {"uniform_int": [0, 16], "asked": True}
    assert space["c"].to_json() == {"choice": ["a", "b", "c"], "asked": True}


def test_a_study_may_know_part_of_its_space() -> None:
    def objective(trial: Any) -> float:
        lr = trial.suggest_float("lr", 1e-6, 1.0, log=True)
        assert lr == trial.params["lr"] and "momentum" in trial.params
        return float(lr + trial.suggest_float("decay", 0.0, 1.0))

    space = taut.Space(lr=taut.loguniform(1e-3, 1e-2), momentum=taut.uniform(0.0, 0.9))
    study = taut.Study(None, space, minimize="value", sampler="gp").run(objective, trials=6)
    assert study.space.asked == {"decay"}
    assert all(t.params.keys() == {"lr", "momentum", "decay"} for t in study.trials)

    def narrower(trial: Any) -> float:
        return float(trial.suggest_float("lr", 1e-9, 1e-8, log=True))

    wrong = taut.Study(None, space, minimize="value", sampler="random").run(narrower, trials=1)
    assert "comes from the study's space" in (wrong.trials[0].error or "")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("method", ["tpe", "differential"])
@pytest.mark.parametrize("prunes", [{"method": "median"}, {"method": "asha", "variant": "promotion"}])
def test_reports_and_pruning_as_in_optuna(
    prunes: dict[str, Any], method: str, workers: int, tmp_path: Path
) -> None:
    optuna = pytest.importorskip("optuna")

    def objective(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0.0, 1.0)
        if x > 0.5:  # what no choice explains
            x += trial.suggest_float("more", 0.0, 1.0)
        for step in range(1, 10):
            trial.report(x + 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x + 1 / 9

    fidelity = {"name": "epoch", "min": 1, "max": 9}
    study = taut.Study(
        tmp_path / "s", minimize="value", sampler=method, pruner={**prunes, "fidelity": fidelity}, seed=1
    )
    study.run(objective, trials=30, workers=workers)
    states = {t.state for t in study.trials}
    assert "complete" in states and states & {"pruned", "paused"}
    assert all(("more" in t.params) == (t.params["x"] > 0.5) for t in study.trials)
    study.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_several_objectives_constraints_and_attributes() -> None:
    def objective(trial: Any) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_user_attr("parts", (x, y))
        trial.set_user_attr("why", "a text")
        trial.set_constraint("short", 0.8 - x - y)
        return x, y

    study = taut.Study(None, minimize="x_loss", maximize="gain", sampler="nsga2").run(objective, trials=30)
    assert study.definition.subject_to == ["short <= 0"]
    assert all(t.values["short"] <= 0 for t in study.pareto)
    first = study.trials[0]
    assert [first.values["parts_0"], first.values["parts_1"]] == [first.params["x"], first.params["y"]]


def test_users_get_their_own_objects_back() -> None:
    choices = [(1, 2), None, True, "a", 1.5]

    def objective(trial: Any) -> float:
        value = trial.suggest_categorical("value_of", choices)
        assert any(value is each for each in choices)
        assert trial.suggest_categorical("value_of", choices) is value
        return 0.0

    study = taut.Study(None, minimize="value", sampler="random").run(objective, trials=12)
    assert {t.state for t in study.trials} == {"complete"}, study.trials[0].error


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda t: t.suggest_uniform("x", 0, 1), "write trial.suggest_float('x', 0, 1)"),
        (lambda t: t.suggest_loguniform("x", 1, 2), "log=True"),
        (lambda t: t.suggest_float("x", 2, 1), "swap them"),
        (lambda t: t.suggest_float("x", 0, 1, step=0.1, log=True), "exclude each other"),
        (lambda t: t.suggest_float("x", 0, 1, log=True), "must be above 0"),
        (lambda t: t.suggest_categorical("x", [object()]), "look up what they stand for"),
        (lambda t: t.report(1.0, loss=2.0, step=3), "does not say of which metric"),
        (lambda t: t.report(), "takes a step and metrics"),
        (lambda t: t.suggest_float("a b", 0, 1), "is not a name"),
    ],
)
def test_wrong_wishes_are_told(ask: Callable[[Any], Any], told: str) -> None:
    study = taut.Study(None, minimize="value", sampler="random").run(ask, trials=1)
    assert study.trials[0].state == "failed"
    assert told in (study.trials[0].error or "")


def test_one_name_is_of_one_kind() -> None:
    def objective(trial: Any) -> float:
        return float(trial.suggest_int("x", 0, 1) if trial.number else trial.suggest_float("x", 0, 1))

    study = taut.Study(None, minimize="value", sampler="random").run(objective, trials=2)
    assert study.trials[0].state == "complete"
    assert "asked for as uniform and is now asked for as uniform_int" in (study.trials[1].error or "")


def test_a_trial_asks_for_one_kind_under_one_name() -> None:
    """As in Optuna: another range gives the value that there is, and another kind is an error."""
    study = taut.Study(None, minimize="value", sampler="random")
    study.run(lambda trial: trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 5, 9), trials=1)
    assert study.trials[0].values == {"value": 1.0}
    study.run(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("x", 5, 9), trials=2)
    assert "x: this trial has asked for it as uniform and now asks for it as uniform_int" in str(
        study.trials[1].error
    )


def test_a_grid_has_to_know_its_space() -> None:
    with pytest.raises(InputError, match="has to know its space beforehand"):
        taut.Study(None, minimize="value", sampler={"method": "grid", "resolution": 3})


def test_a_study_is_opened_again_with_what_it_found_out(tmp_path: Path) -> None:
    taut.Study(tmp_path / "s", minimize="value", sampler="random").run(branching, trials=3).close()
    again = taut.Study(tmp_path / "s", minimize="value", sampler="tpe").run(branching, trials=6)
    whole(again, 6)


def test_who_looked_before_another_began_joins_it_with_a_budget_of_its_own(tmp_path: Path) -> None:
    """As workers of an array that start together: none had seen the study of another when it opened its own."""

    def objective(trial: taut.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return trial.suggest_float(f"x_{kind}", 0.0, 1.0)

    first, second = (taut.Study(tmp_path / "s", minimize="value", sampler="random", seed=1) for _ in range(2))
    first.run(objective, trials=5)
    second.run(objective, trials=8)
    assert [trial.state for trial in second.trials] == ["complete"] * 8
    assert verify(tmp_path / "s", make_proposals).good

    other = taut.Study(tmp_path / "t", minimize="value", sampler="random", seed=1)
    taut.Study(tmp_path / "t", minimize="value", sampler="random", seed=2).run(objective, trials=1)
    with pytest.raises(taut.StudyError, match="different study"):
        other.run(objective, trials=1)
